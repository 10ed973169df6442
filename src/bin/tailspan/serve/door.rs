//! A door: a port, and the connections that came through it.
//!
//! HTTP/1 and HTTP/2 are told apart by their first bytes. A client that does not say what it wants in time is let go,
//! and there are only so many connections at once: what is more waits with the operating system.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::settings::ServeArgs;

/// Bytes of the headers of a request.
const HEADERS_MAX: u32 = 64 << 10;
/// Requests of one HTTP/2 connection at once.
const STREAMS_MAX: u32 = 128;
/// How long to wait when the operating system has no more connections to give.
const PAUSE: Duration = Duration::from_millis(50);

/// A port that is listened on.
pub struct Door {
    listener: TcpListener,
    router: Router,
    connections: Arc<Semaphore>,
    header_time: Duration,
    tls: Option<TlsAcceptor>,
}

impl Door {
    /// Takes the port.
    pub async fn open(
        name: &str,
        address: SocketAddr,
        router: Router,
        connections: Arc<Semaphore>,
        (args, tls): (&ServeArgs, Option<TlsAcceptor>),
    ) -> anyhow::Result<Self> {
        let taken = TcpListener::bind(address).await;
        let listener = taken.with_context(|| format!("cannot listen on {address}; choose another with --{name}"))?;
        Ok(Self { listener, router, connections, header_time: args.header_time.0, tls })
    }

    /// Where it is, with the port that was chosen if none was named.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is told to stop, then waits for what is under way.
    pub async fn serve(self, mut stopped: watch::Receiver<bool>) {
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.accept() => accepted,
                _ = stopped.wait_for(|stopped| *stopped) => break,
            };
            let Ok((stream, permit)) = accepted else {
                // Out of descriptors, or the client is gone already: others may still come.
                sleep(PAUSE).await;
                continue;
            };
            let connection = self.connection(stream, permit, graceful.watcher(), stopped.clone());
            tokio::spawn(connection);
        }
        drop(self.listener);
        graceful.shutdown().await;
    }

    async fn accept(&self) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
        let permit = self.connections.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (stream, _) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, permit))
    }

    /// One connection, from its first byte to its last.
    fn connection(
        &self,
        stream: TcpStream,
        permit: OwnedSemaphorePermit,
        watcher: Watcher,
        mut stopped: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (router, header_time, tls) = (self.router.clone(), self.header_time, self.tls.clone());
        async move {
            let first = tokio::select! {
                first = timeout(header_time, stream.readable()) => first,
                _ = stopped.wait_for(|stopped| *stopped) => return,
            };
            if !matches!(first, Ok(Ok(()))) {
                return;
            }
            let Some(tls) = tls else {
                speak(stream, router, header_time, watcher).await;
                drop(permit);
                return;
            };
            // A client that never shakes hands is let go like one that never says what it wants.
            if let Ok(Ok(stream)) = timeout(header_time, tls.accept(stream)).await {
                speak(stream, router, header_time, watcher).await;
            }
            drop(permit);
        }
    }
}

/// Serves requests until the client has no more, or breaks off, or breaks the rules, which is no trouble of ours.
async fn speak<S>(stream: S, router: Router, header_time: Duration, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let builder = http(header_time);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let _ = watcher.watch(connection.into_owned()).await;
}

fn http(header_time: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_time).max_buf_size(HEADERS_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADERS_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(header_time)
        .keep_alive_timeout(header_time);
    builder
}

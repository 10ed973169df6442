//! `serve`: a collector that SDKs can be pointed at.
//!
//! ```text
//! door (port) ─> guard: time, bytes ─> unpack ─> Intake ─> Store on a blocking thread ─> durable ─> acknowledged
//!   otlp-grpc    otlp-http    zipkin    page (which only asks)
//! ```
//!
//! The reactor never waits for a disk: whatever touches the store runs on a blocking thread. A span is acknowledged
//! when the store's durability mode is met, never before; whatever cannot be taken is refused with a reason, and with a
//! hint when to come again if that would help.

mod configure;
mod door;
mod grpc;
mod guard;
mod intake;
mod logs;
mod measures;
mod otlp_grpc;
mod otlp_http;
mod page;
mod refusal;
mod settings;
mod spans_metrics;
mod tls;
mod tokens;
mod unpack;
mod zipkin;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use tailspan::{Limits, Store};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::outcome::Outcome;
pub use configure::settle;
use door::Door;
use guard::Guard;
use intake::Intake;
pub use settings::ServeArgs;
use tokens::{Tokens, Wish, wish_of_zipkin};

/// How often a long recovery says that it goes on.
const STILL_OPENING: Duration = Duration::from_secs(2);

/// Serves until a signal ends it, then finishes what is under way and closes the store.
pub fn run(args: &ServeArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    args.check_doors()?;
    let (tokens, tls) = (Tokens::read(args)?, tls::acceptor(args)?);
    logs::start(args);
    let store = open(args)?;
    let damaged = !store.recovery().damage.is_empty();
    let runtime = Builder::new_multi_thread()
        .worker_threads(args.threads.max(1))
        .max_blocking_threads(args.blocking_threads.max(1))
        .thread_name("tailspan-serve")
        .enable_all()
        .build()
        .context("cannot start the threads of the server")?;
    let served = serve(&runtime, (args, &tokens, tls), &store, out);
    // Requests that outlive the time to drain hold clones of the store; closing it does not wait for them.
    runtime.shutdown_background();
    store.close()?;
    served?;
    info!("store closed");
    Ok(Outcome::Done.or_damaged(damaged))
}

fn open(args: &ServeArgs) -> anyhow::Result<Store> {
    let mut limits = Limits::default();
    limits.message_bytes_max = args.unpacked_max;
    limits.span_parts_max = args.span_parts_max;
    let builder = Store::builder(&args.store).durability(args.durability.of_store()).limits(limits);
    let builder = builder.memory_budget_bytes(args.memory);
    let (start, log_bytes) = (Instant::now(), log_bytes(&args.store));
    if log_bytes > 0 {
        info!(log_bytes, "reading the log back");
    }
    let opened = AtomicBool::new(false);
    let store = thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            while !opened.load(Relaxed) {
                thread::park_timeout(STILL_OPENING);
                if start.elapsed() >= STILL_OPENING && !opened.load(Relaxed) {
                    info!(seconds = start.elapsed().as_secs(), log_bytes, "still reading the log back");
                }
            }
        });
        let store = builder.open();
        opened.store(true, Relaxed);
        waiting.thread().unpark();
        store
    })?;
    logs::opened(store.recovery(), start.elapsed().as_secs_f64());
    Ok(store)
}

/// Bytes of the logs that are read back when a store is opened; 0 for one that is not there yet.
fn log_bytes(store: &Path) -> u64 {
    let entries = fs::read_dir(store.join("log")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}

fn serve(
    runtime: &Runtime,
    (args, tokens, tls): (&ServeArgs, &Tokens, Option<TlsAcceptor>),
    store: &Store,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let intake = Intake::new(store.clone());
    let guard = Guard::new(args);
    let api = Arc::new(zipkin::Api::new(store.clone(), args));
    let zipkin =
        zipkin::without_trace(zipkin::router(intake.clone(), api.clone(), args).merge(page::router(api.clone())));
    let routers = [
        tokens.around(otlp_grpc::router(intake.clone(), args.unpacked_max), |_| Some(Wish::Send)),
        tokens.around(otlp_http::router(intake, args.unpacked_max), |_| Some(Wish::Send)),
        tokens.around(zipkin, wish_of_zipkin),
        tokens.around(page::router(api.clone()).merge(measures::router(api)?), page::wish),
    ];
    runtime.block_on(async {
        // Asked for before the doors open, so that a signal that comes at once is heard.
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (stop, stopped) = watch::channel(false);
        let connections = Arc::new(tokio::sync::Semaphore::new(args.connections_max));
        let mut open_doors = Vec::new();
        for ((name, address), router) in args.doors().into_iter().zip(routers) {
            if let Some(address) = address.0 {
                let door =
                    Door::open(name, address, guard.around(router), connections.clone(), (args, tls.clone())).await?;
                writeln!(out, "{name} {}", door.address()?)?;
                info!(door = name, address = %door.address()?, tls = tls.is_some(), "open");
                open_doors.push(tokio::spawn(door.serve(stopped.clone())));
            }
        }
        writeln!(out, "ready")?;
        out.flush()?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        info!("asked to end; finishing what is under way");
        stop.send_replace(true);
        let drained = async {
            for door in open_doors {
                let _ = door.await;
            }
        };
        if tokio::time::timeout(args.drain_time.0, drained).await.is_err() {
            warn!("some requests did not end in time and were cut off unacknowledged");
        }
        Ok(())
    })
}

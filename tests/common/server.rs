//! A running `tailspan serve`, and a client that speaks HTTP with it.
//!
//! Ports are chosen by the operating system and read from what the server prints. A server that is dropped is killed, as
//! a crash would end it.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A server in a process of its own.
pub struct Server {
    child: Child,
    doors: HashMap<String, String>,
}

impl Server {
    /// Starts it on this store and waits until its doors are open.
    pub fn start(store: &Path, flags: &[&str]) -> Self {
        let ports =
            ["--otlp-grpc=127.0.0.1:0", "--otlp-http=127.0.0.1:0", "--zipkin=127.0.0.1:0", "--page=127.0.0.1:0"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_tailspan"));
        command.arg("serve").arg(store).args(ports).args(flags).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut doors = HashMap::new();
        let mut ready = false;
        for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
            let line = line.expect("a line");
            ready = line == "ready";
            match line.split_once(' ') {
                Some((name, address)) => doors.insert(name.to_owned(), address.to_owned()),
                None => break,
            };
        }
        if !ready {
            let mut complaint = String::new();
            child.stderr.take().expect("piped").read_to_string(&mut complaint).expect("its complaint");
            panic!("the server did not start: {complaint}");
        }
        Self { child, doors }
    }

    /// The address of a door: `otlp-grpc`, `otlp-http`, `zipkin` or `page`.
    pub fn door(&self, name: &str) -> &str {
        &self.doors[name]
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Waits for its end.
    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended, mostly.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a text"))
    }
}

/// A body in pieces. One piece is sent with its length, several are sent in chunks without one.
pub struct Pieces(VecDeque<Bytes>);

impl Pieces {
    pub fn new(pieces: impl IntoIterator<Item = impl Into<Bytes>>) -> Self {
        Self(pieces.into_iter().map(Into::into).collect())
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.len() {
            0 => SizeHint::with_exact(0),
            1 => SizeHint::with_exact(self.0[0].len() as u64),
            _ => SizeHint::new(),
        }
    }
}

/// Runs what a client does.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// Sends one request over HTTP/1 and reads the answer.
pub fn send(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: Pieces) -> Answer {
    run(async {
        let stream = TcpStream::connect(address).await.expect("the door is open");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        // Its errors are those of the request.
        let connection = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(body).expect("a request")).await.expect("an answer");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("the whole answer").to_bytes().to_vec();
        connection.abort();
        Answer { status: head.status, headers: head.headers, body }
    })
}

/// `POST`s a body of one piece.
pub fn post(address: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    send(address, "POST", path, headers, Pieces::new([body.into()]))
}

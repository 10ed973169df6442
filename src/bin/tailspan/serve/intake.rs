//! Spans from the doors into the store.
//!
//! Every append runs on a blocking thread: it writes the log and waits for its sync. Requests that wait together share
//! one sync. A full head is never waited for here; the client is told to come again, so that no thread is held.

use std::time::Instant;

use axum::body::Bytes;
use tailspan::{AppendOptions, Appended, Input, Store, WhenFull};

use super::measures;
use super::refusal::{Cause, Refusal};
use super::zipkin::translated;

/// How spans are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Otlp,
    OtlpJson,
    ZipkinJson,
    ZipkinProto,
    ZipkinV1Json,
    ZipkinThrift,
}

/// The way into the store.
#[derive(Clone)]
pub struct Intake {
    store: Store,
}

impl Intake {
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Appends a message. When this returns without an error, its spans are as durable as the store promises.
    ///
    /// An append that has begun is finished, even if nobody waits for it any more.
    pub async fn append(&self, wire: Wire, message: Bytes) -> Result<Appended, Refusal> {
        let (bytes, start) = (message.len(), Instant::now());
        let outcome = self.put(wire, message).await;
        measures::appended(wire, bytes, start.elapsed(), &outcome);
        outcome
    }

    async fn put(&self, wire: Wire, message: Bytes) -> Result<Appended, Refusal> {
        let store = self.store.clone();
        let options = AppendOptions { when_full: Some(WhenFull::Busy), ..AppendOptions::default() };
        let appended = tokio::task::spawn_blocking(move || {
            let json;
            let input = match wire {
                Wire::Otlp => Input::Otlp(&message),
                Wire::OtlpJson => Input::OtlpJson(&message),
                Wire::ZipkinJson => Input::ZipkinJson(&message),
                Wire::ZipkinProto | Wire::ZipkinV1Json | Wire::ZipkinThrift => {
                    json = translated(wire, &message)?;
                    Input::ZipkinJson(&json)
                }
            };
            Ok(store.append_with(input, options)?)
        });
        appended.await.map_err(|error| Refusal::new(Cause::Internal, format!("the append {error}")))?
    }
}

/// What was rejected and why, in one line: `trace_id_zero: 2, too_large: 1`.
pub fn reasons(appended: &Appended) -> String {
    let texts: Vec<String> = appended.rejected.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
    texts.join(", ")
}

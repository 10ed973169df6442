//! What one client may take from the others: time and memory.
//!
//! A request's body must come within a time and within a number of bytes. The bytes of all requests under way are
//! counted together, packed while they come and unpacked after, so that memory is bounded whatever many clients send;
//! beyond the bound a request is told to come again.
//!
//! ```text
//! body ─> GuardedBody (deadline, bytes of this one) ─> unpack ─> collect (bytes of all) ─> message
//! ```

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Duration, Sleep, sleep};

use super::refusal::{Cause, Refusal};
use super::settings::ServeArgs;

/// Limits on what comes in, shared by all doors.
#[derive(Clone)]
pub struct Guard {
    body_max: usize,
    body_time: Duration,
    all: Arc<Budget>,
}

/// Bytes of all requests under way.
struct Budget {
    held: AtomicUsize,
    max: usize,
}

/// The share of one request; it goes back when the last clone is dropped.
#[derive(Clone)]
pub struct Share(Arc<Held>);

struct Held {
    budget: Arc<Budget>,
    bytes: AtomicUsize,
}

impl Share {
    fn new(budget: Arc<Budget>) -> Self {
        Self(Arc::new(Held { budget, bytes: AtomicUsize::new(0) }))
    }

    /// Takes so many bytes more.
    fn take(&self, bytes: usize) -> Result<(), Refusal> {
        let Held { budget, bytes: own } = &*self.0;
        let before = budget.held.fetch_add(bytes, Ordering::Relaxed);
        own.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > budget.max {
            return Err(Refusal::new(Cause::Busy, "too much is under way at once; try again"));
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Guard {
    pub fn new(args: &ServeArgs) -> Self {
        let all = Arc::new(Budget { held: AtomicUsize::new(0), max: args.requests_bytes_max });
        Self { body_max: args.body_max, body_time: args.body_time.0, all }
    }

    /// The router with every request guarded.
    pub fn around(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), guard))
    }
}

async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let share = Share::new(guard.all.clone());
    let mut request = request.map(|inner| {
        let deadline = Box::pin(sleep(guard.body_time));
        Body::new(GuardedBody { inner, left: guard.body_max, max: guard.body_max, deadline, share: share.clone() })
    });
    request.extensions_mut().insert(share.clone());
    let response = next.run(request).await;
    drop(share);
    response
}

/// A body that fails when it is too long or too slow.
struct GuardedBody {
    inner: Body,
    left: usize,
    max: usize,
    deadline: Pin<Box<Sleep>>,
    share: Share,
}

impl GuardedBody {
    fn count(&mut self, bytes: usize) -> Result<(), Refusal> {
        let max = self.max;
        let left = self.left.checked_sub(bytes);
        let too_large = || Refusal::new(Cause::TooLarge, format!("the request has more than {max} bytes"));
        self.left = left.ok_or_else(too_large)?;
        self.share.take(bytes)
    }
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let counted = this.count(frame.data_ref().map_or(0, Bytes::len));
                Poll::Ready(Some(counted.map(|()| frame).map_err(Into::into)))
            }
            Poll::Ready(other) => Poll::Ready(other.map(|result| result.map_err(Into::into))),
            Poll::Pending => this.deadline.as_mut().poll(context).map(|()| {
                let refusal = Refusal::new(Cause::TooSlow, "the request did not come in time");
                Some(Err(refusal.into()))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Reads an unpacked body whole. `unreadable` says what it is called that cannot be unpacked.
pub async fn collect(request: Request, max: usize, unreadable: &str) -> Result<Bytes, Refusal> {
    let share = request.extensions().get::<Share>().cloned();
    let mut body = request.into_body();
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut len = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| refusal_of(&error, unreadable))?;
        let Ok(data) = frame.into_data() else { continue };
        len += data.len();
        if len > max {
            return Err(Refusal::new(Cause::TooLarge, format!("the request has more than {max} bytes unpacked")));
        }
        if let Some(share) = &share {
            share.take(data.len())?;
        }
        pieces.push(data);
    }
    match <[Bytes; 1]>::try_from(pieces) {
        Ok([whole]) => Ok(whole),
        Err(pieces) => Ok(pieces.concat().into()),
    }
}

/// The refusal at the bottom of an error; what has none could not be read.
pub fn refusal_of(error: &(dyn StdError + 'static), unreadable: &str) -> Refusal {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(refusal) = inner.downcast_ref::<Refusal>() {
            return refusal.clone();
        }
        // An io::Error hides what it was made of from `source`.
        let wrapped = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = wrapped.map(|wrapped| wrapped as &(dyn StdError + 'static)).or_else(|| inner.source());
    }
    Refusal::invalid(unreadable)
}

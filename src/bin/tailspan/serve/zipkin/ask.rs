//! Asking the store on behalf of a client: on a blocking thread, only so many at once, each for a limited time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tailspan::{Snapshot, Store};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::measures;
use super::super::refusal::{Cause, Refusal};
use super::super::settings::ServeArgs;
use super::search::too_long;

/// What the answers depend on.
pub struct Api {
    pub store: Store,
    pub strict: bool,
    pub search_enabled: bool,
    pub autocomplete_keys: Vec<String>,
    pub lookback: Duration,
    pub query_time: Duration,
    names_max_age: Duration,
    queries: Arc<Semaphore>,
}

impl Api {
    pub fn new(store: Store, args: &ServeArgs) -> Self {
        Self {
            store,
            strict: args.strict_trace_id,
            search_enabled: args.search_enabled,
            autocomplete_keys: args.autocomplete_keys.clone(),
            lookback: args.query_lookback.0,
            query_time: args.query_time.0,
            names_max_age: args.names_max_age.0,
            queries: Arc::new(Semaphore::new(args.queries_max)),
        }
    }

    /// Asks a view of the store. Whoever waits longer than the query time is told so; the question itself ends when it
    /// ends, and counts until then.
    pub async fn ask<T, F>(self: &Arc<Self>, question: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&Self, &Snapshot, Instant) -> Result<T, Refusal> + Send + 'static,
    {
        let start = Instant::now();
        let deadline = start + self.query_time;
        let api = self.clone();
        let asked = async move {
            let permit = api.queries.clone().acquire_owned().await.map_err(|_| too_long())?;
            let answered = tokio::task::spawn_blocking(move || {
                let answer = question(&api, &api.store.snapshot(), deadline);
                drop(permit);
                answer
            });
            answered.await.map_err(|error| Refusal::new(Cause::Internal, format!("the query {error}")))?
        };
        let answer = timeout(self.query_time, asked).await;
        measures::asked(start.elapsed());
        answer.map_err(|_| too_long())?
    }

    /// A list of names. Browsers may keep it once there are so many that it will not change every minute.
    pub fn names(&self, names: &[String], keep: bool) -> Response {
        let mut response = json_response(serde_json::to_vec(names).unwrap_or_default());
        if keep {
            let text = format!("max-age={}, must-revalidate", self.names_max_age.as_secs());
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().insert(header::CACHE_CONTROL, value);
            }
        }
        response
    }
}

/// An answer in JSON.
pub fn json_response(body: Vec<u8>) -> Response {
    const JSON: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (JSON, body).into_response()
}

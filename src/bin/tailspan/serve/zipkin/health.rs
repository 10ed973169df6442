//! Whether it works, what it is, what Zipkin's page wants to know; and emptying the store, for test kits alone.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tailspan::{AppendOptions, Durability, Input, WhenFull};

use super::super::refusal::{Cause, Refusal};
use super::ask::{Api, json_response};

/// `GET /health`: 200 if spans are taken, else 503; with the reason.
pub async fn health(State(api): State<Arc<Api>>) -> Result<Response, Refusal> {
    // An append of nothing fails as any other does if the store was closed by a failed sync.
    let problem = api.ask(|api, _, _| {
        let options = AppendOptions { durability: Some(Durability::Buffered), when_full: Some(WhenFull::Busy) };
        let appended = api.store.append_with(Input::Spans(&mut std::iter::empty()), options);
        Ok(appended.err().map(|error| error.to_string()))
    });
    let problem = problem.await?;
    let status = if problem.is_none() { "UP" } else { "DOWN" };
    let store = match problem.as_ref() {
        None => json!({"status": status}),
        Some(problem) => json!({"status": status, "details": {"error": problem}}),
    };
    let body = json!({"status": status, "zipkin": {"status": status, "details": {"tailspan": store}}});
    let response = json_of(&body);
    Ok(if problem.is_none() { response } else { (StatusCode::SERVICE_UNAVAILABLE, response).into_response() })
}

/// `GET /info`
pub async fn info() -> Response {
    json_of(&json!({"tailspan": {"version": env!("CARGO_PKG_VERSION")}}))
}

/// `GET /config.json`: what Zipkin's page asks for first.
pub async fn config(State(api): State<Arc<Api>>) -> Response {
    json_of(&json!({
        "environment": "",
        "queryLimit": 10,
        "defaultLookback": 900_000,
        "searchEnabled": api.search_enabled,
        "dependency": {"enabled": true, "lowErrorRate": 0.5, "highErrorRate": 0.75},
    }))
}

/// `POST /test/purge`: deletes every trace.
pub async fn purge(State(api): State<Arc<Api>>) -> Result<StatusCode, Refusal> {
    let purged = tokio::task::spawn_blocking(move || {
        let mut ids = Vec::new();
        for trace in api.store.spans() {
            ids.extend(trace?.first().map(|span| span.trace_id));
        }
        api.store.delete(&ids).map(|_| ())
    });
    purged.await.map_err(|error| Refusal::new(Cause::Internal, format!("the purge {error}")))??;
    Ok(StatusCode::OK)
}

pub fn json_of(body: &Value) -> Response {
    json_response(body.to_string().into_bytes())
}

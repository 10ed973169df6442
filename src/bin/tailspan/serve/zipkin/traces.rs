//! Traces by id and by search, and the links between services.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tailspan::{LinkKind, LinksQuery, Span, TimeRange, write_zipkin_json};

use super::super::refusal::{Cause, Refusal};
use super::ask::{Api, json_response};
use super::request::{Lookback, Parameters, TraceRequest, trace_id, trace_ids};
use super::search::{Manner, read, search};
use crate::times::now_nanos;

const NANOS_PER_MILLI: u64 = 1_000_000;

type Answer = Result<Response, Refusal>;

/// `GET /api/v2/traces`
pub async fn traces(State(api): State<Arc<Api>>, parameters: Parameters) -> Answer {
    let request = TraceRequest::read(&parameters, now_nanos() / NANOS_PER_MILLI, millis(&api))?;
    let body = api.ask(move |api, snapshot, deadline| {
        if !api.search_enabled {
            return Ok(b"[]".to_vec());
        }
        Ok(list_of(&search(snapshot, &request, Manner { strict: api.strict, deadline })?)?)
    });
    Ok(json_response(body.await?))
}

/// `GET /api/v2/trace/{id}`
pub async fn trace(State(api): State<Arc<Api>>, Path(text): Path<String>) -> Answer {
    let text = text.trim().to_owned();
    let id = trace_id(&text)?;
    let spans = api.ask(move |api, snapshot, _| {
        let spans = read(snapshot, id, api.strict)?;
        let mut body = Vec::new();
        write_zipkin_json(&spans, &mut body)?;
        Ok((!spans.is_empty()).then_some(body))
    });
    match spans.await? {
        Some(body) => Ok(json_response(body)),
        None => Ok((StatusCode::NOT_FOUND, format!("{text} not found")).into_response()),
    }
}

/// `GET /api/v2/traceMany`
pub async fn trace_many(State(api): State<Arc<Api>>, parameters: Parameters) -> Answer {
    let mut ids = trace_ids(parameters.required("traceIds")?)?;
    let body = api.ask(move |api, snapshot, _| {
        if !api.strict {
            // Two ids that share their lower half name one trace.
            let mut seen = HashSet::new();
            ids.retain(|id| seen.insert(id.low()));
        }
        let mut traces = Vec::new();
        for id in ids {
            let spans = read(snapshot, id, api.strict)?;
            if !spans.is_empty() {
                traces.push(spans);
            }
        }
        Ok(list_of(&traces)?)
    });
    Ok(json_response(body.await?))
}

/// `GET /api/v2/dependencies`
pub async fn dependencies(State(api): State<Arc<Api>>, parameters: Parameters) -> Answer {
    let window = Lookback::read(&parameters, None, millis(&api))?.nanos();
    let mut query = LinksQuery::new().window(TimeRange { since: Some(window.start), until: Some(window.end) });
    query.quantiles = Vec::new();
    let body = api.ask(move |_, snapshot, _| {
        let report = snapshot.links(&query)?;
        if let Some(reason) = report.reason {
            return Err(Refusal::new(Cause::Internal, reason));
        }
        let mut calls: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
        for link in report.links.into_iter().filter(|link| link.kind != LinkKind::Link) {
            let sums = calls.entry((link.parent.to_lowercase(), link.child.to_lowercase())).or_default();
            *sums = (sums.0 + link.call_count, sums.1 + link.error_count);
        }
        let lines = calls.into_iter().map(|((parent, child), (call_count, errors))| Dependency {
            parent,
            child,
            call_count,
            error_count: (errors > 0).then_some(errors),
        });
        serde_json::to_vec(&lines.collect::<Vec<_>>()).map_err(|error| Refusal::new(Cause::Internal, error.to_string()))
    });
    Ok(json_response(body.await?))
}

/// A link in Zipkin's order of fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    parent: String,
    child: String,
    call_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_count: Option<u64>,
}

fn list_of(traces: &[Vec<Span>]) -> tailspan::Result<Vec<u8>> {
    let mut body = vec![b'['];
    for (index, spans) in traces.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        write_zipkin_json(spans, &mut body)?;
    }
    body.push(b']');
    Ok(body)
}

fn millis(api: &Api) -> u64 {
    u64::try_from(api.lookback.as_millis()).unwrap_or(u64::MAX)
}

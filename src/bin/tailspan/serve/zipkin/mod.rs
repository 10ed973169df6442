//! Zipkin's door: spans in, and Zipkin's query API, version 2, as its own server answers it.
//!
//! Every path is there a second time below `/zipkin`, where Zipkin's page looks for it. Errors are plain text in Zipkin's
//! words. Queries run on blocking threads, only so many at once, each for a limited time.

mod ask;
mod counts;
mod formats;
mod health;
mod matching;
mod names;
mod request;
mod search;
mod take;
mod traces;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use super::intake::Intake;
use super::measures::PROMETHEUS_TEXT;
use super::settings::ServeArgs;
use super::unpack::unpacked;
pub use ask::Api;
use counts::Counts;
pub use formats::translated;
use take::Collector;
pub use take::REPORT;

/// Every path of Zipkin's.
pub fn router(intake: Intake, api: Arc<Api>, args: &ServeArgs) -> Router {
    let mut paths = Router::new();
    // What is switched off is not there, as opposed to not allowed.
    let mut spans = MethodRouter::new().fallback(async |method: Method| match method {
        Method::GET | Method::POST => StatusCode::NOT_FOUND,
        _ => StatusCode::METHOD_NOT_ALLOWED,
    });
    let counts = Arc::new(Counts::default());
    let collector = Collector { intake, counts: counts.clone(), max: args.unpacked_max };
    // gRPC packs its messages itself.
    let mut grpc = Router::new();
    if args.zipkin_collector {
        let (v1, report) = (collector.clone(), collector.clone());
        spans = spans.post(async move |request: Request| collector.spans(request).await);
        paths = paths.route("/api/v1/spans", post(async move |request: Request| v1.spans_v1(request).await));
        grpc = grpc.route(REPORT, post(async move |request: Request| report.report(request).await));
    }
    if args.zipkin_query {
        spans = spans.get(names::spans);
        paths = paths
            .route("/api/v2/services", get(names::services))
            .route("/api/v2/remoteServices", get(names::remote_services))
            .route("/api/v2/autocompleteKeys", get(names::autocomplete_keys))
            .route("/api/v2/autocompleteValues", get(names::autocomplete_values))
            .route("/api/v2/traces", get(traces::traces))
            .route("/api/v2/trace/{id}", get(traces::trace))
            .route("/api/v2/traceMany", get(traces::trace_many))
            .route("/api/v2/dependencies", get(traces::dependencies))
            .route("/config.json", get(health::config));
    }
    paths = paths.route("/api/v2/spans", spans);
    if args.test_purge {
        paths = paths.route("/test/purge", post(health::purge));
    }
    let prometheus = counts.clone();
    let paths = paths
        .route("/metrics", get(async move || health::json_of(&counts.json())))
        .route("/prometheus", get(async move || (PROMETHEUS_TEXT, prometheus.prometheus())));
    let paths = paths.route("/health", get(health::health)).route("/info", get(health::info)).with_state(api);
    let both = Router::new().nest("/zipkin", paths.clone()).merge(paths);
    unpacked(both).layer(cors(&args.allowed_origins)).merge(grpc)
}

/// Zipkin allows every origin unless told.
fn cors(origins: &[String]) -> CorsLayer {
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::from(Any)
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    // The answer is the same for whoever asks, unless origins are named.
    CorsLayer::new().allow_origin(origin).allow_methods([Method::GET, Method::POST]).allow_headers(Any).vary([])
}

/// The paths of this door without the method TRACE, which would echo credentials and is allowed nowhere.
pub fn without_trace(router: Router) -> Router {
    router.layer(from_fn(no_trace))
}

async fn no_trace(request: Request, next: Next) -> Response {
    if request.method() == Method::TRACE {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    next.run(request).await
}

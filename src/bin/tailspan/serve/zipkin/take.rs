//! Spans in Zipkin's formats: `POST /api/v2/spans`, `POST /api/v1/spans` and gRPC.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tailspan::Appended;

use super::super::grpc::unary;
use super::super::guard::collect;
use super::super::intake::{Intake, Wire, reasons};
use super::super::refusal::{Cause, Refusal};
use super::counts::{Counts, Transport};

/// What only the old format has.
const V1_FIELD: &[u8] = b"yAnnotations\"";

/// The method of Zipkin's gRPC service, as openzipkin/zipkin-api defines it.
pub const REPORT: &str = "/zipkin.proto3.SpanService/Report";

/// Takes lists of at most so many bytes unpacked. Accepted means stored, as safely as the store promises.
#[derive(Clone)]
pub struct Collector {
    pub intake: Intake,
    pub counts: Arc<Counts>,
    pub max: usize,
}

impl Collector {
    /// `POST /api/v2/spans`
    pub async fn spans(self, request: Request) -> Response {
        let proto = is_of(request.headers(), "application/x-protobuf");
        self.posted(if proto { Wire::ZipkinProto } else { Wire::ZipkinJson }, request).await
    }

    /// `POST /api/v1/spans`
    pub async fn spans_v1(self, request: Request) -> Response {
        let thrift = is_of(request.headers(), "application/x-thrift");
        self.posted(if thrift { Wire::ZipkinThrift } else { Wire::ZipkinV1Json }, request).await
    }

    /// `zipkin.proto3.SpanService/Report`: a `ListOfSpans` for an empty message.
    pub async fn report(self, request: Request) -> Response {
        let max = self.max;
        let method = move |message: Bytes| {
            let collector = self.clone();
            async move { collector.take(Transport::Grpc, Wire::ZipkinProto, message).await.map_err(|error| error.grpc()) }
        };
        unary(max, request, method).await
    }

    async fn posted(self, wire: Wire, request: Request) -> Response {
        let message = match collect(request, self.max, "Cannot gunzip spans").await {
            Ok(message) => message,
            Err(refusal) => {
                let refused = Err(refusal.clone());
                self.counts.message(Transport::Http, 0, &refused);
                return refusal.into_response();
            }
        };
        match self.take(Transport::Http, wire, message).await {
            Ok(()) => StatusCode::ACCEPTED.into_response(),
            Err(refusal) => refusal.into_response(),
        }
    }

    async fn take(&self, transport: Transport, wire: Wire, message: Bytes) -> Result<(), Refusal> {
        // Zipkin has always taken an empty request for an empty list.
        let outcome = match message.is_empty() {
            true => Ok(Appended::default()),
            false => self.intake.append(wire, message.clone()).await,
        };
        self.counts.message(transport, message.len(), &outcome);
        let in_words = |refusal| if wire == Wire::ZipkinJson { in_words(refusal, &message) } else { refusal };
        let appended = outcome.map_err(in_words)?;
        match appended.rejected_count() {
            0 => Ok(()),
            rejected => {
                let (all, reasons) = (appended.total(), reasons(&appended));
                let text = format!("{rejected} of {all} spans were rejected ({reasons}), the others are stored");
                Err(Refusal::invalid(text))
            }
        }
    }
}

/// True if the content is of this type; whatever else is said counts as JSON.
fn is_of(headers: &HeaderMap, content_type: &str) -> bool {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().is_some_and(|text| text.trim().eq_ignore_ascii_case(content_type))
}

/// The refusal in Zipkin's words where it has some: its clients' tests look for them.
fn in_words(refusal: Refusal, message: &[u8]) -> Refusal {
    if refusal.cause != Cause::Invalid {
        return refusal;
    }
    if !message.trim_ascii_start().starts_with(b"[") {
        return Refusal::invalid("Expected a JSON_V2 encoded list\n");
    }
    // `binaryAnnotations` tells Zipkin's old format from the new one.
    if message.windows(V1_FIELD.len()).any(|window| window == V1_FIELD) {
        return Refusal::invalid("Expected a JSON_V2 encoded list, but received: JSON_V1\n");
    }
    refusal
}

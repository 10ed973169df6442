//! OTLP over HTTP: `POST /v1/traces` with protobuf or JSON, answered in the same form.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use prost::Message;
use serde_json::json;
use tailspan::Appended;

use super::guard::collect;
use super::intake::{Intake, Wire, reasons};
use super::otlp_grpc::answer;
use super::refusal::{Cause, Refusal};
use super::unpack::unpacked;

/// The form of a request and of its answer.
#[derive(Clone, Copy)]
enum Form {
    Protobuf,
    Json,
}

/// The one path there is; requests have at most so many bytes unpacked.
pub fn router(intake: Intake, unpacked_max: usize) -> Router {
    let traces = async move |request: Request| traces(intake, unpacked_max, request).await;
    unpacked(Router::new().route("/v1/traces", post(traces)))
}

async fn traces(intake: Intake, unpacked_max: usize, request: Request) -> Response {
    let form = match Form::of(request.headers()) {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    let taken = async {
        let message = collect(request, unpacked_max, "the request cannot be unpacked").await?;
        intake.append(form.wire(), message).await
    };
    match taken.await {
        Ok(appended) => form.accepted(&appended),
        Err(refusal) => form.refused(&refusal),
    }
}

impl Form {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let text = headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
        match text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            _ => {
                let text = format!("content type '{text}'; send application/x-protobuf or application/json");
                Err(Refusal::new(Cause::UnknownFormat, text))
            }
        }
    }

    fn wire(self) -> Wire {
        match self {
            Self::Protobuf => Wire::Otlp,
            Self::Json => Wire::OtlpJson,
        }
    }

    /// The published answer; in JSON, 64-bit integers are texts.
    fn accepted(self, appended: &Appended) -> Response {
        let body = match self {
            Self::Protobuf => answer(appended).encode_to_vec(),
            Self::Json if appended.rejected_count() == 0 => b"{}".to_vec(),
            Self::Json => {
                let rejected = appended.rejected_count().to_string();
                json!({"partialSuccess": {"rejectedSpans": rejected, "errorMessage": reasons(appended)}})
                    .to_string()
                    .into_bytes()
            }
        };
        self.response(StatusCode::OK, body)
    }

    /// A refusal as `google.rpc.Status`.
    fn refused(self, refusal: &Refusal) -> Response {
        let (code, message) = (refusal.grpc_code() as i32, refusal.message.clone());
        let body = match self {
            Self::Protobuf => tonic_types::Status { code, message, details: Vec::new() }.encode_to_vec(),
            Self::Json => json!({"code": code, "message": message}).to_string().into_bytes(),
        };
        refusal.hint(self.response(refusal.http_status(), body))
    }

    fn response(self, status: StatusCode, body: Vec<u8>) -> Response {
        let content_type = match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        };
        (status, [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response()
    }
}

//! OTLP over gRPC: `opentelemetry.proto.collector.trace.v1.TraceService/Export`.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use tailspan::Appended;
use tonic::{Code, Status};

use super::grpc::unary;
use super::intake::{Intake, Wire, reasons};

/// The one method there is.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The service; messages have at most so many bytes unpacked.
pub fn router(intake: Intake, message_max: usize) -> Router {
    let export = async move |request: Request| {
        let method = move |message: Bytes| export(intake.clone(), message);
        unary(message_max, request, method).await
    };
    Router::new().route(EXPORT, post(export)).fallback(async || {
        let status = Status::new(Code::Unimplemented, "only TraceService/Export is spoken here");
        status.into_http::<Body>()
    })
}

async fn export(intake: Intake, message: Bytes) -> Result<ExportTraceServiceResponse, Status> {
    let appended = intake.append(Wire::Otlp, message).await.map_err(|refusal| refusal.grpc())?;
    Ok(answer(&appended))
}

/// The answer to an export: silent unless spans were rejected, as OTLP has it.
pub fn answer(appended: &Appended) -> ExportTraceServiceResponse {
    let rejected = appended.rejected_count();
    let partial_success = (rejected > 0).then(|| ExportTracePartialSuccess {
        rejected_spans: i64::try_from(rejected).unwrap_or(i64::MAX),
        error_message: reasons(appended),
    });
    ExportTraceServiceResponse { partial_success }
}

//! OTLP over gRPC: `opentelemetry.proto.collector.trace.v1.TraceService/Export`.
//!
//! The store reads the message itself, so the codec hands on its bytes: no span is built on the way.

use std::future::Future;
use std::pin::Pin;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message;
use prost::bytes::Buf;
use tailspan::Appended;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};

use super::guard::refusal_of;
use super::intake::{Intake, Wire, reasons};

/// The one method there is.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The service; messages have at most so many bytes unpacked.
pub fn router(intake: Intake, message_max: usize) -> Router {
    let export = async move |request: Request| export(intake, message_max, request).await;
    Router::new().route(EXPORT, post(export)).fallback(async || {
        let status = Status::new(Code::Unimplemented, "only TraceService/Export is spoken here");
        status.into_http::<Body>()
    })
}

async fn export(intake: Intake, message_max: usize, request: Request) -> Response {
    let mut grpc = Grpc::new(RawCodec)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(message_max);
    // tonic would call an error it does not know UNKNOWN; a refusal has a code of its own.
    let request = request.map(|body| {
        let refused = |error: axum::Error| refusal_of(&error, "the request broke off").grpc();
        http_body_util::BodyExt::map_err(body, refused)
    });
    grpc.unary(Export(intake), request).await.map(Body::new)
}

/// Takes one message.
struct Export(Intake);

impl UnaryService<Bytes> for Export {
    type Response = ExportTraceServiceResponse;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Self::Response>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let intake = self.0.clone();
        Box::pin(async move {
            let appended = intake.append(Wire::Otlp, request.into_inner()).await.map_err(|refusal| refusal.grpc())?;
            Ok(tonic::Response::new(answer(&appended)))
        })
    }
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

/// Bytes in, a message out.
#[derive(Clone, Copy)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = ExportTraceServiceResponse;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

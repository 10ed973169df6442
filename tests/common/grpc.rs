//! A client of OTLP's trace service that sends whatever bytes a test wants.

use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use prost::bytes::{Buf, BufMut};
use tokio::net::TcpStream;
use tonic::Status;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tower::ServiceExt;

use super::server::run;

/// Calls a method with a message and reads the answer.
pub fn call(
    address: &str,
    path: &'static str,
    packed: Option<CompressionEncoding>,
    message: Vec<u8>,
) -> Result<ExportTraceServiceResponse, Status> {
    run(async {
        let stream = TcpStream::connect(address).await.expect("the door is open");
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
        // Its errors are those of the call.
        let connection = tokio::spawn(connection);
        let service = tower::service_fn(move |request: Request<Body>| {
            let mut sender = sender.clone();
            async move { sender.send_request(request).await }
        });
        let origin = format!("http://{address}").parse().expect("an address");
        let mut grpc = Grpc::with_origin(service.boxed_clone(), origin);
        if let Some(packed) = packed {
            grpc = grpc.send_compressed(packed);
        }
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(path);
        let answer = grpc.unary(tonic::Request::new(message), path, Bare).await;
        connection.abort();
        answer.map(tonic::Response::into_inner)
    })
}

/// Bytes out, a message in.
#[derive(Clone, Copy)]
struct Bare;

impl Codec for Bare {
    type Encode = Vec<u8>;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bare {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(Bytes::from(item));
        Ok(())
    }
}

impl Decoder for Bare {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let answer = ExportTraceServiceResponse::decode(buffer.copy_to_bytes(buffer.remaining()));
        answer.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

//! A gRPC method whose message is handed on as bytes: the store reads OTLP itself, so no span is built on the way.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use prost::Message;
use prost::bytes::Buf;
use tonic::Status;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};

use super::guard::refusal_of;

/// Answers a request with what `method` makes of its message, of at most so many bytes unpacked.
pub async fn unary<A, F>(
    message_max: usize,
    request: Request,
    method: impl FnMut(Bytes) -> F + Send + 'static,
) -> Response
where
    A: Message + Default + 'static,
    F: Future<Output = Result<A, Status>> + Send + 'static,
{
    let mut grpc = Grpc::new(RawCodec(PhantomData))
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(message_max);
    // tonic would call an error it does not know UNKNOWN; a refusal has a code of its own.
    let request = request.map(|body| {
        let refused = |error: axum::Error| refusal_of(&error, "the request broke off").grpc();
        http_body_util::BodyExt::map_err(body, refused)
    });
    grpc.unary(Method(method), request).await.map(Body::new)
}

/// A function as tonic wants it.
struct Method<M>(M);

impl<A, F, M> UnaryService<Bytes> for Method<M>
where
    M: FnMut(Bytes) -> F,
    A: Message,
    F: Future<Output = Result<A, Status>> + Send + 'static,
{
    type Response = A;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<A>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let answer = (self.0)(request.into_inner());
        Box::pin(async move { answer.await.map(tonic::Response::new) })
    }
}

/// Bytes in, a message out.
struct RawCodec<A>(PhantomData<A>);

impl<A: Message + Default + 'static> Codec for RawCodec<A> {
    type Encode = A;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self(PhantomData)
    }

    fn decoder(&mut self) -> Self {
        Self(PhantomData)
    }
}

impl<A: Message> Encoder for RawCodec<A> {
    type Item = A;
    type Error = Status;

    fn encode(&mut self, item: A, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<A> Decoder for RawCodec<A> {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

//! gzip and zstd bodies, for the doors that speak HTTP. gRPC unpacks message by message.

use axum::Router;
use axum::body::Body;
use tower::ServiceBuilder;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::map_request_body::MapRequestBodyLayer;

/// The router behind a layer that unpacks what says it is packed. Other encodings are answered 415.
///
/// Unpacking is lazy: whoever reads the body counts the bytes and stops at the limit.
pub fn unpacked(router: Router) -> Router {
    router
        .layer(ServiceBuilder::new().layer(RequestDecompressionLayer::new()).layer(MapRequestBodyLayer::new(Body::new)))
}

//! Why a request is not taken, in the words of HTTP and of gRPC.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tailspan::ErrorKind;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// What a client can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The request is wrong: it must not be sent again as it is.
    Invalid,
    /// What it asks for is not there.
    NotFound,
    /// It is larger than a limit.
    TooLarge,
    /// It is in a format that is not spoken here.
    UnknownFormat,
    /// It came too slowly.
    TooSlow,
    /// There is no room now: it may be sent again.
    Busy,
    /// The store takes nothing now: it may be sent again, and someone has to look after the store.
    Unavailable,
    /// Something failed on this side.
    Internal,
}

/// A request that is not taken, and why.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub cause: Cause,
    pub message: String,
    pub retry_after: Option<Duration>,
}

impl Refusal {
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        let retry_after = match cause {
            Cause::Busy => Some(Duration::from_millis(100)),
            Cause::Unavailable => Some(Duration::from_secs(5)),
            _ => None,
        };
        Self { cause, message: message.into(), retry_after }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Cause::Invalid, message)
    }

    /// The status for HTTP.
    pub fn http_status(&self) -> StatusCode {
        match self.cause {
            Cause::Invalid => StatusCode::BAD_REQUEST,
            Cause::NotFound => StatusCode::NOT_FOUND,
            Cause::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Cause::UnknownFormat => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Cause::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Cause::Busy => StatusCode::TOO_MANY_REQUESTS,
            Cause::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Cause::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The code for gRPC. OTLP's exporters send again what got one of the retryable codes.
    pub fn grpc_code(&self) -> Code {
        match self.cause {
            Cause::Invalid | Cause::TooLarge | Cause::UnknownFormat => Code::InvalidArgument,
            Cause::NotFound => Code::NotFound,
            Cause::TooSlow => Code::DeadlineExceeded,
            Cause::Busy => Code::ResourceExhausted,
            Cause::Unavailable => Code::Unavailable,
            Cause::Internal => Code::Internal,
        }
    }

    /// The refusal for gRPC. OTLP takes RESOURCE_EXHAUSTED as "come again" only if it says when.
    pub fn grpc(&self) -> Status {
        match self.retry_after {
            Some(wait) => {
                let details = ErrorDetails::with_retry_info(Some(wait));
                Status::with_error_details(self.grpc_code(), self.message.clone(), details)
            }
            None => Status::new(self.grpc_code(), self.message.clone()),
        }
    }

    /// This answer with the header that says when to come again, in whole seconds as HTTP has it.
    pub fn hint(&self, mut response: Response) -> Response {
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        response
    }
}

/// The refusal as plain text.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.hint((self.http_status(), self.message.clone()).into_response())
    }
}

impl From<tailspan::Error> for Refusal {
    fn from(error: tailspan::Error) -> Self {
        let cause = match error.kind() {
            ErrorKind::Invalid => Cause::Invalid,
            ErrorKind::TooLarge => Cause::TooLarge,
            ErrorKind::Busy => Cause::Busy,
            ErrorKind::NoSpace | ErrorKind::Closed | ErrorKind::Locked => Cause::Unavailable,
            _ => Cause::Internal,
        };
        let hint = error.retry_after();
        let refusal = Self::new(cause, error.to_string());
        Self { retry_after: hint.or(refusal.retry_after), ..refusal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_store_says_when_to_come_again_in_both_protocols() {
        let error = tailspan::Error::new(ErrorKind::Busy, "full").with_retry_after(Duration::from_millis(1500));
        let refusal = Refusal::from(error);
        let response = refusal.clone().into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        let status = refusal.grpc();
        assert_eq!(status.code(), Code::ResourceExhausted);
        let info = status.get_details_retry_info().expect("a hint");
        assert_eq!(info.retry_delay, Some(Duration::from_millis(1500)));
    }

    #[test]
    fn what_a_client_did_wrong_is_not_to_be_sent_again() {
        let refusal = Refusal::from(tailspan::Error::invalid("no message"));
        assert_eq!((refusal.http_status(), refusal.grpc_code()), (StatusCode::BAD_REQUEST, Code::InvalidArgument));
        assert_eq!(refusal.retry_after, None);
    }
}

//! Spans in Zipkin's formats: `POST /api/v2/spans`.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::super::guard::collect;
use super::super::intake::{Intake, Wire, reasons};
use super::super::refusal::{Cause, Refusal};

/// What only the old format has.
const V1_FIELD: &[u8] = b"yAnnotations\"";

/// Takes a list of at most so many bytes unpacked. Accepted means stored, as safely as the store promises.
pub async fn spans(intake: Intake, max: usize, request: Request) -> Response {
    match take(intake, max, request).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn take(intake: Intake, max: usize, request: Request) -> Result<(), Refusal> {
    let message = collect(request, max, "Cannot gunzip spans").await?;
    // Zipkin has always taken an empty request for an empty list.
    if message.is_empty() {
        return Ok(());
    }
    let appended =
        intake.append(Wire::ZipkinJson, message.clone()).await.map_err(|refusal| in_words(refusal, &message))?;
    match appended.rejected_count() {
        0 => Ok(()),
        rejected => {
            let (all, reasons) = (appended.total(), reasons(&appended));
            Err(Refusal::invalid(format!("{rejected} of {all} spans were rejected ({reasons}), the others are stored")))
        }
    }
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

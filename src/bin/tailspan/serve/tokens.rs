//! Bearer tokens: who may send spans, and who may ask.
//!
//! Tokens stand in files, one a line, so that no list of processes shows them and a new one can be valid beside the old.
//! Without a file whoever reaches the door may use it. Health is told to anyone.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tonic::Status;

use super::page::free;
use super::settings::ServeArgs;
use super::zipkin::REPORT;
use crate::outcome::usage;

/// What a client wants of a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To send spans.
    Send,
    /// To ask.
    Ask,
}

/// What a request wants; none for what is free.
type WishOf = fn(&Request) -> Option<Wish>;

/// The tokens that are good, by wish.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    send: Option<Arc<Vec<String>>>,
    ask: Option<Arc<Vec<String>>>,
}

impl Tokens {
    /// Reads the files the settings name.
    pub fn read(args: &ServeArgs) -> anyhow::Result<Self> {
        let read = |path: &Option<_>| path.as_deref().map(lines).transpose();
        Ok(Self { send: read(&args.ingest_tokens)?, ask: read(&args.query_tokens)? })
    }

    /// The router for those who have a token for what they want.
    pub fn around(&self, router: Router, wish: WishOf) -> Router {
        router.layer(from_fn_with_state((self.clone(), wish), admit))
    }

    fn admits(&self, wish: Wish, headers: &HeaderMap) -> bool {
        let good = match wish {
            Wish::Send => &self.send,
            Wish::Ask => &self.ask,
        };
        let Some(good) = good else { return true };
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        // All are compared, so that the time it takes does not tell which one was nearly right.
        shown.is_some_and(|shown| good.iter().fold(false, |found, token| found | same(token.as_bytes(), shown)))
    }
}

async fn admit(State((tokens, wish)): State<(Tokens, WishOf)>, request: Request, next: Next) -> Response {
    match wish(&request) {
        Some(wish) if !tokens.admits(wish, request.headers()) => refuse(request.headers()),
        _ => next.run(request).await,
    }
}

/// Spans are sent by whatever is posted; health and the page are free, and so is asking what may be asked across origins.
pub fn wish_of_zipkin(request: &Request) -> Option<Wish> {
    match request.uri().path() {
        "/health" | "/info" | "/zipkin/health" | "/zipkin/info" => None,
        path if free(path) => None,
        _ if request.method() == Method::OPTIONS => None,
        REPORT | "/api/v1/spans" | "/zipkin/api/v1/spans" => Some(Wish::Send),
        "/api/v2/spans" | "/zipkin/api/v2/spans" if request.method() == Method::POST => Some(Wish::Send),
        _ => Some(Wish::Ask),
    }
}

fn refuse(headers: &HeaderMap) -> Response {
    const WORDS: &str = "send `Authorization: Bearer TOKEN` with a token of this server";
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if kind.starts_with(b"application/grpc") {
        return Status::unauthenticated(WORDS).into_http();
    }
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], WORDS).into_response()
}

/// The token of the header, whose scheme is in any case.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// True if they are equal, found out in a time that depends on their lengths alone.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |odds, (left, right)| odds | (left ^ right)) == 0
}

/// The tokens of a file.
fn lines(path: &Path) -> anyhow::Result<Arc<Vec<String>>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(usage(format!("{} holds no token; write one a line", path.display())));
    }
    Ok(Arc::new(lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(authorization: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(authorization))])
    }

    #[test]
    fn only_a_token_of_the_list_is_admitted_and_only_for_its_wish() {
        let send = Some(Arc::new(vec!["old".to_owned(), "new".to_owned()]));
        let tokens = Tokens { send, ask: None };
        for good in ["Bearer old", "bearer new", "BEARER  new "] {
            assert!(tokens.admits(Wish::Send, &headers(good)), "{good}");
        }
        for bad in ["Bearer ol", "Bearer older", "Bearer ", "Bearer", "old", "Basic old", "Bearer old,new"] {
            assert!(!tokens.admits(Wish::Send, &headers(bad)), "{bad}");
        }
        assert!(!tokens.admits(Wish::Send, &HeaderMap::new()));
        assert!(tokens.admits(Wish::Ask, &HeaderMap::new()), "no file, no token");
    }
}

//! Questions over HTTP, as a page asks them. A question is a command of the command line,
//!
//! ```text
//! GET /api/latency?service=checkout&by=name&error   =   tailspan latency STORE --service=checkout --by=name --error --json
//! ```
//!
//! answered with the command's own lines; so whatever the page shows can be asked for in a terminal. The page itself is
//! `files`.

mod files;

use std::io;
use std::path::Path as FilePath;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub use files::free;

use super::refusal::{Cause, Refusal};
use super::tokens::Wish;
use super::zipkin::Api;
use crate::commands::{batch, run_on};
use crate::outcome::{Outcome, code_of, message_of};
use crate::output::{Look, Report};

/// What may be asked: commands that read, and whose answers are lines.
const QUESTIONS: [&str; 19] = [
    "attributes",
    "compare",
    "concurrency",
    "critical-path",
    "fanout",
    "find",
    "heatmap",
    "latency",
    "links",
    "operations",
    "pairs",
    "remote-services",
    "root-cause",
    "series",
    "services",
    "slowest",
    "stats",
    "trace",
    "wait",
];
/// Answers are no pages: a browser runs and frames nothing of them.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
/// Bytes of an answer.
const ANSWER_MAX: usize = 32 << 20;

/// The page and every question.
pub fn router(api: Arc<Api>) -> Router {
    let questions = Router::new().route("/api/{question}", get(question)).with_state(api).layer(from_fn(strict));
    questions.merge(files::router())
}

/// Answers and figures are for those who may ask; the page, which holds none, is for all.
pub fn wish(request: &Request) -> Option<Wish> {
    (!free(request.uri().path())).then_some(Wish::Ask)
}

async fn strict(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn question(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    const LINES: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/x-ndjson; charset=utf-8")];
    let words = words(&name, parameters)?;
    let lines = api.ask(move |api, _, _| answer(api, &words)).await?;
    Ok((LINES, lines).into_response())
}

/// The words of the command. Every parameter is a flag, but `id`, which names a trace.
fn words(name: &str, parameters: Vec<(String, String)>) -> Result<Vec<String>, Refusal> {
    if !QUESTIONS.contains(&name) {
        return Err(Refusal::invalid(format!("'{name}' is no question; ask one of {}", QUESTIONS.join(", "))));
    }
    let mut words = vec![name.to_owned(), "--json".to_owned()];
    for (key, value) in parameters {
        let plain = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') && !key.starts_with('-');
        words.push(match key.as_str() {
            "id" if value.starts_with('-') => return Err(Refusal::invalid("'id' is that of a trace")),
            "id" => value,
            // Nothing that is asked from afar writes files here.
            "output" => return Err(Refusal::invalid("'output' writes files; answers come over HTTP")),
            _ if !plain || key.is_empty() => return Err(Refusal::invalid(format!("'{key}' is no flag"))),
            _ if value.is_empty() => format!("--{key}"),
            _ => format!("--{key}={value}"),
        });
    }
    Ok(words)
}

fn answer(api: &Api, words: &[String]) -> Result<Vec<u8>, Refusal> {
    let refusal = |error: anyhow::Error| {
        let cause = if code_of(&error) == 2 { Cause::Invalid } else { Cause::Internal };
        Refusal::new(cause, message_of(&error))
    };
    let command = batch::parse(FilePath::new("STORE"), words).map_err(refusal)?;
    let mut lines = Capped(Vec::new());
    let outcome = run_on(&api.store, &command, &mut Report::new(&mut lines, true, Look::PLAIN)).map_err(refusal)?;
    match outcome {
        Outcome::NotFound => Err(Refusal::new(Cause::NotFound, "there is no such trace")),
        Outcome::Done | Outcome::Damaged => Ok(lines.0),
    }
}

/// An answer that fails when it grows too long.
struct Capped(Vec<u8>);

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > ANSWER_MAX {
            return Err(io::Error::other("the answer is too long; ask for less"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, parameters: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let owned = parameters.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        words(name, owned).map_err(|refusal| refusal.message)
    }

    #[test]
    fn parameters_are_flags_and_values_cannot_become_some() {
        let asked = of("find", &[("service", "--output=x"), ("error", "")]).expect("a question");
        assert_eq!(asked, ["find", "--json", "--service=--output=x", "--error"]);
        assert_eq!(of("trace", &[("id", "abc")]).expect("a question"), ["trace", "--json", "abc"]);
    }

    #[test]
    fn nothing_that_writes_can_be_asked() {
        for name in ["delete", "seal", "retain", "backup", "import", "serve", "batch", "--help", ""] {
            assert!(of(name, &[]).is_err(), "{name}");
        }
        for key in ["output", "", "-output", "Output", "output=x", "json --output"] {
            assert!(of("trace", &[(key, "x")]).is_err(), "{key}");
        }
        assert!(of("trace", &[("id", "--output=x")]).is_err());
    }
}

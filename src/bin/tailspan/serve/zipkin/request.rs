//! What a client of Zipkin's API asks for, checked as Zipkin checks it, with Zipkin's words where something is wrong.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use tailspan::{AnnotationTerm, TraceId};

use super::super::refusal::Refusal;

/// Digits of a long trace id.
const ID_DIGITS_MAX: usize = 32;
const NANOS_PER_MICRO: u64 = 1_000;
const MICROS_PER_MILLI: u64 = 1_000;

/// The parameters of a request; of several with one name the first counts.
#[derive(Debug, Default)]
pub struct Parameters(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let read = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        read.map(|Query(pairs)| Self(pairs)).map_err(|error| Refusal::invalid(error.body_text()))
    }
}

impl Parameters {
    /// The text of a parameter, if it is there.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The text of a parameter that must be there.
    pub fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.text(name).ok_or_else(|| Refusal::invalid(format!("mandatory parameter '{name}' is missing")))
    }

    /// The whole number of a parameter, if it is there. One that is there and empty is not there.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let wrong = |text| Refusal::invalid(format!("parameter '{name}' is no whole number: {text}"));
        let text = self.text(name).filter(|text| !text.is_empty());
        text.map(|text| text.parse().map_err(|_| wrong(text))).transpose()
    }

    /// A number that is at least 1, or what it is by default.
    fn positive(&self, name: &str, default: u64) -> Result<u64, Refusal> {
        match self.number(name)? {
            None => Ok(default),
            Some(number) => positive(name, number),
        }
    }

    /// The name of a service or span: in lower case, and absent if empty.
    fn name(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_lowercase).filter(|text| !text.is_empty())
    }
}

fn positive(name: &str, number: i64) -> Result<u64, Refusal> {
    u64::try_from(number).ok().filter(|n| *n > 0).ok_or_else(|| Refusal::invalid(format!("{name} <= 0")))
}

/// A stretch of time that ends at `endTs`, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookback {
    pub since_micros: u64,
    pub until_micros: u64,
}

impl Lookback {
    /// Reads `endTs` and `lookback`, both in milliseconds.
    pub fn read(parameters: &Parameters, now_ms: Option<u64>, default_ms: u64) -> Result<Self, Refusal> {
        let end = match now_ms {
            Some(now) => parameters.positive("endTs", now)?,
            None => {
                parameters.required("endTs")?;
                parameters.positive("endTs", 0)?
            }
        };
        let lookback = parameters.positive("lookback", default_ms)?;
        Ok(Self {
            since_micros: end.saturating_sub(lookback).saturating_mul(MICROS_PER_MILLI),
            until_micros: end.saturating_mul(MICROS_PER_MILLI),
        })
    }

    pub fn contains(&self, micros: u64) -> bool {
        (self.since_micros..=self.until_micros).contains(&micros)
    }

    /// The window as a range of nanoseconds: whole microseconds, the last one included.
    pub fn nanos(&self) -> std::ops::Range<u64> {
        let until = self.until_micros.saturating_add(1).saturating_mul(NANOS_PER_MICRO);
        self.since_micros.saturating_mul(NANOS_PER_MICRO)..until
    }
}

/// A search for traces.
#[derive(Clone, Debug)]
pub struct TraceRequest {
    pub service: Option<String>,
    pub remote_service: Option<String>,
    pub name: Option<String>,
    pub annotations: Vec<AnnotationTerm>,
    pub min_micros: Option<u64>,
    pub max_micros: Option<u64>,
    pub when: Lookback,
    pub limit: usize,
}

impl TraceRequest {
    /// Reads a search at this time, which is the end of the window by default.
    pub fn read(parameters: &Parameters, now_ms: u64, lookback_ms: u64) -> Result<Self, Refusal> {
        let when = Lookback::read(parameters, Some(now_ms), lookback_ms)?;
        let limit = parameters.positive("limit", 10)?;
        let min_micros = parameters.number("minDuration")?.map(|min| positive("minDuration", min)).transpose()?;
        let max = parameters.number("maxDuration")?;
        let max_micros = match (min_micros, max) {
            (_, None) => None,
            (None, Some(_)) => return Err(Refusal::invalid("maxDuration is only valid with minDuration")),
            (Some(min), Some(max)) => {
                let longer = u64::try_from(max).ok().filter(|max| *max >= min);
                Some(longer.ok_or_else(|| Refusal::invalid("maxDuration < minDuration"))?)
            }
        };
        Ok(Self {
            service: parameters.name("serviceName"),
            remote_service: parameters.name("remoteServiceName"),
            name: parameters.name("spanName").filter(|name| name != "all"),
            annotations: parameters.text("annotationQuery").map(AnnotationTerm::parse_query).unwrap_or_default(),
            min_micros,
            max_micros,
            when,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        })
    }
}

/// Reads a trace id as Zipkin does: 1 to 32 digits in lower case, not all zero.
pub fn trace_id(text: &str) -> Result<TraceId, Refusal> {
    let wrong = match text.len() {
        0 => Some("traceId is empty".to_owned()),
        _ if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) => {
            Some(format!("{text} should be lower-hex encoded with no prefix"))
        }
        len if len > ID_DIGITS_MAX => Some("traceId.length > 32".to_owned()),
        _ => None,
    };
    match wrong {
        Some(wrong) => Err(Refusal::invalid(wrong)),
        None => TraceId::parse(text).map_err(|_| Refusal::invalid("traceId is all zeros")),
    }
}

/// Reads the list of `traceMany`.
pub fn trace_ids(text: &str) -> Result<Vec<TraceId>, Refusal> {
    if text.is_empty() {
        return Err(Refusal::invalid("traceIds parameter is empty"));
    }
    let mut ids = Vec::new();
    for text in text.split(',') {
        let id = trace_id(text)?;
        if ids.contains(&id) {
            return Err(Refusal::invalid(format!("redundant traceId: {text}")));
        }
        ids.push(id);
    }
    match ids.len() {
        1 => Err(Refusal::invalid("Use /api/v2/trace/{traceId} endpoint to retrieve a single trace")),
        _ => Ok(ids),
    }
}

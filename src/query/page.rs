//! Pages of a result: the order of traces as a key, and the token that says where a page ended.
//!
//! A page does not count rows to skip: it starts after the key of the last trace of the page before, so
//! it neither repeats nor skips a trace when others arrive in between. The token is opaque text:
//!
//! ```text
//! base64url( version u8 | order u8 | major u64 | minor u64 | trace id 16 | query u64 | digest u64 )
//! ```
//! `query` is a hash of what the query asks, so that a token is refused by another one; `digest` covers
//! all before it, so that a damaged token is refused. The limit and the window are left out of the hash:
//! a page may be larger than the one before, and `--since=-1h` is another instant each time it is said.

use std::cmp::Reverse;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::bytes::{Reader, Writer, hash64};
use crate::error::{Error, Result};
use crate::model::{TraceId, UnixNanos};

use super::annotation::AnnotationTerm;
use super::predicate::{DurationRange, Order, Query, QueryScope};
use super::summary::TraceSummary;
use super::tag::{Operand, TagFilter, TagOperator, TagScope};

const VERSION: u8 = 1;
const BODY_LEN_BYTES: usize = 1 + 1 + 8 + 8 + 16 + 8;

/// The place of a trace in an order: the smaller key comes first. Compare keys of one order only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey {
    /// Newest: the start. Slowest: the duration.
    major: Reverse<u64>,
    /// Newest: 0. Slowest: the start.
    minor: Reverse<u64>,
    trace_id: TraceId,
}

impl SortKey {
    /// The place in this order of a trace with this start and duration.
    pub fn new(order: Order, start: UnixNanos, duration_nanos: u64, trace_id: TraceId) -> Self {
        let (major, minor) = match order {
            Order::Newest => (start, 0),
            Order::Slowest => (duration_nanos, start),
        };
        Self { major: Reverse(major), minor: Reverse(minor), trace_id }
    }

    /// The place in this order of the trace.
    pub fn of(order: Order, trace: &TraceSummary) -> Self {
        Self::new(order, trace.start_unix_nano, trace.duration_nano, trace.trace_id)
    }
}

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageToken {
    /// The key of its last trace; the next page holds greater ones.
    pub after: SortKey,
}

impl PageToken {
    /// The text of the token, good for pages of this query.
    pub fn encode(&self, query: &Query) -> String {
        let mut writer = Writer::new();
        writer.u8(VERSION);
        writer.u8(order_code(query.order));
        writer.u64(self.after.major.0);
        writer.u64(self.after.minor.0);
        writer.bytes(&self.after.trace_id.to_bytes());
        writer.u64(query_hash(query));
        debug_assert_eq!(writer.len(), BODY_LEN_BYTES);
        let digest = hash64(writer.as_slice());
        writer.u64(digest);
        URL_SAFE_NO_PAD.encode(writer.as_slice())
    }

    /// Where the page before the one that `query` asks for ended; `None` if it asks for the first.
    ///
    /// # Errors
    /// Invalid if its token is malformed, of a newer version, or was given out by another query.
    pub fn decode(query: &Query) -> Result<Option<Self>> {
        query.page_token.as_deref().map(|text| read_token(text, query)).transpose()
    }
}

fn read_token(text: &str, query: &Query) -> Result<PageToken> {
    let malformed = || Error::invalid("page token: malformed; give it exactly as nextPageToken showed it");
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed())?;
    if let Some(&version) = bytes.first().filter(|&&version| version > VERSION) {
        let message = format!("page token: version {version}, this build reads {VERSION}; start at the first page");
        return Err(Error::invalid(message));
    }
    let (body, digest) = bytes.split_at_checked(BODY_LEN_BYTES).ok_or_else(malformed)?;
    read_body(body, digest, query).map_err(|_| malformed())?.ok_or_else(|| {
        Error::invalid("page token: it belongs to another query; repeat the filters and order it was given for")
    })
}

/// The token, or `None` if another query gave it out.
///
/// # Errors
/// Of any kind if it is malformed.
fn read_body(body: &[u8], digest: &[u8], query: &Query) -> Result<Option<PageToken>> {
    let mut reader = Reader::new(digest);
    let digest = reader.u64("digest")?;
    reader.finish("page token")?;
    if digest != hash64(body) {
        return Err(Error::invalid("digest"));
    }
    let mut reader = Reader::new(body);
    let (_version, order) = (reader.u8("version")?, reader.u8("order")?);
    let (major, minor) = (Reverse(reader.u64("major")?), Reverse(reader.u64("minor")?));
    let trace_id = TraceId::from_bytes(reader.array("trace id")?).ok_or_else(|| Error::invalid("trace id"))?;
    let asked = order == order_code(query.order) && reader.u64("query")? == query_hash(query);
    Ok(asked.then_some(PageToken { after: SortKey { major, minor, trace_id } }))
}

fn order_code(order: Order) -> u8 {
    match order {
        Order::Newest => 1,
        Order::Slowest => 2,
    }
}

/// A hash of everything that decides which traces match, but the window. Every field is named here, so
/// that a new one cannot be forgotten.
fn query_hash(query: &Query) -> u64 {
    let Query { service, name, remote_service, kind, status, error, tags, annotations, .. } = query;
    let Query { structure, include_unknown, duration, trace_duration, scope, lenient, .. } = query;
    let Query { order: _, limit: _, window: _, page_token: _, .. } = query;
    let mut out = Writer::new();
    for text in [service, name, remote_service] {
        put_option(text.as_deref().map(str::as_bytes), &mut out);
    }
    put_option(kind.map(|kind| kind.0.to_string()).as_deref().map(str::as_bytes), &mut out);
    put_option(status.map(|status| status.0.to_string()).as_deref().map(str::as_bytes), &mut out);
    out.u8(u8::from(*error));
    out.varint(tags.len() as u64);
    tags.iter().for_each(|filter| put_tag(filter, &mut out));
    out.varint(annotations.len() as u64);
    annotations.iter().for_each(|term| put_annotation(term, &mut out));
    put_range(*duration, &mut out);
    put_range(*trace_duration, &mut out);
    out.u8(match scope {
        QueryScope::Span => 1,
        QueryScope::Service => 2,
        QueryScope::Trace => 3,
    });
    out.u8(u8::from(*lenient));
    // Only where there is one, so that tokens of queries without are what they were.
    if let Some(set) = structure {
        out.block(set.to_string().as_bytes());
        out.u8(u8::from(*include_unknown));
    }
    hash64(out.as_slice())
}

fn put_option(bytes: Option<&[u8]>, out: &mut Writer) {
    out.u8(u8::from(bytes.is_some()));
    out.block(bytes.unwrap_or_default());
}

fn put_range(range: DurationRange, out: &mut Writer) {
    for bound in [range.min, range.max] {
        out.u8(u8::from(bound.is_some()));
        out.u64(bound.unwrap_or(0));
    }
}

fn put_tag(filter: &TagFilter, out: &mut Writer) {
    put_option(filter.scope().map(TagScope::as_str).map(str::as_bytes), out);
    out.block(filter.key().as_bytes());
    out.block(filter.operator().as_str().as_bytes());
    if filter.operator() != TagOperator::Present {
        out.u8(u8::from(matches!(filter.operand(), Operand::Quoted(_))));
        out.block(filter.operand().text().as_bytes());
    }
}

fn put_annotation(term: &AnnotationTerm, out: &mut Writer) {
    let (key, value) = match term {
        AnnotationTerm::Exists(text) => (text, None),
        AnnotationTerm::Tag { key, value } => (key, Some(value)),
    };
    out.block(key.as_bytes());
    put_option(value.map(String::as_bytes), out);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::ErrorKind;
    use crate::model::{SpanKind, StatusCode};

    fn id(low: u64) -> TraceId {
        TraceId::from_halves(0, low).unwrap()
    }

    fn token(order: Order) -> PageToken {
        PageToken { after: SortKey::new(order, 1_700_000_000_000_000_000, 42, id(7)) }
    }

    #[test]
    fn newest_goes_by_start_descending_then_id() {
        let key = |start, duration, trace| SortKey::new(Order::Newest, start, duration, id(trace));
        assert!(key(9, 1, 5) < key(8, 100, 1));
        assert!(key(9, 1, 4) < key(9, 100, 5));
    }

    #[test]
    fn slowest_goes_by_duration_then_start_descending_then_id() {
        let key = |start, duration, trace| SortKey::new(Order::Slowest, start, duration, id(trace));
        assert!(key(1, 9, 5) < key(8, 8, 1));
        assert!(key(8, 9, 5) < key(1, 9, 1));
        assert!(key(8, 9, 4) < key(8, 9, 5));
    }

    #[test]
    fn a_token_reads_back_as_the_key_it_was_made_of() {
        for order in [Order::Newest, Order::Slowest] {
            let query = Query::new().service("a").order(order);
            let next = query.clone().page_token(token(order).encode(&query));
            assert_eq!(PageToken::decode(&next).unwrap(), Some(token(order)));
        }
        assert_eq!(PageToken::decode(&Query::new()).unwrap(), None);
    }

    #[test]
    fn the_limit_and_the_window_may_change_between_pages() {
        let query = Query::new().service("a").since(5);
        let next = query.clone().limit(3).since(6).until(900).page_token(token(Order::Newest).encode(&query));
        assert_eq!(PageToken::decode(&next).unwrap(), Some(token(Order::Newest)));
    }

    #[test]
    fn a_token_of_another_query_is_refused() {
        let second = Duration::from_secs(1);
        let others = [
            Query::new().service("a"),
            Query::new().name("a"),
            Query::new().remote_service("a"),
            Query::new().service(""),
            Query::new().kind(SpanKind::SERVER),
            Query::new().kind(SpanKind::UNSPECIFIED),
            Query::new().status(StatusCode::ERROR),
            Query::new().error(),
            Query::new().tag_text("k").unwrap(),
            Query::new().tag_text("k=").unwrap(),
            Query::new().tag_text("span:k").unwrap(),
            Query::new().tag_text("k=\"\"").unwrap(),
            Query::new().annotation_query("k"),
            Query::new().annotation_query("k=v"),
            Query::new().min_duration(second),
            Query::new().max_duration(second),
            Query::new().min_trace_duration(second),
            Query::new().scope(QueryScope::Trace),
            Query::new().order(Order::Slowest),
            Query::new().structure_text("{}").unwrap(),
            Query::new().structure_text("{} > {}").unwrap(),
            Query::new().structure_text("{}").unwrap().include_unknown(),
            Query::new().lenient(),
            Query::new(),
        ];
        for (i, a) in others.iter().enumerate() {
            for b in others.iter().skip(i + 1) {
                let next = b.clone().page_token(token(a.order).encode(a));
                let error = PageToken::decode(&next).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Invalid);
                assert!(error.to_string().contains("another query"), "{a:?} and {b:?}: {error}");
            }
        }
    }

    #[test]
    fn a_malformed_token_is_refused() {
        let query = Query::new();
        let good = token(Order::Newest).encode(&query);
        let damaged = (0..good.len()).map(|i| {
            let other = if good.as_bytes()[i] == b'A' { "B" } else { "A" };
            format!("{}{other}{}", &good[..i], &good[i + 1..])
        });
        let cut = (0..good.len()).map(|len| good[..len].to_owned());
        let odd = ["", "!", "é", "AAAA"].map(str::to_owned);
        for text in damaged.chain(cut).chain(odd).chain([format!("{good}AAAA")]) {
            let error = PageToken::decode(&Query::new().page_token(text.clone())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        }
    }

    #[test]
    fn the_bytes_of_a_token_never_change() {
        // A pager may outlive an upgrade. A new form of token is a new version, not another text here.
        let query = Query::new().service("checkout").tag_text("span:k>=1").unwrap();
        assert_eq!(
            token(Order::Newest).encode(&query),
            "AQEAACo2_pyXFwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABzNeb6It51iMyuE3eXnW1Ks"
        );
    }
}

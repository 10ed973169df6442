//! What a caller may ask: a [`Query`], built field by field, and the criteria it comes down to.
//!
//! ```text
//! Query::new().service("checkout").min_duration(1s).scope(Service)
//!   criteria   [Service(checkout), Duration(1s..)]      each is met by a span, or not
//!   scope      Span: one span meets all | Service: some span of the service each | Trace: some span each
//!   window     only spans that start inside it may meet anything
//! ```

use std::time::Duration;

use crate::error::Result;
use crate::model::{SpanKind, StatusCode, TimeRange, UnixNanos};

use super::annotation::AnnotationTerm;
use super::structure::SpanSet;
use super::tag::TagFilter;

/// Traces of a page unless the query says otherwise.
const LIMIT_DEFAULT: usize = 20;

/// A range of durations in nanoseconds, both bounds inclusive. An absent bound is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DurationRange {
    /// The shortest duration inside.
    pub min: Option<u64>,
    /// The longest duration inside.
    pub max: Option<u64>,
}

impl DurationRange {
    /// Every duration.
    pub const ALL: Self = Self { min: None, max: None };

    /// True if and only if `min <= nanos <= max`.
    pub fn contains(&self, nanos: u64) -> bool {
        self.min.is_none_or(|min| min <= nanos) && self.max.is_none_or(|max| nanos <= max)
    }

    /// True if neither bound is set.
    pub fn is_all(&self) -> bool {
        *self == Self::ALL
    }
}

/// Which spans must meet the criteria together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum QueryScope {
    /// One span meets all of them.
    #[default]
    Span,
    /// Each is met by some span of the given service (of any service if none is given): Zipkin's rule.
    Service,
    /// Each, the service included, is met by some span of the trace.
    Trace,
}

/// Which traces come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// Latest start first, then smaller id.
    #[default]
    Newest,
    /// Longest duration first, then latest start, then smaller id.
    Slowest,
}

/// One condition that a span meets or does not meet.
#[derive(Clone, Debug, PartialEq)]
pub enum Criterion {
    /// The span was recorded by this service.
    Service(String),
    /// The operation has this name.
    Name(String),
    /// The other side of the call is this service.
    RemoteService(String),
    /// The span has this role.
    Kind(SpanKind),
    /// The span has this outcome.
    Status(StatusCode),
    /// The operation failed.
    Error,
    /// The attributes meet this filter.
    Tag(TagFilter),
    /// The events and attributes meet this term.
    Annotation(AnnotationTerm),
    /// The span has a duration, and it is in this range.
    Duration(DurationRange),
    /// The text passes the test of this filter, whose key and place count for nothing.
    Text(TextField, TagFilter),
}

/// A text of a span that is no attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextField {
    /// The name of the span.
    Name,
    /// What its status says, unless that is empty.
    StatusMessage,
    /// The name of its scope.
    ScopeName,
    /// The version of its scope.
    ScopeVersion,
    /// The name of any of its events.
    EventName,
}

/// A question for traces. The default asks for the 20 newest.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Query {
    /// The service that recorded the span, exactly.
    pub service: Option<String>,
    /// The name of the span, exactly.
    pub name: Option<String>,
    /// The other side of the call, exactly.
    pub remote_service: Option<String>,
    /// The role of the span.
    pub kind: Option<SpanKind>,
    /// The outcome of the span.
    pub status: Option<StatusCode>,
    /// Ask for failed operations.
    pub error: bool,
    /// Conditions on attributes, each a criterion.
    pub tags: Vec<TagFilter>,
    /// Terms of an annotation query, each a criterion.
    pub annotations: Vec<AnnotationTerm>,
    /// Duration of the span; both bounds are one criterion.
    pub duration: DurationRange,
    /// Duration of the trace: latest end minus earliest start.
    pub trace_duration: DurationRange,
    /// A structural condition on the matching span.
    pub structure: Option<SpanSet>,
    /// Find, too, traces where a missing span leaves the structural condition open.
    pub include_unknown: bool,
    /// Where the matching span starts.
    pub window: TimeRange,
    /// Which spans must meet the criteria together.
    pub scope: QueryScope,
    /// Traces of a page; 0 for all.
    pub limit: usize,
    /// Which traces come first.
    pub order: Order,
    /// Where the page before ended; `None` for the first page.
    pub page_token: Option<String>,
    /// Join traces whose ids share the lower 64 bits.
    pub lenient: bool,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            service: None,
            name: None,
            remote_service: None,
            kind: None,
            status: None,
            error: false,
            tags: Vec::new(),
            annotations: Vec::new(),
            duration: DurationRange::ALL,
            trace_duration: DurationRange::ALL,
            structure: None,
            include_unknown: false,
            window: TimeRange::ALL,
            scope: QueryScope::Span,
            limit: LIMIT_DEFAULT,
            order: Order::Newest,
            page_token: None,
            lenient: false,
        }
    }
}

impl Query {
    /// The 20 newest traces.
    pub fn new() -> Self {
        Self::default()
    }

    /// The independent criteria a span may meet, in the order of the fields. The window, the duration of the
    /// trace and the structural condition are not among them.
    pub fn criteria(&self) -> Vec<Criterion> {
        let mut criteria = Vec::new();
        criteria.extend(self.service.clone().map(Criterion::Service));
        criteria.extend(self.name.clone().map(Criterion::Name));
        criteria.extend(self.remote_service.clone().map(Criterion::RemoteService));
        criteria.extend(self.kind.map(Criterion::Kind));
        criteria.extend(self.status.map(Criterion::Status));
        criteria.extend(self.error.then_some(Criterion::Error));
        criteria.extend(self.tags.iter().cloned().map(Criterion::Tag));
        criteria.extend(self.annotations.iter().cloned().map(Criterion::Annotation));
        criteria.extend((!self.duration.is_all()).then_some(Criterion::Duration(self.duration)));
        criteria
    }

    /// Asks for spans of this service.
    #[must_use]
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = Some(service.into());
        self
    }

    /// Asks for spans of this name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Asks for calls to or from this service.
    #[must_use]
    pub fn remote_service(mut self, remote_service: impl Into<String>) -> Self {
        self.remote_service = Some(remote_service.into());
        self
    }

    /// Asks for spans of this role.
    #[must_use]
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Asks for spans of this outcome.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// Asks for failed operations.
    #[must_use]
    pub fn error(mut self) -> Self {
        self.error = true;
        self
    }

    /// Adds a condition on attributes.
    #[must_use]
    pub fn tag(mut self, filter: TagFilter) -> Self {
        self.tags.push(filter);
        self
    }

    /// Adds the condition on attributes that `--tag` would read from this text.
    ///
    /// # Errors
    /// As [`TagFilter::parse`].
    pub fn tag_text(self, text: &str) -> Result<Self> {
        Ok(self.tag(TagFilter::parse(text)?))
    }

    /// Adds the terms of a Zipkin annotation query.
    #[must_use]
    pub fn annotation_query(mut self, text: &str) -> Self {
        self.annotations.extend(AnnotationTerm::parse_query(text));
        self
    }

    /// Asks for spans that took at least this long.
    #[must_use]
    pub fn min_duration(mut self, min: Duration) -> Self {
        self.duration.min = Some(nanos(min));
        self
    }

    /// Asks for spans that took at most this long.
    #[must_use]
    pub fn max_duration(mut self, max: Duration) -> Self {
        self.duration.max = Some(nanos(max));
        self
    }

    /// Asks for traces that took at least this long.
    #[must_use]
    pub fn min_trace_duration(mut self, min: Duration) -> Self {
        self.trace_duration.min = Some(nanos(min));
        self
    }

    /// Asks for traces that took at most this long.
    #[must_use]
    pub fn max_trace_duration(mut self, max: Duration) -> Self {
        self.trace_duration.max = Some(nanos(max));
        self
    }

    /// Asks for spans of this set: by what they are and how they hang together with other spans of the trace.
    #[must_use]
    pub fn structure(mut self, set: SpanSet) -> Self {
        self.structure = Some(set);
        self
    }

    /// Asks for the spans that `--where` would read from this text.
    ///
    /// # Errors
    /// As [`SpanSet::parse`].
    pub fn structure_text(self, text: &str) -> Result<Self> {
        Ok(self.structure(SpanSet::parse(text)?))
    }

    /// Asks `find` for traces, too, where a missing span leaves the structural condition open.
    #[must_use]
    pub fn include_unknown(mut self) -> Self {
        self.include_unknown = true;
        self
    }

    /// Asks for matching spans that start in this range.
    #[must_use]
    pub fn window(mut self, window: TimeRange) -> Self {
        self.window = window;
        self
    }

    /// Asks for matching spans that start at this time or later.
    #[must_use]
    pub fn since(mut self, since: UnixNanos) -> Self {
        self.window.since = Some(since);
        self
    }

    /// Asks for matching spans that start before this time.
    #[must_use]
    pub fn until(mut self, until: UnixNanos) -> Self {
        self.window.until = Some(until);
        self
    }

    /// Says which spans must meet the criteria together.
    #[must_use]
    pub fn scope(mut self, scope: QueryScope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets the traces of a page; 0 for all.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Says which traces come first.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Asks for the page after the one that gave this token.
    #[must_use]
    pub fn page_token(mut self, token: impl Into<String>) -> Self {
        self.page_token = Some(token.into());
        self
    }

    /// Joins traces whose ids share the lower 64 bits.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }
}

/// Nanoseconds of a duration; one of more than 584 years counts as the longest there is.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_asks_for_the_twenty_newest_unless_told() {
        let query = Query::new();
        assert_eq!((query.limit, query.order, query.scope), (20, Order::Newest, QueryScope::Span));
        assert_eq!(query.criteria(), []);
    }

    #[test]
    fn both_bounds_of_the_duration_are_one_criterion() {
        let query = Query::new().min_duration(Duration::from_nanos(5)).max_duration(Duration::from_nanos(9));
        assert_eq!(query.criteria(), [Criterion::Duration(DurationRange { min: Some(5), max: Some(9) })]);
    }

    #[test]
    fn each_tag_and_each_annotation_term_is_a_criterion() {
        let query = Query::new().service("s").error().tag_text("a=1").unwrap().tag_text("b").unwrap();
        let query = query.annotation_query("x and y=z").kind(SpanKind::SERVER);
        assert_eq!(query.criteria().len(), 7);
    }

    #[test]
    fn the_window_and_the_duration_of_the_trace_are_no_criteria() {
        let query = Query::new().since(1).until(2).min_trace_duration(Duration::from_secs(1));
        assert_eq!(query.criteria(), []);
    }

    #[test]
    fn duration_bounds_are_inclusive() {
        let range = DurationRange { min: Some(5), max: Some(9) };
        assert_eq!([4, 5, 9, 10].map(|nanos| range.contains(nanos)), [false, true, true, false]);
    }

    #[test]
    fn a_duration_beyond_584_years_counts_as_the_longest() {
        assert_eq!(Query::new().min_duration(Duration::MAX).duration.min, Some(u64::MAX));
    }
}

//! The filters that choose spans, shared by every command that searches: flags in, [`Query`] out.

use clap::{Args, ValueEnum};
use tailspan::{DurationRange, Query, QueryScope, SpanKind, SpanSet, StatusCode, TagFilter, TimeRange};

use crate::times::{parse_duration, parse_time};

/// Which spans are meant. Without a filter all of them are.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters")]
pub struct Filters {
    /// Service that recorded the span, exactly
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Name of the span, exactly
    #[arg(long)]
    pub name: Option<String>,
    /// The other side of the call: a peer, a database, a queue
    #[arg(long, value_name = "NAME")]
    pub remote_service: Option<String>,
    /// Role of the span: server, client, producer, consumer, internal or unspecified
    #[arg(long, value_parser = parse_kind)]
    pub kind: Option<SpanKind>,
    /// Outcome of the span: unset, ok or error
    #[arg(long, value_parser = parse_status)]
    pub status: Option<StatusCode>,
    /// Failed spans only
    #[arg(long)]
    pub error: bool,
    /// Attribute condition: KEY, KEY=VALUE, or != < <= > >= =~ !~; repeatable, all must hold.
    /// KEY may begin with span: resource: scope: event: link:
    #[arg(long, value_name = "KEY[OP VALUE]", value_parser = TagFilter::parse)]
    pub tag: Vec<TagFilter>,
    /// Zipkin's annotation query, as in 'error and http.method=GET'
    #[arg(long, value_name = "TEXT")]
    pub annotation_query: Option<String>,
    /// Shortest duration of the span, inclusive, as in 250ms or 1.5s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub min_duration: Option<u64>,
    /// Longest duration of the span, inclusive
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub max_duration: Option<u64>,
    /// Shortest duration of the whole trace, inclusive
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub min_trace_duration: Option<u64>,
    /// Longest duration of the whole trace, inclusive
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub max_trace_duration: Option<u64>,
    /// Spans by how they hang together, in TraceQL's words: '{ A } >> { B }' finds spans B below a span A;
    /// also `>`, `<`, `<<`, `~` and their opposites `!>`, `!>>`, `!<`, `!<<`, `!~`, `&&`, `||` and '| count() > N', as in
    /// '{ resource.service.name = "checkout" } >> { status = error && duration > 1s }'
    #[arg(long = "where", value_name = "EXPR", value_parser = SpanSet::parse)]
    pub structure: Option<SpanSet>,
    /// Spans that start at this time or later: RFC 3339, a Unix time, or -1h
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub since: Option<u64>,
    /// Spans that start before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub until: Option<u64>,
    /// Whether one span meets all filters, or spans of the service, or of the trace, each meet one
    #[arg(long, value_enum, default_value_t)]
    pub scope: Scope,
}

/// Which spans meet the filters together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    /// One span meets everything
    #[default]
    Span,
    /// Each filter is met by some span of the given service
    Service,
    /// Each filter is met by some span of the trace
    Trace,
}

impl Filters {
    /// The query these flags ask for, with the order and page left at their defaults.
    pub fn query(&self) -> Query {
        let mut query = Query::new();
        query.service.clone_from(&self.service);
        query.name.clone_from(&self.name);
        query.remote_service.clone_from(&self.remote_service);
        query.kind = self.kind;
        query.status = self.status;
        query.error = self.error;
        query.tags.clone_from(&self.tag);
        query.structure.clone_from(&self.structure);
        query.duration = DurationRange { min: self.min_duration, max: self.max_duration };
        query.trace_duration = DurationRange { min: self.min_trace_duration, max: self.max_trace_duration };
        query.window = TimeRange { since: self.since, until: self.until };
        query.scope = match self.scope {
            Scope::Span => QueryScope::Span,
            Scope::Service => QueryScope::Service,
            Scope::Trace => QueryScope::Trace,
        };
        match &self.annotation_query {
            Some(text) => query.annotation_query(text),
            None => query,
        }
    }
}

fn parse_kind(word: &str) -> Result<SpanKind, String> {
    SpanKind::from_word(word)
        .ok_or_else(|| "it is one of server, client, producer, consumer, internal, unspecified".to_owned())
}

fn parse_status(word: &str) -> Result<StatusCode, String> {
    StatusCode::from_word(word).ok_or_else(|| "it is one of unset, ok, error".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        filters: Filters,
    }

    fn query(words: &[&str]) -> Result<Query, clap::Error> {
        Line::try_parse_from([&["find"], words].concat()).map(|line| line.filters.query())
    }

    #[test]
    fn flags_become_the_fields_of_a_query() {
        let query = query(&[
            "--service=checkout",
            "--kind",
            "client",
            "--status=error",
            "--error",
            "--tag",
            "http.status_code>=500",
            "--tag=user.id",
            "--min-duration=1.5s",
            "--until",
            "1767225600",
            "--where={ } > { }",
            "--scope=trace",
        ])
        .unwrap();
        assert_eq!(query.service.as_deref(), Some("checkout"));
        assert_eq!((query.kind, query.status, query.error), (Some(SpanKind::CLIENT), Some(StatusCode::ERROR), true));
        assert_eq!(query.tags.len(), 2);
        assert_eq!(query.structure.map(|set| set.to_string()).as_deref(), Some("{ } > { }"));
        assert_eq!(query.duration, DurationRange { min: Some(1_500_000_000), max: None });
        assert_eq!(query.window, TimeRange { since: None, until: Some(1_767_225_600_000_000_000) });
        assert_eq!(query.scope, QueryScope::Trace);
    }

    #[test]
    fn a_time_may_begin_with_a_hyphen() {
        assert!(query(&["--since", "-1h"]).unwrap().window.since.is_some());
    }

    #[test]
    fn a_bad_value_is_refused_with_a_reason() {
        for words in [
            ["--kind=servant"],
            ["--min-duration=5"],
            ["--tag==x"],
            ["--tag=a=~("],
            ["--since=soon"],
            ["--where={ name = }"],
        ] {
            let error = query(&words).unwrap_err().to_string();
            assert!(error.starts_with("error: invalid value"), "{error}");
        }
    }
}

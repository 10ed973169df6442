//! What a condition looks at: an attribute in some place, or an intrinsic of span, trace, event, link or scope.

use std::fmt;

use super::super::tag::{ElementType, TagScope};

/// Something a span has, in TraceQL's words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpanField {
    /// An attribute. Without a place, that of the first of span, resource, events, links and scope that has the key.
    Attribute {
        /// Where it stands.
        place: Option<TagScope>,
        /// Its key.
        key: String,
    },
    /// `name`: of the span.
    Name,
    /// `kind`: the role of the span.
    Kind,
    /// `status`: the outcome of the span.
    Status,
    /// `statusMessage`: what the status says; empty if there is none.
    StatusMessage,
    /// `duration`: of the span, in nanoseconds.
    Duration,
    /// `span:id`: 16 lower-case hexadecimal digits.
    SpanId,
    /// `span:parentID`: the recorded parent, 16 digits.
    ParentId,
    /// `span:childCount`: how many spans of the trace hang directly under it.
    ChildCount,
    /// `trace:id`: 32 lower-case hexadecimal digits.
    TraceId,
    /// `trace:duration`: latest end minus earliest start, in nanoseconds.
    TraceDuration,
    /// `trace:rootName`: the name of the root.
    RootName,
    /// `trace:rootService`: the service of the root.
    RootService,
    /// `event:name`: of any event.
    EventName,
    /// `event:timeSinceStart`: of any event, nanoseconds since the span's start.
    EventTimeSinceStart,
    /// `link:traceID`: of any link, 32 digits.
    LinkTraceId,
    /// `link:spanID`: of any link, 16 digits.
    LinkSpanId,
    /// `instrumentation:name`: of the scope; empty if it has none.
    ScopeName,
    /// `instrumentation:version`: of the scope; empty if it has none.
    ScopeVersion,
    /// `nestedSetLeft`: place in the nested set of the trace, from 1; 0 below a missing parent.
    NestedSetLeft,
    /// `nestedSetRight`: the end of that place; 0 below a missing parent.
    NestedSetRight,
    /// `nestedSetParent`: the parent's left; -1 for a root, 0 below a missing parent.
    NestedSetParent,
}

/// The values that a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Whatever an attribute may hold.
    Any,
    /// Strings or numbers.
    Of(ElementType),
    /// Kinds of spans.
    Kind,
    /// Outcomes of spans.
    Status,
}

/// Spellings of the intrinsics; the first of a field is the one that is printed.
const SPELLINGS: [(&str, SpanField); 31] = [
    ("name", SpanField::Name),
    ("span:name", SpanField::Name),
    ("kind", SpanField::Kind),
    ("span:kind", SpanField::Kind),
    ("status", SpanField::Status),
    ("span:status", SpanField::Status),
    ("statusMessage", SpanField::StatusMessage),
    ("span:statusMessage", SpanField::StatusMessage),
    ("duration", SpanField::Duration),
    ("span:duration", SpanField::Duration),
    ("span:id", SpanField::SpanId),
    ("span:parentID", SpanField::ParentId),
    ("span:childCount", SpanField::ChildCount),
    ("childCount", SpanField::ChildCount),
    ("trace:id", SpanField::TraceId),
    ("trace:duration", SpanField::TraceDuration),
    ("traceDuration", SpanField::TraceDuration),
    ("trace:rootName", SpanField::RootName),
    ("rootName", SpanField::RootName),
    ("trace:rootService", SpanField::RootService),
    ("rootServiceName", SpanField::RootService),
    ("event:name", SpanField::EventName),
    ("event:timeSinceStart", SpanField::EventTimeSinceStart),
    ("link:traceID", SpanField::LinkTraceId),
    ("link:spanID", SpanField::LinkSpanId),
    ("instrumentation:name", SpanField::ScopeName),
    ("instrumentation:version", SpanField::ScopeVersion),
    ("scope:name", SpanField::ScopeName),
    ("scope:version", SpanField::ScopeVersion),
    ("nestedSetLeft", SpanField::NestedSetLeft),
    ("nestedSetRight", SpanField::NestedSetRight),
];
/// The spelling that finds roots.
const NESTED_SET_PARENT: &str = "nestedSetParent";

impl SpanField {
    /// The attribute of this key, wherever it stands first.
    pub fn attribute(key: impl Into<String>) -> Self {
        Self::Attribute { place: None, key: key.into() }
    }

    /// The attribute of this key in one place.
    pub fn attribute_of(place: TagScope, key: impl Into<String>) -> Self {
        Self::Attribute { place: Some(place), key: key.into() }
    }

    /// The intrinsic of this spelling.
    pub(super) fn intrinsic(text: &str) -> Option<Self> {
        if text == NESTED_SET_PARENT {
            return Some(Self::NestedSetParent);
        }
        SPELLINGS.iter().find(|(spelling, _)| *spelling == text).map(|(_, field)| field.clone())
    }

    /// The place of attributes of this word before a dot.
    pub(super) fn place(word: &str) -> Option<TagScope> {
        match word {
            "instrumentation" => Some(TagScope::Scope),
            word => TagScope::ALL.into_iter().find(|place| place.as_str() == word),
        }
    }

    /// What it may be compared with.
    pub(super) fn values(&self) -> FieldType {
        match self {
            Self::Attribute { .. } => FieldType::Any,
            Self::Kind => FieldType::Kind,
            Self::Status => FieldType::Status,
            Self::Duration
            | Self::ChildCount
            | Self::TraceDuration
            | Self::EventTimeSinceStart
            | Self::NestedSetLeft
            | Self::NestedSetRight
            | Self::NestedSetParent => FieldType::Of(ElementType::Number),
            _ => FieldType::Of(ElementType::Text),
        }
    }

    /// True if it may be absent, so that it can be compared with nil.
    pub(super) fn may_be_nil(&self) -> bool {
        let service = Self::attribute_of(TagScope::Resource, "service.name");
        matches!(self, Self::Attribute { .. }) && *self != service
    }
}

/// TraceQL's spelling.
impl fmt::Display for SpanField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Attribute { place, key } = self else {
            let spelling = SPELLINGS.iter().find(|(_, field)| field == self).map(|(spelling, _)| *spelling);
            return f.write_str(spelling.unwrap_or(NESTED_SET_PARENT));
        };
        f.write_str(match place {
            None => ".",
            Some(TagScope::Scope) => "instrumentation.",
            Some(TagScope::Span) => "span.",
            Some(TagScope::Resource) => "resource.",
            Some(TagScope::Event) => "event.",
            Some(TagScope::Link) => "link.",
        })?;
        if !key.is_empty() && key.chars().all(is_key_char) {
            return f.write_str(key);
        }
        write!(f, "\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// True if the character may stand in an attribute's key without quotes.
pub(super) fn is_key_char(c: char) -> bool {
    !c.is_whitespace() && !"{}()=~!<>&|^,\"\\".contains(c)
}

//! Zipkin's annotation query: terms that a span must meet, joined by ` and `.
//!
//! `error and http.method=GET` asks for an annotation or a tag named `error`, and for the tag
//! `http.method` of exactly the value `GET`. OTLP events stand for annotations, span attributes for tags.
//! Source: openzipkin/zipkin, `QueryRequest.Builder.parseAnnotationQuery` and `QueryRequest.test`.

use crate::model::{Span, Value};

use super::text::text_of;

/// Parts of an annotation query; what follows the last separator that counts stays in the last part.
const PARTS_MAX: usize = 100;

/// One term of an annotation query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnnotationTerm {
    /// An event of this name, or a span attribute of this key.
    Exists(String),
    /// A span attribute of this key and exactly this value, a value that is not a string by its text.
    Tag {
        /// The key of the attribute.
        key: String,
        /// The value, never empty: an empty one asks for [`AnnotationTerm::Exists`].
        value: String,
    },
}

impl AnnotationTerm {
    /// Reads an annotation query; every text is one, the empty text has no terms.
    ///
    /// Parts are separated by exactly ` and `; a part splits at its first `=`, both sides are trimmed.
    /// Of several values for a key the last counts, and a part without `=` never overrides one.
    pub fn parse_query(text: &str) -> Vec<Self> {
        if text.is_empty() {
            return Vec::new();
        }
        let mut terms: Vec<(&str, &str)> = Vec::new();
        for part in text.splitn(PARTS_MAX, " and ") {
            let (key, value) = match part.split_once('=') {
                Some((key, value)) => (trim(key), Some(trim(value))),
                None => (trim(part), None),
            };
            match terms.iter_mut().find(|(known, _)| *known == key) {
                Some(term) => term.1 = value.unwrap_or(term.1),
                None => terms.push((key, value.unwrap_or_default())),
            }
        }
        terms.into_iter().map(|(key, value)| Self::new(key, value)).collect()
    }

    /// The term `key=value`; with an empty value the term `key`.
    pub fn new(key: &str, value: &str) -> Self {
        if value.is_empty() {
            Self::Exists(key.to_owned())
        } else {
            Self::Tag { key: key.to_owned(), value: value.to_owned() }
        }
    }

    /// True if a span attribute of this key and value meets the term.
    pub fn matches_attribute(&self, key: &str, value: &Value) -> bool {
        match self {
            Self::Exists(text) => key == text,
            Self::Tag { key: wanted_key, value: wanted } => key == wanted_key && text_of(value) == wanted.as_str(),
        }
    }

    /// True if an event of this name meets the term.
    pub fn matches_event(&self, name: &str) -> bool {
        matches!(self, Self::Exists(text) if name == text)
    }

    /// True if the span meets the term.
    pub fn matches_span(&self, span: &Span) -> bool {
        span.attributes.iter().any(|a| self.matches_attribute(&a.key, &a.value))
            || span.events.iter().any(|e| self.matches_event(&e.name))
    }
}

/// Trims what Java's `String.trim` trims: control characters and the space, not Unicode's other spaces.
fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::fixture::{event, span};

    fn exists(text: &str) -> AnnotationTerm {
        AnnotationTerm::Exists(text.to_owned())
    }

    fn tag(key: &str, value: &str) -> AnnotationTerm {
        AnnotationTerm::Tag { key: key.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn parts_are_separated_by_and_between_spaces() {
        let terms = AnnotationTerm::parse_query("error and http.method=GET");
        assert_eq!(terms, [exists("error"), tag("http.method", "GET")]);
        assert_eq!(AnnotationTerm::parse_query("a AND b"), [exists("a AND b")]);
        assert_eq!(AnnotationTerm::parse_query("sand and candy"), [exists("sand"), exists("candy")]);
        assert_eq!(AnnotationTerm::parse_query("a  and  b"), [exists("a"), exists("b")]);
        assert_eq!(AnnotationTerm::parse_query(""), []);
    }

    #[test]
    fn a_part_splits_at_its_first_equals_sign_and_is_trimmed() {
        assert_eq!(AnnotationTerm::parse_query(" sql query = a=b =c "), [tag("sql query", "a=b =c")]);
        assert_eq!(AnnotationTerm::parse_query("\u{a0}k"), [exists("\u{a0}k")]);
    }

    #[test]
    fn the_last_value_of_a_key_wins() {
        assert_eq!(AnnotationTerm::parse_query("k=1 and x and k=2"), [tag("k", "2"), exists("x")]);
        assert_eq!(AnnotationTerm::parse_query("k=1 and k="), [exists("k")]);
    }

    #[test]
    fn a_part_without_value_never_overrides_one_with_a_value() {
        assert_eq!(AnnotationTerm::parse_query("k=1 and k"), [tag("k", "1")]);
        assert_eq!(AnnotationTerm::parse_query("k and k=1"), [tag("k", "1")]);
        assert_eq!(AnnotationTerm::parse_query("k and k"), [exists("k")]);
    }

    #[test]
    fn the_hundredth_part_holds_the_rest() {
        let text = (0..102).map(|n| format!("k{n}")).collect::<Vec<_>>().join(" and ");
        let terms = AnnotationTerm::parse_query(&text);
        assert_eq!(terms.len(), PARTS_MAX);
        assert_eq!(terms.last(), Some(&exists("k99 and k100 and k101")));
    }

    #[test]
    fn a_term_without_value_is_met_by_an_event_name_or_an_attribute_key() {
        let mut named = span(1, 1);
        named.events.push(event("cache miss"));
        assert!(exists("cache miss").matches_span(&named));
        let tagged = span(1, 1).tag("cache miss", "");
        assert!(exists("cache miss").matches_span(&tagged));
        assert!(!exists("cache").matches_span(&tagged));
    }

    #[test]
    fn a_term_with_value_is_met_by_a_span_attribute_alone() {
        let mut inner = span(1, 1).resource("k", "v");
        inner.events.push(event("k=v"));
        inner.events.push(event("k"));
        assert!(!tag("k", "v").matches_span(&inner));
        assert!(tag("k", "v").matches_span(&span(1, 1).tag("k", "v")));
        assert!(!tag("k", "v").matches_span(&span(1, 1).tag("k", "V")));
        assert!(tag("k", "v").matches_span(&span(1, 1).tag("k", "u").tag("k", "v")));
    }

    #[test]
    fn a_value_that_is_not_a_string_is_compared_by_its_text() {
        assert!(tag("k", "200").matches_span(&span(1, 1).tag("k", 200)));
        assert!(tag("k", "0.5").matches_span(&span(1, 1).tag("k", 0.5)));
        assert!(tag("k", "true").matches_span(&span(1, 1).tag("k", true)));
        assert!(!tag("k", "200.0").matches_span(&span(1, 1).tag("k", 200)));
        let list = Value::Array(vec!["a".into(), 1.into()]);
        assert!(tag("k", r#"["a",1]"#).matches_span(&span(1, 1).tag("k", list)));
    }
}

//! What samples are grouped by.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::model::{KeyValue, Span};
use crate::query::text_of;

/// A property of spans that has one text, or none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GroupKey {
    /// The service that recorded the span.
    Service,
    /// The name of the span; none if it is empty.
    Name,
    /// The other side of the call.
    RemoteService,
    /// The kind, as its word.
    Kind,
    /// The status, as its word.
    Status,
    /// The first attribute of this key on the span, else on its resource, else on its scope; as text.
    Attribute(String),
}

impl GroupKey {
    /// The keys of a list with commas between them. An attribute's key ends at the comma.
    ///
    /// # Errors
    /// Invalid if one is no key.
    pub fn parse_list(text: &str) -> Result<Vec<Self>> {
        text.split(',').map(Self::from_str).collect()
    }

    /// The text of the key on a span; `None` if it has none.
    pub fn text_on(&self, span: &Span) -> Option<String> {
        match self {
            Self::Service => span.service().map(str::to_owned),
            Self::Name => (!span.name.is_empty()).then(|| span.name.clone()),
            Self::RemoteService => span.remote_service().map(str::to_owned),
            Self::Kind => Some(span.kind.as_str().to_owned()),
            Self::Status => Some(span.status_code().as_str().to_owned()),
            Self::Attribute(key) => {
                let own = text_in(&span.attributes, key);
                own.or_else(|| text_in(&span.resource.attributes, key)).or_else(|| scope_text(&span.scope, key))
            }
        }
    }
}

/// The text of the first attribute of this key.
pub fn text_in(attributes: &[KeyValue], key: &str) -> Option<String> {
    attributes.iter().find(|a| a.key == key).map(|a| text_of(&a.value).into_owned())
}

/// The text of the key on a scope: an attribute, or its name or version.
pub fn scope_text(scope: &crate::model::Scope, key: &str) -> Option<String> {
    let own = match key {
        "otel.scope.name" => &scope.name,
        "otel.scope.version" => &scope.version,
        _ => "",
    };
    text_in(&scope.attributes, key).or_else(|| (!own.is_empty()).then(|| own.to_owned()))
}

impl FromStr for GroupKey {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Ok(match word {
            "service" => Self::Service,
            "name" => Self::Name,
            "remote-service" => Self::RemoteService,
            "kind" => Self::Kind,
            "status" => Self::Status,
            _ => match word.strip_prefix("attr:").filter(|key| !key.is_empty()) {
                Some(key) => Self::Attribute(key.to_owned()),
                None => {
                    let words = "service, name, remote-service, kind, status or attr:KEY";
                    return Err(Error::invalid(format!("cannot group by {word:?}: it is one of {words}")));
                }
            },
        })
    }
}

/// As it is typed.
impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service => f.write_str("service"),
            Self::Name => f.write_str("name"),
            Self::RemoteService => f.write_str("remote-service"),
            Self::Kind => f.write_str("kind"),
            Self::Status => f.write_str("status"),
            Self::Attribute(key) => write!(f, "attr:{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_keys_reads_as_it_is_shown() {
        let keys = GroupKey::parse_list("service,attr:app.channel,remote-service").unwrap();
        let shown: Vec<String> = keys.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["service", "attr:app.channel", "remote-service"]);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        for text in ["", "host", "attr:", "service,", "Service"] {
            assert!(GroupKey::parse_list(text).is_err(), "{text}");
        }
    }
}

//! The name lists, counted span by span, and compared with a store's.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Debug;

use tailspan::{KeyValue, Span, Store, Value};

use super::meaning::{kind, remote_service, service, status};

/// Service, name and kind.
type Operation = (Option<String>, Option<String>, i32);
/// Key, place and type.
type Key = (String, &'static str, &'static str);

/// What the lists of a store must say.
#[derive(Default)]
pub struct Lists {
    /// Spans and failed spans.
    services: BTreeMap<Option<String>, (u64, u64)>,
    operations: BTreeMap<Operation, u64>,
    /// By service, then remote service.
    remote_services: BTreeMap<(Option<String>, String), u64>,
    attribute_keys: BTreeMap<Key, u64>,
    /// By key, wherever it stands.
    attribute_values: BTreeMap<String, HashMap<Value, u64>>,
}

impl Lists {
    /// Counts spans that are distinct.
    pub fn new(spans: &[Span]) -> Self {
        let mut lists = Self::default();
        // What nothing is known of has empty lists.
        lists.attribute_values.insert("no such key".to_owned(), HashMap::new());
        spans.iter().for_each(|span| lists.count(span));
        lists
    }

    fn count(&mut self, span: &Span) {
        let service = service(span).map(str::to_owned);
        let counts = self.services.entry(service.clone()).or_default();
        counts.0 += 1;
        counts.1 += u64::from(status(span) == 2);
        let name = if span.name.is_empty() { None } else { Some(span.name.clone()) };
        *self.operations.entry((service.clone(), name, kind(span))).or_default() += 1;
        if let Some(remote) = remote_service(span) {
            *self.remote_services.entry((service, remote.to_owned())).or_default() += 1;
        }
        let here = attributes(span);
        let keys: BTreeSet<Key> = here.iter().map(|(place, a)| (a.key.clone(), *place, type_word(&a.value))).collect();
        keys.into_iter().for_each(|key| *self.attribute_keys.entry(key).or_default() += 1);
        let values: HashSet<KeyValue> = here.into_iter().map(|(_, attribute)| attribute).collect();
        for KeyValue { key, value } in values {
            *self.attribute_values.entry(key).or_default().entry(value).or_default() += 1;
        }
    }

    /// The keys of attributes, and one that is not there.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.attribute_values.keys()
    }

    /// Asserts that the lists of the store say the same, in order.
    pub fn check(&self, store: &Store, state: &str) {
        let services = store.services().unwrap().into_iter().map(|s| (s.service, (s.span_count, s.error_count)));
        assert_list(services, self.services.clone(), &format!("{state}: services"));
        self.check_of_service(store, None, state);
        for service in self.services.keys().flatten().map(String::as_str).chain(["no such service", ""]) {
            self.check_of_service(store, Some(service), state);
        }
        self.check_attributes(store, state);
    }

    /// Operations and remote services of one service, or of all.
    fn check_of_service(&self, store: &Store, service: Option<&str>, state: &str) {
        let of = |name: &Option<String>| service.is_none() || name.as_deref() == service;
        let got = store.operations(service).unwrap().into_iter();
        let got = got.map(|o| ((o.service, o.name, o.kind.0), o.span_count));
        let wanted = self.operations.iter().filter(|((name, ..), _)| of(name)).map(|(key, n)| (key.clone(), *n));
        assert_list(got, wanted, &format!("{state}: operations of {service:?}"));
        let got = store.remote_services(service).unwrap().into_iter().map(|r| (r.remote_service, r.span_count));
        let mut wanted: BTreeMap<String, u64> = BTreeMap::new();
        for ((_, remote), count) in self.remote_services.iter().filter(|((name, _), _)| of(name)) {
            *wanted.entry(remote.clone()).or_default() += count;
        }
        assert_list(got, wanted, &format!("{state}: remote services of {service:?}"));
    }

    fn check_attributes(&self, store: &Store, state: &str) {
        let got: Vec<_> = store.attribute_keys().unwrap();
        assert!(got.is_sorted_by_key(|k| k.key.clone()), "{state}: attribute keys are out of order");
        let got = got.into_iter().map(|k| ((k.key, k.scope.as_str(), k.value_type), k.span_count));
        let mut got: Vec<_> = got.collect();
        got.sort_unstable();
        assert_list(got, self.attribute_keys.clone(), &format!("{state}: attribute keys"));
        for (key, wanted) in &self.attribute_values {
            let got = store.attribute_values(key).unwrap();
            assert!(
                got.is_sorted_by(|a, b| a.span_count >= b.span_count),
                "{state}: values of {key:?} are out of order"
            );
            assert_eq!(got.len(), wanted.len(), "{state}: how many values {key:?} has");
            let got: HashMap<_, _> = got.into_iter().map(|v| (v.value, v.span_count)).collect();
            assert_eq!(got, *wanted, "{state}: values of {key:?}");
        }
    }
}

fn assert_list<T: Debug + PartialEq>(
    got: impl IntoIterator<Item = T>,
    wanted: impl IntoIterator<Item = T>,
    what: &str,
) {
    let (got, wanted): (Vec<T>, Vec<T>) = (got.into_iter().collect(), wanted.into_iter().collect());
    assert_eq!(got, wanted, "{what}");
}

/// Every attribute of a span, with the place where it stands.
fn attributes(span: &Span) -> Vec<(&'static str, KeyValue)> {
    let mut out = Vec::new();
    let mut put = |place, list: &[KeyValue]| out.extend(list.iter().map(|a| (place, a.clone())));
    put("span", &span.attributes);
    put("resource", &span.resource.attributes);
    put("scope", &span.scope.attributes);
    span.events.iter().for_each(|event| put("event", &event.attributes));
    span.links.iter().for_each(|link| put("link", &link.attributes));
    for (key, text) in [("otel.scope.name", &span.scope.name), ("otel.scope.version", &span.scope.version)] {
        if !text.is_empty() {
            put("scope", &[KeyValue::new(key, text.as_str())]);
        }
    }
    out
}

fn type_word(value: &Value) -> &'static str {
    match value {
        Value::Empty => "empty",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Double(_) => "double",
        Value::Bytes(_) => "bytes",
        Value::Array(_) => "array",
        Value::KeyValueList(_) => "kvlist",
    }
}

//! Random spans that are as nasty as a collector's worst day.
//!
//! Ids come from small ranges, so that traces share their low 64 bits, parents are missing, spans are
//! their own parents or form cycles, and several records have one span id. Times are absent, equal, wild
//! or turned round. Records repeat, or nearly: a *twist* changes one field of a copy. Zipkin's spans are
//! made as its own normalisation leaves them.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tailspan::{
    Endpoint, EntityRef, Event, KeyValue, Link, Origin, Resource, Scope, Span, SpanId, SpanKind, Status, StatusCode,
    TraceId, Value,
};

use super::values::{attributes, key, value};

/// Names of spans and events.
pub const NAMES: [&str; 6] = ["", "get", "get /cart", "pay", "value", "k"];
/// Services of resources and endpoints.
pub const SERVICES: [&str; 4] = ["web", "cart", "db", "é"];
/// Trace states: most empty, some with a sampling threshold, some with what only looks like one.
const STATES: [&str; 16] = [
    "",
    "",
    "",
    "",
    "",
    "",
    "a=b",
    "ot=th:0",
    "ot=th:8",
    "ot=th:8",
    "ot=th:C",
    "a=b, ot=rv:9b8233f7e3a151;th:fd70a3d70a3d7,c=d",
    "ot=th:ffffff",
    "ot=th:",
    "ot=th:8g",
    "tenant@ot=th:8",
];
/// Where ordinary times begin. A multiple of 1,000, as Zipkin has no finer ones.
pub const BASE: u64 = 1_700_000_000_000_000_000;

/// What to make.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// How many spans, before some are repeated.
    pub spans: Range<usize>,
    /// How many low halves trace ids have.
    pub traces: u64,
    /// Which part of the spans came as Zipkin, 0 to 1.
    pub zipkin_share: f64,
}

/// Spans in the order of their arrival, repeated and twisted copies among them.
pub fn spans(recipe: Recipe) -> impl Strategy<Value = Vec<Span>> {
    let one = one_span(recipe.traces, recipe.zipkin_share);
    let copies = vec((any::<Index>(), any::<Index>(), 0..12u8), 0..recipe.spans.end / 3 + 1);
    let tables = (vec(resource(), 1..5), vec(scope(), 1..4), vec(option::of(endpoint()), 1..4));
    (tables, vec((one, any::<Index>(), any::<Index>()), recipe.spans), copies).prop_map(|(tables, drafts, copies)| {
        let mut spans = place(tables, drafts);
        for (of, at, twist) in copies {
            if !spans.is_empty() {
                let copy = twisted(&spans[of.index(spans.len())], twist);
                spans.insert(at.index(spans.len()), copy);
            }
        }
        spans
    })
}

type Tables = (Vec<Resource>, Vec<Scope>, Vec<Option<Endpoint>>);

/// Gives each span its resource and scope.
fn place((resources, scopes, endpoints): Tables, drafts: Vec<(Span, Index, Index)>) -> Vec<Span> {
    let resources: Vec<_> = resources.into_iter().map(Arc::new).collect();
    let scopes: Vec<_> = scopes.into_iter().map(Arc::new).collect();
    let local: Vec<_> = endpoints.into_iter().map(|endpoint| Arc::new(zipkin_resource(endpoint))).collect();
    let placed = drafts.into_iter().map(|(span, resource, scope)| {
        if matches!(span.origin, Origin::Zipkin { .. }) {
            Span { resource: local[resource.index(local.len())].clone(), ..span }
        } else {
            let resource = resources[resource.index(resources.len())].clone();
            Span { resource, scope: scopes[scope.index(scopes.len())].clone(), ..span }
        }
    });
    placed.collect()
}

fn zipkin_resource(endpoint: Option<Endpoint>) -> Resource {
    let service = endpoint.as_ref().and_then(|e| e.service_name.clone());
    Resource {
        present: endpoint.is_some(),
        attributes: service.map(|name| KeyValue::new("service.name", name)).into_iter().collect(),
        local_endpoint: endpoint,
        ..Resource::default()
    }
}

/// A copy with one thing changed, or none.
fn twisted(span: &Span, twist: u8) -> Span {
    let mut copy = span.clone();
    if let Origin::Zipkin { debug, shared, .. } = &mut copy.origin {
        match twist {
            0 => copy.name = "pay".into(),
            1 => *debug = !*debug,
            2 => *shared = !*shared && copy.kind != SpanKind::CLIENT,
            3 => copy.parent_span_id = None,
            4 if copy.attributes.is_empty() => copy.attributes.push(KeyValue::new("error", "")),
            _ => {}
        }
        return copy;
    }
    match twist {
        0 => copy.name = "pay".into(),
        1 => copy.end_unix_nano = copy.end_unix_nano.wrapping_add(1),
        2 => copy.attributes.reverse(),
        3 => copy.attributes.push(KeyValue::new("k", Value::Empty)),
        4 => copy.status = if copy.status.is_some() { None } else { Some(Status::default()) },
        5 => copy.flags ^= 1,
        6 => Arc::make_mut(&mut copy.scope).schema_url.push('x'),
        7 => copy.events.reverse(),
        8 => copy.links.clear(),
        _ => {}
    }
    copy
}

fn one_span(traces: u64, zipkin_share: f64) -> BoxedStrategy<Span> {
    if zipkin_share <= 0.0 {
        otlp_span(traces).boxed()
    } else if zipkin_share >= 1.0 {
        zipkin_span(traces).boxed()
    } else {
        let parts = |share: f64| (share * 100.0).ceil() as u32;
        prop_oneof![
            parts(1.0 - zipkin_share) => otlp_span(traces),
            parts(zipkin_share) => zipkin_span(traces),
        ]
        .boxed()
    }
}

fn ids(traces: u64) -> impl Strategy<Value = (TraceId, SpanId, Option<SpanId>)> {
    let trace = (select(vec![0, 0, 9, u64::MAX]), 1..=traces);
    let span = prop_oneof![9 => 1..=8u64, 1 => Just(u64::MAX)];
    let parent = option::weighted(0.75, 1..=10u64);
    (trace, span, parent).prop_map(|((high, low), span, parent)| {
        // With many traces most are alone with their low half.
        let high = if low > 8 { low << 7 } else { high };
        (TraceId::from_halves(high, low).unwrap(), SpanId::from_u64(span).unwrap(), parent.and_then(SpanId::from_u64))
    })
}

/// Start and end of an OTLP span, in every relation two times can have.
fn otlp_times() -> impl Strategy<Value = (u64, u64)> {
    let start = prop_oneof![
        12 => BASE..BASE + 20,
        4 => (0..20u64).prop_map(|i| BASE + i * 1_000_000),
        1 => Just(0),
        1 => select(vec![1, 2, u64::MAX / 2, u64::MAX - 1, u64::MAX]),
    ];
    let length = prop_oneof![8 => 0..20u64, 2 => (1..20u64).prop_map(|i| i * 1_000_000), 1 => Just(u64::MAX / 4)];
    (start, length, 0..20u8).prop_map(|(start, length, odd)| match odd {
        0 | 1 => (start, 0),
        2 => (start, start.saturating_sub(length)),
        _ => (start, start.saturating_add(length)),
    })
}

fn otlp_span(traces: u64) -> impl Strategy<Value = Span> {
    let naming = (select(&NAMES[..]), select(vec![0, 1, 2, 2, 3, 3, 4, 5, 17, -1]), select(&STATES[..]));
    let counts = (0..20u32, 0..20u32, 0..20u32).prop_map(|(a, b, c)| {
        let rare = |n: u32| if n < 18 { 0 } else { n };
        (rare(a), rare(b), rare(c))
    });
    let lists = (attributes(4), vec(event(), 0..3), vec(link(), 0..3));
    let flags = prop_oneof![4 => Just(0u32), 1 => Just(0x101), 1 => any::<u32>()];
    (ids(traces), otlp_times(), naming, flags, counts, lists, option::weighted(0.6, status())).prop_map(
        |((trace_id, span_id, parent_span_id), times, (name, kind, state), flags, dropped, lists, status)| Span {
            resource: Arc::default(),
            scope: Arc::default(),
            trace_id,
            span_id,
            parent_span_id,
            trace_state: state.to_owned(),
            flags,
            name: name.to_owned(),
            kind: SpanKind(kind),
            start_unix_nano: times.0,
            end_unix_nano: times.1,
            attributes: lists.0,
            dropped_attributes_count: dropped.0,
            events: lists.1,
            dropped_events_count: dropped.1,
            links: lists.2,
            dropped_links_count: dropped.2,
            status,
            origin: Origin::Otlp,
        },
    )
}

fn status() -> impl Strategy<Value = Status> {
    (select(vec![0, 1, 2, 2, 7]), select(vec!["", "it broke"]))
        .prop_map(|(code, message)| Status { code: StatusCode(code), message: message.to_owned() })
}

fn event() -> impl Strategy<Value = Event> {
    let time = prop_oneof![4 => BASE..BASE + 20, 1 => Just(0), 1 => Just(u64::MAX)];
    let dropped = select(vec![0, 0, 0, 3]);
    (time, select(&NAMES[..]), attributes(2), dropped).prop_map(|(time_unix_nano, name, attributes, dropped)| Event {
        time_unix_nano,
        name: name.to_owned(),
        attributes,
        dropped_attributes_count: dropped,
    })
}

fn link() -> impl Strategy<Value = Link> {
    let ids = (option::of(select(vec![[0; 16], [1; 16]])), option::of(select(vec![[0; 8], [1; 8]])));
    let rest = (select(vec!["", "s=t"]), select(vec![0, 0, 2]), select(vec![0, 1]));
    (ids, attributes(2), rest).prop_map(|((trace_id, span_id), attributes, (state, dropped, flags))| Link {
        trace_id,
        span_id,
        trace_state: state.to_owned(),
        attributes,
        dropped_attributes_count: dropped,
        flags,
    })
}

/// An OTLP resource; a message without one has nothing but a schema URL.
fn resource() -> impl Strategy<Value = Resource> {
    let service = prop_oneof![
        6 => select(&SERVICES[..]).prop_map(|name| vec![KeyValue::new("service.name", name)]),
        1 => Just(vec![]),
        1 => Just(vec![KeyValue::new("service.name", 7), KeyValue::new("service.name", "web")]),
    ];
    let entity = (key(), key()).prop_map(|(id, description)| EntityRef {
        schema_url: String::new(),
        entity_type: "service".into(),
        id_keys: vec![id],
        description_keys: vec![description],
    });
    let rest = (select(vec!["", "", "https://schema/1"]), vec(entity, 0..2), select(vec![0, 0, 5]));
    (0..8u8, service, attributes(2), rest).prop_map(
        |(absent, mut attributes, more, (schema_url, entity_refs, dropped))| {
            let schema_url = schema_url.to_owned();
            if absent == 0 {
                return Resource { schema_url, ..Resource::default() };
            }
            attributes.extend(more);
            let present = true;
            Resource {
                present,
                attributes,
                dropped_attributes_count: dropped,
                entity_refs,
                schema_url,
                local_endpoint: None,
            }
        },
    )
}

/// An OTLP scope; a message without one has nothing but a schema URL.
fn scope() -> impl Strategy<Value = Scope> {
    let texts = (select(vec!["", "lib", "value"]), select(vec!["", "1.2"]), select(vec!["", "", "https://schema/2"]));
    let odd = option::of((key(), value()).prop_map(|(key, value)| KeyValue { key, value }));
    (0..4u8, texts, odd, select(vec![0, 0, 4])).prop_map(|(absent, (name, version, schema_url), odd, dropped)| {
        let schema_url = schema_url.to_owned();
        if absent == 0 {
            return Scope { schema_url, ..Scope::default() };
        }
        Scope {
            present: true,
            name: name.to_owned(),
            version: version.to_owned(),
            attributes: odd.into_iter().collect(),
            dropped_attributes_count: dropped,
            schema_url,
        }
    })
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let v4 = option::of(select(vec![Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::LOCALHOST]));
    let v6 = option::of(select(vec![Ipv6Addr::LOCALHOST, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7)]));
    (option::weighted(0.8, select(&SERVICES[..])), v4, v6, option::of(1..3u16)).prop_map(
        |(service, ipv4, ipv6, port)| {
            let endpoint = Endpoint { service_name: service.map(str::to_owned), ipv4, ipv6, port };
            if endpoint.is_empty() { Endpoint { port: Some(80), ..endpoint } } else { endpoint }
        },
    )
}

/// Start and end as microseconds make them; a duration may stand without a timestamp.
fn zipkin_times() -> impl Strategy<Value = (u64, u64)> {
    let start = prop_oneof![8 => (0..20u64).prop_map(|i| BASE + i * 1000), 1 => Just(0), 1 => Just(1000)];
    let length = prop_oneof![1 => Just(0), 3 => (1..20u64).prop_map(|i| i * 1000)];
    (start, length).prop_map(|(start, length)| (start, if length == 0 { 0 } else { start + length }))
}

fn zipkin_span(traces: u64) -> impl Strategy<Value = Span> {
    let naming = (select(&NAMES[..]), select(vec![0, 2, 3, 4, 5]));
    let tags = prop::collection::btree_map(key(), select(&super::values::TEXTS[..]), 0..4);
    let annotation = ((1..20u64).prop_map(|i| BASE + i * 1000), select(&NAMES[..]));
    let annotations = prop::collection::btree_set(annotation, 0..3);
    let origin = (option::of(endpoint()), prop::bool::weighted(0.1), prop::bool::weighted(0.4));
    (ids(traces), zipkin_times(), naming, tags, annotations, origin).prop_map(
        |((trace_id, span_id, parent), times, (name, kind), tags, annotations, (remote_endpoint, debug, shared))| {
            let event =
                |(time_unix_nano, name): (u64, &str)| Event { time_unix_nano, name: name.into(), ..Event::default() };
            let kind = SpanKind(kind);
            Span {
                resource: Arc::default(),
                scope: Arc::default(),
                trace_id,
                span_id,
                parent_span_id: parent.filter(|parent| *parent != span_id),
                trace_state: String::new(),
                flags: 0,
                name: name.to_owned(),
                kind,
                start_unix_nano: times.0,
                end_unix_nano: times.1,
                attributes: tags.into_iter().map(|(key, text)| KeyValue::new(key, text)).collect(),
                dropped_attributes_count: 0,
                events: annotations.into_iter().map(event).collect(),
                dropped_events_count: 0,
                links: vec![],
                dropped_links_count: 0,
                status: None,
                origin: Origin::Zipkin { remote_endpoint, debug, shared: shared && kind != SpanKind::CLIENT },
            }
        },
    )
}

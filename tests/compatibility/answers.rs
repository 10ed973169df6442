//! What a store answers, as JSON that says only what every later version can say too.

use std::time::Duration;

use serde_json::{Value, json};
use tailspan::{GroupKey, LatencyQuery, LinksQuery, Query, SpanKind, Store, otlp_json_traces, zipkin_json};

/// All spans, the lists of names, some searches and figures.
pub fn of(store: &Store) -> Value {
    let stats = store.stats().expect("stats");
    json!({
        "spans": spans(store),
        "stats": { "spans": stats.spans, "traces": stats.traces, "segments": stats.segments },
        "names": names(store),
        "found": found(store),
        "figures": figures(store),
    })
}

fn spans(store: &Store) -> Vec<Value> {
    let traces = store.spans().map(|trace| trace.expect("nothing is damaged"));
    let as_json = |trace: &[tailspan::Span]| {
        if trace.iter().any(tailspan::Span::is_zipkin) { zipkin_json(trace) } else { otlp_json_traces(trace) }
    };
    traces.map(|trace| as_json(&trace)).collect()
}

fn names(store: &Store) -> Value {
    let services = store.services().expect("a list");
    let operations = store.operations(None).expect("a list");
    let remotes = store.remote_services(None).expect("a list");
    let keys = store.attribute_keys().expect("a list");
    let values = store.attribute_values("number").expect("a list");
    json!({
        "services": services.iter().map(|s| json!([s.service, s.span_count, s.error_count])).collect::<Vec<_>>(),
        "operations":
            operations.iter().map(|o| json!([o.service, o.name, o.kind.0, o.span_count])).collect::<Vec<_>>(),
        "remoteServices": remotes.iter().map(|r| json!([r.remote_service, r.span_count])).collect::<Vec<_>>(),
        "attributeKeys":
            keys.iter().map(|k| json!([k.key, k.scope.as_str(), k.value_type, k.span_count])).collect::<Vec<_>>(),
        "numbers": values.len(),
    })
}

fn found(store: &Store) -> Value {
    let ask = |query: Query| {
        let found = store.find(&query.limit(0)).expect("a search");
        assert!(found.complete, "{:?}", found.reason);
        found.traces.iter().map(|trace| trace.trace_id.to_string()).collect::<Vec<_>>()
    };
    let tag = |text: &str| Query::new().tag_text(text).expect("a filter");
    json!({
        "all": ask(Query::new()),
        "service": ask(Query::new().service("numbered-1").name("operation 3")),
        "errors": ask(Query::new().error()),
        "remote": ask(Query::new().remote_service("back")),
        "servers": ask(Query::new().kind(SpanKind::SERVER).min_duration(Duration::from_nanos(1_100))),
        "full": ask(Query::new().service("full")),
        "number": ask(tag("number=1210")),
        "url": ask(tag("url=https://shop.example/cart/4711?session=00ff00ff")),
        "many keys": ask(tag("key 299=299")),
    })
}

fn figures(store: &Store) -> Value {
    let query = LatencyQuery::new(Query::new()).by(vec![GroupKey::Service, GroupKey::Name]);
    let latency = store.latency(&query).expect("figures");
    let links = store.links(&LinksQuery::new()).expect("links");
    assert!(latency.complete && links.complete);
    let groups = latency.groups.iter().map(|group| {
        let quantiles: Vec<u64> = group.quantiles.iter().map(|exemplar| exemplar.value_nano).collect();
        json!([group.group, group.count, group.errors, group.min_nano, group.max_nano, quantiles])
    });
    let links = links.links.iter().map(|link| json!([link.parent, link.child, link.call_count, link.error_count]));
    json!({ "latency": groups.collect::<Vec<_>>(), "links": links.collect::<Vec<_>>() })
}

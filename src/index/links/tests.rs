//! Traces as a table of their spans, and the links they must give.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::*;
use crate::column::NONE;
use crate::model::{Endpoint, Resource, SpanKind};

const LOCAL: SpanKind = SpanKind::UNSPECIFIED;
const INTERNAL: SpanKind = SpanKind::INTERNAL;
const SERVER: SpanKind = SpanKind::SERVER;
const CLIENT: SpanKind = SpanKind::CLIENT;
const PRODUCER: SpanKind = SpanKind::PRODUCER;
const CONSUMER: SpanKind = SpanKind::CONSUMER;

/// A span: parent, id, kind, service and peer; no service or peer is an empty text.
#[derive(Clone)]
struct Draft {
    ids: (u64, u64),
    kind: SpanKind,
    service: &'static str,
    peer: &'static str,
    shared: bool,
    error: bool,
    port: Option<u16>,
    duration: Option<u64>,
}

fn span(parent: u64, id: u64, kind: SpanKind, service: &'static str, peer: &'static str) -> Draft {
    Draft { ids: (parent, id), kind, service, peer, shared: false, error: false, port: None, duration: None }
}

impl Draft {
    fn shared(self) -> Self {
        Self { shared: true, ..self }
    }

    fn failed(self) -> Self {
        Self { error: true, ..self }
    }

    fn at_port(self, port: u16) -> Self {
        Self { port: Some(port), ..self }
    }

    fn took(self, duration: u64) -> Self {
        Self { duration: Some(duration), ..self }
    }
}

fn found(drafts: &[Draft]) -> Vec<(String, String, FoundLink)> {
    let mut names = LinkNames::default();
    let mut spans: Vec<LinkSpan> = Vec::new();
    for draft in drafts {
        let service_name = (!draft.service.is_empty()).then(|| draft.service.to_owned());
        let endpoint = Endpoint { service_name, port: draft.port, ..Endpoint::default() };
        let resource = Resource { local_endpoint: Some(endpoint), ..Resource::default() };
        spans.push(LinkSpan {
            trace_high: 0,
            span_id: draft.ids.1,
            parent: draft.ids.0,
            kind: draft.kind,
            shared: draft.shared,
            error: draft.error,
            service: names.code(Some(draft.service)),
            remote: names.code(Some(draft.peer)),
            endpoint: names.endpoint_of(&resource),
            start: 1,
            duration: draft.duration,
            place: 0,
        });
    }
    let mut out = Vec::new();
    Linker::default().link(&mut spans, &mut names, |link| out.push(link));
    out.into_iter().map(|link| (names.text(link.parent).to_owned(), names.text(link.child).to_owned(), link)).collect()
}

/// Asserts the links with their counts of calls and errors, whatever the order in which the spans come.
#[track_caller]
fn assert_links(drafts: &[Draft], wanted: &[(&str, &str, u64, u64)]) {
    for turned in 0..drafts.len().max(1) {
        let mut drafts = drafts.to_vec();
        drafts.rotate_left(turned);
        let mut counts: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
        for (parent, child, link) in found(&drafts) {
            let count = counts.entry((parent, child)).or_default();
            count.0 += 1;
            count.1 += u64::from(link.error);
        }
        let got: Vec<_> = counts.iter().map(|((p, c), (calls, errors))| (&**p, &**c, *calls, *errors)).collect();
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        assert_eq!(got, wanted, "turned by {turned}");
    }
}

#[test]
fn a_server_that_shares_its_clients_id_is_called_by_it_and_calls_its_database() {
    let trace = [
        span(0, 10, SERVER, "web", ""),
        span(10, 11, CLIENT, "web", "app"),
        span(10, 11, SERVER, "app", "web").shared(),
        span(11, 12, CLIENT, "app", "db").failed(),
    ];
    assert_links(&trace, &[("app", "db", 1, 1), ("web", "app", 1, 0)]);
    let mut unsaid = trace.clone();
    unsaid[2].shared = false;
    assert_links(&unsaid, &[("app", "db", 1, 1), ("web", "app", 1, 0)]);
    let mut without_parent = trace.clone();
    without_parent[2].ids.0 = 0;
    assert_links(&without_parent, &[("app", "db", 1, 1), ("web", "app", 1, 0)]);
    let without_client = [trace[0].clone(), without_parent[2].clone(), trace[3].clone()];
    assert_links(&without_client, &[("app", "db", 1, 1), ("web", "app", 1, 0)]);
}

#[test]
fn the_peer_of_a_lone_root_says_who_called_or_is_called() {
    assert_links(&[span(0, 1, SERVER, "app", "web")], &[("web", "app", 1, 0)]);
    assert_links(&[span(0, 1, CLIENT, "web", "app").shared()], &[("web", "app", 1, 0)]);
    assert_links(&[span(0, 1, SERVER, "app", "")], &[]);
    assert_links(&[span(9, 1, CLIENT, "web", "app").failed()], &[("web", "app", 1, 1)]);
    assert_links(&[span(1, 1, SERVER, "app", "web")], &[("web", "app", 1, 0)]);
}

#[test]
fn the_tree_beats_what_a_server_says_of_its_caller() {
    let trace = [span(0, 1, CLIENT, "web", "proxy"), span(1, 2, SERVER, "app", "proxy")];
    assert_links(&trace, &[("web", "app", 1, 0)]);
}

#[test]
fn an_error_of_both_sides_is_one_and_a_server_has_that_of_the_client_right_above() {
    let both = |client: Draft, server: Draft| [client, server];
    let (client, server) = (span(0, 1, CLIENT, "web", ""), span(1, 2, SERVER, "app", ""));
    assert_links(&both(client.clone().failed(), server.clone().failed()), &[("web", "app", 1, 1)]);
    assert_links(&both(client.clone().failed(), server.clone()), &[("web", "app", 1, 1)]);
    assert_links(&both(client.clone(), server.clone().failed()), &[("web", "app", 1, 1)]);
    let between = [client.clone().failed(), span(1, 5, LOCAL, "web", ""), span(5, 2, SERVER, "app", "")];
    assert_links(&between, &[("web", "app", 1, 0)]);
    // A shared server has another parent than the client whose id it shares.
    let shared = [span(9, 1, CLIENT, "web", "").failed(), span(9, 1, SERVER, "app", "").shared()];
    assert_links(&shared, &[("web", "app", 1, 0)]);
}

#[test]
fn a_client_with_servers_below_it_leaves_the_calls_to_them() {
    let client = span(0, 1, CLIENT, "web", "app");
    let two = [client, span(1, 2, SERVER, "app", "web").failed(), span(1, 3, SERVER, "app", "web")];
    assert_links(&two, &[("web", "app", 2, 1)]);
}

#[test]
fn brokers_are_linked_on_each_side_and_never_skipped() {
    let producer = |peer| span(0, 1, PRODUCER, "shop", peer);
    let consumer = |peer| span(1, 2, CONSUMER, "mail", peer);
    assert_links(&[producer("kafka"), consumer("kafka")], &[("kafka", "mail", 1, 0), ("shop", "kafka", 1, 0)]);
    assert_links(&[producer("k1").failed(), consumer("k2")], &[("k2", "mail", 1, 0), ("shop", "k1", 1, 1)]);
    assert_links(&[producer(""), consumer("kafka")], &[("kafka", "mail", 1, 0)]);
    assert_links(&[producer("kafka"), consumer("")], &[("shop", "kafka", 1, 0)]);
    assert_links(&[producer(""), consumer("")], &[]);
    assert_links(&[span(0, 1, CLIENT, "shop", ""), consumer("")], &[]);
    // A server below a producer is a call.
    assert_links(&[producer(""), span(1, 2, SERVER, "mail", "")], &[("shop", "mail", 1, 0)]);
    assert_links(&[producer(""), span(0, 1, SERVER, "mail", "").shared()], &[("shop", "mail", 1, 0)]);
    let kinds: Vec<LinkKind> =
        found(&[producer("kafka"), span(1, 2, SERVER, "mail", "")]).iter().map(|l| l.2.kind).collect();
    assert_eq!(kinds, [LinkKind::Messaging, LinkKind::Call]);
}

#[test]
fn a_client_of_another_service_than_its_caller_tells_of_a_server_never_seen() {
    let trace = [
        span(0, 1, SERVER, "front", ""),
        span(1, 2, LOCAL, "", ""),
        span(2, 3, CLIENT, "app", "db").failed().took(7),
        span(2, 4, CLIENT, "app", "db").took(8),
    ];
    assert_links(&trace, &[("app", "db", 2, 1), ("front", "app", 2, 0)]);
    for (parent, _, link) in found(&trace) {
        assert_eq!((parent == "front", link.error), (link.backfilled, link.span.span_id == 3 && parent == "app"));
    }
    let without_peer = [span(0, 1, SERVER, "front", ""), span(1, 3, CLIENT, "app", "").failed()];
    assert_links(&without_peer, &[("front", "app", 1, 0)]);
}

#[test]
fn a_client_that_names_no_service_is_of_the_nearest_one_above() {
    let trace = [span(0, 1, SERVER, "app", ""), span(1, 2, CLIENT, "", "db"), span(1, 3, CLIENT, "", "db")];
    assert_links(&trace, &[("app", "db", 2, 0)]);
}

#[test]
fn a_span_without_kind_is_a_client_if_it_names_both_sides() {
    assert_links(&[span(0, 1, LOCAL, "web", "app")], &[("web", "app", 1, 0)]);
    assert_links(&[span(0, 1, INTERNAL, "web", "app").failed()], &[("web", "app", 1, 1)]);
    assert_links(&[span(0, 1, LOCAL, "web", ""), span(0, 2, LOCAL, "", "app")], &[]);
    // It links beside what is below it, but is nobody's caller.
    let above = [span(0, 1, LOCAL, "web", "app"), span(1, 2, SERVER, "app", "")];
    assert_links(&above, &[("web", "app", 1, 0)]);
}

#[test]
fn a_client_speaks_for_the_call_unless_a_child_that_is_not_internal_does() {
    let (client, server) = (span(0, 1, CLIENT, "app", "db"), span(3, 4, SERVER, "db", ""));
    let (inner, more) = (span(1, 2, INTERNAL, "app", ""), span(2, 3, INTERNAL, "app", ""));
    assert_links(&[client.clone(), inner.clone(), more.clone()], &[("app", "db", 1, 0)]);
    // Below internal spans a server and a client link for themselves as well.
    assert_links(&[client.clone(), inner.clone(), more.clone(), server.clone()], &[("app", "db", 2, 0)]);
    let other = span(3, 4, CLIENT, "app", "proxy");
    assert_links(&[client.clone(), inner.clone(), more, other], &[("app", "db", 1, 0), ("app", "proxy", 1, 0)]);
    let beside = span(1, 4, SERVER, "db", "");
    assert_links(&[client.clone(), inner, beside], &[("app", "db", 1, 0)]);
    // Zipkin's spans without a kind are not internal.
    assert_links(&[client, span(1, 2, LOCAL, "app", "")], &[]);
}

#[test]
fn whatever_hangs_nowhere_hangs_below_the_first_root_if_there_is_one() {
    let orphan = span(77, 5, SERVER, "app", "");
    assert_links(std::slice::from_ref(&orphan), &[]);
    assert_links(&[span(0, 3, CLIENT, "web", ""), orphan.clone()], &[("web", "app", 1, 0)]);
    assert_links(
        &[span(0, 9, CLIENT, "late", ""), span(0, 3, CLIENT, "web", ""), orphan],
        &[("web", "app", 1, 0), ("web", "late", 1, 0)],
    );
    let second_root = [span(0, 1, SERVER, "a", ""), span(0, 2, SERVER, "b", "")];
    assert_links(&second_root, &[("a", "b", 1, 0)]);
}

#[test]
fn what_a_cycle_holds_links_nothing() {
    let cycle = [span(2, 1, CLIENT, "a", "x"), span(1, 2, SERVER, "b", "a"), span(2, 3, CLIENT, "b", "db")];
    assert_links(&cycle, &[]);
    let beside = [&cycle[..], &[span(0, 7, SERVER, "r", ""), span(7, 8, CLIENT, "r", "db")]].concat();
    assert_links(&beside, &[("r", "db", 1, 0)]);
}

#[test]
fn pieces_of_a_span_are_one_unless_their_endpoints_differ() {
    let pieces = [span(0, 1, CLIENT, "web", ""), span(0, 1, LOCAL, "web", "app").failed().took(3)];
    assert_links(&pieces, &[("web", "app", 1, 1)]);
    assert_eq!(found(&pieces)[0].2.span.duration, Some(3));
    let apart = [pieces[0].clone().at_port(1), pieces[1].clone().at_port(2)];
    assert_eq!(found(&apart).len(), 0, "the later piece stands for the id, and hangs nowhere as the first is the root");
    let nowhere = [span(0, 1, CLIENT, "web", ""), span(0, 1, LOCAL, "", "app")];
    assert_links(&nowhere, &[("web", "app", 1, 0)]);
}

#[test]
fn two_servers_that_share_an_id_have_each_its_own_children() {
    let trace = [
        span(0, 1, CLIENT, "web", "app"),
        span(0, 1, SERVER, "app", "").shared().at_port(1),
        span(0, 1, SERVER, "app2", "").shared().at_port(2),
        span(1, 2, CLIENT, "app", "db").at_port(1),
        span(1, 3, CLIENT, "app2", "db").at_port(2),
    ];
    assert_links(&trace, &[("app", "db", 1, 0), ("app2", "db", 1, 0), ("web", "app", 1, 0), ("web", "app2", 1, 0)]);
    // A child elsewhere hangs below the client: its service was called unseen.
    let elsewhere = [&trace[..2], &[span(1, 2, CLIENT, "app", "db").at_port(9)]].concat();
    assert_links(&elsewhere, &[("app", "db", 1, 0), ("web", "app", 2, 0)]);
}

#[test]
fn a_service_may_call_itself() {
    let trace = [span(0, 1, CLIENT, "app", ""), span(1, 2, SERVER, "app", "")];
    assert_links(&trace, &[("app", "app", 1, 0)]);
}

#[test]
fn a_chain_of_a_million_spans_is_linked_without_recursion() {
    let mut names = LinkNames::default();
    let app = names.code(Some("app"));
    let link_span = |id: u64| LinkSpan {
        trace_high: 0,
        span_id: id,
        parent: id - 1,
        kind: if id == 1 { CLIENT } else { INTERNAL },
        shared: false,
        error: false,
        service: app,
        remote: if id == 1 { app } else { NONE },
        endpoint: NONE,
        start: id,
        duration: None,
        place: 0,
    };
    let mut spans: Vec<LinkSpan> = (1..=1_000_000).rev().map(link_span).collect();
    let mut count = 0;
    Linker::default().link(&mut spans, &mut names, |_| count += 1);
    assert_eq!(count, 1);
}

#[test]
fn endpoints_are_joined_unless_they_contradict_each_other() {
    let mut names = LinkNames::default();
    let mut endpoint = |service: Option<&str>, ip: Option<u8>| {
        let local = Endpoint {
            service_name: service.map(str::to_owned),
            ipv4: ip.map(|last| Ipv4Addr::new(10, 0, 0, last)),
            ..Endpoint::default()
        };
        names.endpoint_of(&Resource { local_endpoint: Some(local), ..Resource::default() })
    };
    let (web, at_one, both) = (endpoint(Some("web"), None), endpoint(None, Some(1)), endpoint(Some("web"), Some(1)));
    let (at_two, nothing) = (endpoint(None, Some(2)), endpoint(None, None));
    assert_eq!((names.join(web, at_one), names.join(both, at_two), nothing), (Some(both), None, NONE));
    assert_eq!((names.join(web, NONE), names.join(NONE, NONE)), (Some(web), Some(NONE)));
}

//! The service graph by the book: Zipkin's merging, tree and rules with a map for each of its maps, a list of all
//! durations, and every link of a span looked up among all spans.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};

use tailspan::{Origin, Span, TraceId};

use super::figures::Sample;
use super::meaning::{is_shared, remote_service, service, status};

const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

/// Parent, child and kind in the words of the command line.
pub type Edge = (String, String, &'static str);

/// Service, IPv4, IPv6 as texts, and port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Place {
    service: Option<String>,
    v4: Option<String>,
    v6: Option<String>,
    port: Option<u16>,
}

#[derive(Clone, Debug)]
struct Node {
    id: u64,
    parent: Option<u64>,
    kind: i32,
    shared: bool,
    error: bool,
    service: Option<String>,
    remote: Option<String>,
    place: Option<Place>,
    start: u64,
    duration: Option<u64>,
    trace: TraceId,
}

/// What names a span in the tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Plain(u64),
    Shared(u64, Option<Place>),
}

fn duration(span: &Span) -> Option<u64> {
    let is_zipkin = matches!(span.origin, Origin::Zipkin { .. });
    if span.end_unix_nano == 0 || (span.start_unix_nano == 0 && !is_zipkin) {
        return None;
    }
    span.end_unix_nano.checked_sub(span.start_unix_nano)
}

fn is_remote(kind: i32) -> bool {
    [SERVER, CLIENT, PRODUCER, CONSUMER].contains(&kind)
}

impl Node {
    fn of(span: &Span) -> Self {
        let place = match &span.resource.local_endpoint {
            Some(local) => Place {
                service: local.service_name.clone(),
                v4: local.ipv4.map(|ip| ip.to_string()),
                v6: local.ipv6.map(|ip| ip.to_string()),
                port: local.port,
            },
            None => Place { service: service(span).map(str::to_owned), ..Place::default() },
        };
        let id = span.span_id.get();
        Self {
            id,
            parent: span.parent_span_id.map(|parent| parent.get()).filter(|parent| *parent != id),
            kind: span.kind.0,
            shared: is_shared(span) && span.kind.0 != CLIENT,
            error: status(span) == 2,
            service: service(span).map(str::to_owned),
            remote: remote_service(span).map(str::to_owned),
            place: Some(place).filter(|place| *place != Place::default()),
            start: span.start_unix_nano,
            duration: duration(span),
            trace: span.trace_id,
        }
    }

    fn key(&self) -> Key {
        if self.shared { Key::Shared(self.id, self.place.clone()) } else { Key::Plain(self.id) }
    }
}

/// Absent texts come last.
fn compare_texts(a: &Option<String>, b: &Option<String>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, _) => Ordering::Greater,
        (_, None) => Ordering::Less,
        (Some(a), Some(b)) => a.cmp(b),
    }
}

fn compare_places(a: &Option<Place>, b: &Option<Place>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, _) => Ordering::Less,
        (_, None) => Ordering::Greater,
        (Some(a), Some(b)) => {
            compare_texts(&a.service, &b.service).then(compare_texts(&a.v4, &b.v4)).then(compare_texts(&a.v6, &b.v6))
        }
    }
}

fn compare_records(a: &Node, b: &Node) -> Ordering {
    let rank = |n: &Node| match (n.shared, n.kind == CLIENT) {
        (true, _) => 2,
        (false, true) => 0,
        (false, false) => 1,
    };
    let rest = |n: &Node| {
        let port = n.place.as_ref().and_then(|place| place.port);
        let text = n.remote.clone().unwrap_or_default();
        let high = n.trace.high();
        (n.start == 0, n.start, port, n.duration, n.parent.unwrap_or(0), text, n.kind, n.error, high)
    };
    a.id.cmp(&b.id)
        .then(rank(a).cmp(&rank(b)))
        .then(compare_places(&a.place, &b.place))
        .then_with(|| rest(a).cmp(&rest(b)))
}

/// Both as one, unless they say different things.
fn joined(a: &Option<Place>, b: &Option<Place>) -> Option<Option<Place>> {
    let (Some(one), Some(two)) = (a, b) else { return Some(a.clone().or(b.clone())) };
    fn both<T: Clone + PartialEq>(a: &Option<T>, b: &Option<T>) -> Option<Option<T>> {
        if a.is_some() && b.is_some() && a != b { None } else { Some(a.clone().or(b.clone())) }
    }
    Some(Some(Place {
        service: both(&one.service, &two.service)?,
        v4: both(&one.v4, &two.v4)?,
        v6: both(&one.v6, &two.v6)?,
        port: both(&one.port, &two.port)?,
    }))
}

fn merged(mut records: Vec<Node>) -> Vec<Node> {
    records.sort_by(compare_records);
    let mut out: Vec<Node> = Vec::new();
    let mut waiting = records.into_iter().peekable();
    while let Some(first) = waiting.next() {
        let mut span = first.clone();
        while let Some(other) = waiting.peek() {
            let place = joined(&span.place, &other.place);
            if other.id != first.id || other.shared != first.shared || place.is_none() {
                break;
            }
            let other = waiting.next().unwrap();
            span.place = place.unwrap();
            if !is_remote(span.kind) && (is_remote(other.kind) || span.kind != INTERNAL) {
                span.kind = other.kind;
            }
            span.parent = span.parent.or(other.parent);
            span.service = span.service.or(other.service);
            span.remote = span.remote.or(other.remote);
            span.error |= other.error;
            span.start = if span.start == 0 { other.start } else { span.start };
            if span.duration.is_none() && other.duration.is_some() {
                (span.duration, span.trace) = (other.duration, other.trace);
            }
        }
        if let Some(before) = out.last().filter(|before| before.id == first.id) {
            if before.kind == CLIENT && first.kind == SERVER {
                span.shared = true;
            }
            if span.shared && first.parent.is_none() && before.parent.is_some() {
                span.parent = before.parent;
            }
        }
        span.parent = span.parent.filter(|parent| *parent != span.id);
        span.shared &= span.kind != CLIENT;
        out.push(span);
    }
    out
}

/// Who stands above each node; a node that is in no tree is not among them.
fn tree(nodes: &[Node]) -> (HashMap<usize, Option<usize>>, Option<usize>) {
    let mut parent_of: HashMap<Key, Option<Key>> = HashMap::new();
    for node in nodes {
        let parent = if node.shared { Some(node.id) } else { node.parent };
        parent_of.insert(node.key(), parent.map(Key::Plain));
    }
    let (mut node_of, mut root): (HashMap<Key, usize>, Option<usize>) = (HashMap::new(), None);
    for (at, node) in nodes.iter().enumerate() {
        if !node.shared && node.parent.is_none() && root.is_none() {
            root = Some(at);
            parent_of.remove(&node.key());
            continue;
        }
        if let (false, Some(parent)) = (node.shared, node.parent) {
            let shared = Key::Shared(parent, node.place.clone());
            if parent_of.contains_key(&shared) {
                parent_of.insert(node.key(), Some(shared));
            }
        }
        node_of.insert(node.key(), at);
    }
    let mut above: HashMap<usize, Option<usize>> = HashMap::new();
    for (key, parent) in &parent_of {
        if let Some(at) = node_of.get(key) {
            let parent = parent.as_ref().and_then(|parent| node_of.get(parent)).copied();
            above.insert(*at, parent.or(root));
        }
    }
    above.extend(root.map(|root| (root, None)));
    let leads_up = |from: usize| {
        let (mut at, mut seen) = (from, HashSet::new());
        loop {
            match above.get(&at) {
                None => return false,
                Some(None) => return true,
                Some(Some(parent)) if seen.insert(*parent) => at = *parent,
                Some(Some(_)) => return false,
            }
        }
    };
    (above.iter().filter(|(at, _)| leads_up(**at)).map(|(at, parent)| (*at, *parent)).collect(), root)
}

/// A link and the sample it is.
type Found = (Edge, Sample);

fn linked(nodes: &[Node]) -> Vec<Found> {
    let (above, root) = tree(nodes);
    let mut out = Vec::new();
    for (at, node) in nodes.iter().enumerate().filter(|(at, _)| above.contains_key(at)) {
        let path = |from: usize| std::iter::successors(above[&from], |at| above[at]);
        let speaks = |other: &usize| nodes[*other].kind != INTERNAL && above[other] == Some(at);
        if node.kind == CLIENT && above.keys().any(speaks) {
            continue;
        }
        let both = node.service.is_some() && node.remote.is_some();
        let kind = if is_remote(node.kind) {
            node.kind
        } else if both {
            CLIENT
        } else {
            continue;
        };
        let (mut parent, child) = match kind {
            SERVER | CONSUMER => (node.remote.clone(), node.service.clone()),
            _ => (node.service.clone(), node.remote.clone()),
        };
        let sample = |duration: Option<u64>, error: bool| Sample {
            duration,
            trace: node.trace,
            span: tailspan::SpanId::from_u64(node.id),
            error,
            start: node.start,
        };
        if kind == PRODUCER || kind == CONSUMER {
            if let (Some(parent), Some(child)) = (parent, child) {
                out.push(((parent, child, "messaging"), sample(node.duration, node.error)));
            }
            continue;
        }
        if kind == SERVER && root == Some(at) && parent.is_none() {
            continue;
        }
        let mut error = node.error;
        let caller = path(at).map(|up| &nodes[up]).find(|up| is_remote(up.kind));
        if let Some((caller, name)) = caller.and_then(|caller| Some((caller, caller.service.clone()?))) {
            if let (CLIENT, Some(own)) = (kind, &node.service)
                && *own != name
            {
                out.push(((name.clone(), own.clone(), "call"), sample(None, false)));
            }
            if kind == SERVER || parent.is_none() {
                parent = Some(name);
            }
            if !error && caller.kind == CLIENT && node.parent == Some(caller.id) {
                error = caller.error;
            }
        }
        if let (Some(parent), Some(child)) = (parent, child) {
            out.push(((parent, child, "call"), sample(node.duration, error)));
        }
    }
    out
}

/// What the links of all spans point to.
fn pointed(spans: &[Span]) -> Vec<Found> {
    let mut out = Vec::new();
    for span in spans {
        for link in &span.links {
            let (Some(trace), Some(id)) = (link.trace_id, link.span_id) else { continue };
            let (trace, id) = (u128::from_be_bytes(trace), u64::from_be_bytes(id));
            let is_meant = |other: &&Span| other.trace_id.low() == trace as u64 && other.span_id.get() == id;
            let key = |other: &&Span| {
                let start = other.start_unix_nano;
                (u128::from_be_bytes(other.trace_id.to_bytes()) != trace, is_shared(other), start == 0, start)
            };
            let meant = spans.iter().filter(is_meant).filter(|other| service(other).is_some());
            let Some(target) = meant.min_by_key(|other| (key(other), service(other))) else { continue };
            if let (Some(parent), Some(child)) = (service(target), service(span)) {
                let (duration, error) = (duration(span), status(span) == 2);
                let (trace, span, start) = (span.trace_id, Some(span.span_id), span.start_unix_nano);
                out.push(((parent.into(), child.into(), "link"), Sample { duration, trace, span, error, start }));
            }
        }
    }
    out
}

/// The samples of every link that is yielded in the window.
pub fn links(spans: &[Span], since: Option<u64>, until: Option<u64>) -> BTreeMap<Edge, Vec<Sample>> {
    let mut traces: BTreeMap<u64, Vec<Node>> = BTreeMap::new();
    spans.iter().for_each(|span| traces.entry(span.trace_id.low()).or_default().push(Node::of(span)));
    let found = traces.into_values().flat_map(|records| linked(&merged(records)));
    let mut out: BTreeMap<Edge, Vec<Sample>> = BTreeMap::new();
    for (edge, sample) in found.chain(pointed(spans)) {
        let windowed = since.is_some() || until.is_some();
        let inside = since.is_none_or(|t| t <= sample.start) && until.is_none_or(|t| sample.start < t);
        if !windowed || (sample.start != 0 && inside) {
            out.entry(edge).or_default().push(sample);
        }
    }
    out
}

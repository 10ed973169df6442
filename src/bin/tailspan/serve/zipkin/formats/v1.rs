//! Spans of Zipkin's version 1, which have annotations instead of kinds, and what they become.
//!
//! ```text
//! annotations cs .. cr with the client's endpoint     => CLIENT span
//! annotations sr .. ss with the server's endpoint     => SERVER span, shared if the client is in the same span
//! ms, ws => PRODUCER       wr, mr => CONSUMER         sa, ca, ma (addresses) => the remote endpoint
//! ```
//! One span of version 1 becomes a span for each service that recorded something in it, as in Zipkin's own converter.

use super::v2::{V2Annotation, V2Endpoint, V2Span};

/// A span of version 1; times are in microseconds, 0 for none.
#[derive(Debug, Default)]
pub struct V1Span {
    pub trace_id: String,
    pub id: String,
    pub parent_id: Option<String>,
    pub name: String,
    pub timestamp: u64,
    pub duration: u64,
    pub debug: bool,
    pub annotations: Vec<V1Annotation>,
    pub binary: Vec<V1Binary>,
}

/// What happened, and where it was recorded.
#[derive(Clone, Debug, Default)]
pub struct V1Annotation {
    pub timestamp: u64,
    pub value: String,
    pub endpoint: Option<V2Endpoint>,
}

/// A tag or an address.
#[derive(Debug)]
pub struct V1Binary {
    pub key: String,
    /// The text of a tag; `None` for an address.
    pub value: Option<String>,
    pub endpoint: Option<V2Endpoint>,
}

/// The annotations that say who calls whom.
#[derive(Default)]
struct Core {
    cs: Option<V1Annotation>,
    cr: Option<V1Annotation>,
    sr: Option<V1Annotation>,
    ss: Option<V1Annotation>,
    ms: Option<V1Annotation>,
    mr: Option<V1Annotation>,
    ws: Option<V1Annotation>,
    wr: Option<V1Annotation>,
}

impl Core {
    /// Where an annotation of this value is kept, and the kind of span it tells of.
    fn place(&mut self, value: &str) -> Option<(&mut Option<V1Annotation>, Option<&'static str>)> {
        Some(match value {
            "cs" => (&mut self.cs, Some(CLIENT)),
            "cr" => (&mut self.cr, Some(CLIENT)),
            "sr" => (&mut self.sr, Some(SERVER)),
            "ss" => (&mut self.ss, Some(SERVER)),
            "ms" => (&mut self.ms, Some(PRODUCER)),
            "mr" => (&mut self.mr, Some(CONSUMER)),
            "ws" => (&mut self.ws, None),
            "wr" => (&mut self.wr, None),
            _ => return None,
        })
    }
}

const CLIENT: &str = "CLIENT";
const SERVER: &str = "SERVER";
const PRODUCER: &str = "PRODUCER";
const CONSUMER: &str = "CONSUMER";

/// The spans of version 2 that a span of version 1 stands for.
pub fn convert(source: &V1Span) -> Vec<V2Span> {
    let mut parts = Parts { source, spans: vec![blank(source, None)] };
    let core = parts.add_annotations();
    parts.add_binary(&core);
    parts.spans
}

fn blank(source: &V1Span, endpoint: Option<V2Endpoint>) -> V2Span {
    V2Span {
        trace_id: source.trace_id.clone(),
        parent_id: source.parent_id.clone(),
        id: source.id.clone(),
        name: source.name.clone(),
        debug: source.debug,
        local_endpoint: endpoint,
        ..V2Span::default()
    }
}

fn same_service(a: Option<&V2Endpoint>, b: Option<&V2Endpoint>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.service_name == b.service_name,
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// The spans so far; the first takes what names no endpoint.
struct Parts<'s> {
    source: &'s V1Span,
    spans: Vec<V2Span>,
}

impl Parts<'_> {
    /// The span of an endpoint's service.
    fn of(&mut self, endpoint: Option<&V2Endpoint>) -> &mut V2Span {
        let Some(endpoint) = endpoint else { return &mut self.spans[0] };
        let fits =
            |span: &V2Span| span.local_endpoint.is_none() || same_service(span.local_endpoint.as_ref(), Some(endpoint));
        match self.spans.iter().position(fits) {
            Some(at) => {
                let span = &mut self.spans[at];
                span.local_endpoint.get_or_insert_with(|| endpoint.clone());
                span
            }
            None => self.another(endpoint),
        }
    }

    fn another(&mut self, endpoint: &V2Endpoint) -> &mut V2Span {
        let at = self.spans.len();
        self.spans.push(blank(self.source, Some(endpoint.clone())));
        &mut self.spans[at]
    }

    fn add_annotations(&mut self) -> Core {
        let (source, mut core) = (self.source, Core::default());
        for annotation in &source.annotations {
            let span = self.of(annotation.endpoint.as_ref());
            let place = if annotation.endpoint.is_some() { core.place(&annotation.value) } else { None };
            match place {
                Some((place, kind)) => {
                    span.kind = kind.or(span.kind);
                    *place = Some(annotation.clone());
                }
                None => note(span, annotation),
            }
        }
        self.add_times(&mut core);
        self.add_messaging(&core);
        core
    }

    /// Times of calls.
    fn add_times(&mut self, core: &mut Core) {
        let source = self.source;
        // Where the end of the span is known to be the end of the call, its begin is that of the call.
        let begin = |end: &Option<V1Annotation>, value: &str| {
            let end = end.as_ref()?;
            let is_end = source.timestamp > 0
                && source.duration > 0
                && source.timestamp.checked_add(source.duration) == Some(end.timestamp);
            let (timestamp, value, endpoint) = (source.timestamp, value.to_owned(), end.endpoint.clone());
            is_end.then_some(V1Annotation { timestamp, value, endpoint })
        };
        core.cs = core.cs.take().or_else(|| begin(&core.cr, "cs"));
        core.sr = core.sr.take().or_else(|| begin(&core.ss, "sr"));
        match (&core.cs, &core.sr) {
            (Some(cs), Some(sr)) => self.add_call(cs, sr, core),
            (Some(cs), None) if core.cr.is_some() => self.set_times(cs, core.cr.as_ref()),
            (None, Some(sr)) if core.ss.is_some() => self.set_times(sr, core.ss.as_ref()),
            _ => self.add_incomplete(core),
        }
        // Version 1 has no flag for it: a server that took a client's id has no time of its own.
        if let (None, Some(sr), 0) = (&core.cs, &core.sr, source.timestamp) {
            self.of(sr.endpoint.as_ref()).shared = true;
        }
    }

    /// Client and server in one span: the client has its duration, the server one of its own.
    fn add_call(&mut self, cs: &V1Annotation, sr: &V1Annotation, core: &Core) {
        self.set_times(cs, core.cr.as_ref());
        let (source_duration, has_end) = (self.source.duration, core.cr.is_some());
        let server = if same_service(cs.endpoint.as_ref(), sr.endpoint.as_ref()) {
            // A service that calls itself is two spans all the same.
            self.of(cs.endpoint.as_ref()).kind = Some(CLIENT);
            let server = match &sr.endpoint {
                Some(endpoint) => self.another(endpoint),
                None => self.of(None),
            };
            server.kind = Some(SERVER);
            server
        } else {
            self.of(sr.endpoint.as_ref())
        };
        (server.shared, server.timestamp) = (true, sr.timestamp);
        server.duration = core.ss.as_ref().map_or(0, |ss| ss.timestamp.saturating_sub(sr.timestamp));
        if !has_end && source_duration == 0 {
            self.of(cs.endpoint.as_ref()).duration = 0;
        }
    }

    /// A call of which one end alone was recorded.
    fn add_incomplete(&mut self, core: &Core) {
        for span in &mut self.spans {
            let (begin, end) = match span.kind {
                Some(CLIENT) => (&core.cs, &core.cr),
                Some(SERVER) => (&core.sr, &core.ss),
                _ => continue,
            };
            span.timestamp = begin.as_ref().map_or(span.timestamp, |begin| begin.timestamp);
            if let Some(end) = end {
                note(span, end);
            }
        }
        if self.source.timestamp > 0 {
            (self.spans[0].timestamp, self.spans[0].duration) = (self.source.timestamp, self.source.duration);
        }
    }

    fn set_times(&mut self, begin: &V1Annotation, end: Option<&V1Annotation>) {
        let (timestamp, duration) = (self.source.timestamp, self.source.duration);
        let span = self.of(begin.endpoint.as_ref());
        (span.timestamp, span.duration) = match timestamp > 0 && duration > 0 {
            true => (timestamp, duration),
            false => (begin.timestamp, end.map_or(0, |end| end.timestamp.saturating_sub(begin.timestamp))),
        };
    }

    fn add_messaging(&mut self, core: &Core) {
        match (&core.ms, &core.mr) {
            (Some(ms), Some(mr)) => {
                let consumer = if same_service(ms.endpoint.as_ref(), mr.endpoint.as_ref()) {
                    self.of(ms.endpoint.as_ref()).kind = Some(PRODUCER);
                    let consumer = match &mr.endpoint {
                        Some(endpoint) => self.another(endpoint),
                        None => self.of(None),
                    };
                    consumer.kind = Some(CONSUMER);
                    consumer
                } else {
                    self.of(mr.endpoint.as_ref())
                };
                consumer.shared = true;
                (consumer.timestamp, consumer.duration) = match &core.wr {
                    Some(wr) => (wr.timestamp, mr.timestamp.saturating_sub(wr.timestamp)),
                    None => (mr.timestamp, 0),
                };
                let producer = self.of(ms.endpoint.as_ref());
                producer.timestamp = ms.timestamp;
                producer.duration = core.ws.as_ref().map_or(0, |ws| ws.timestamp.saturating_sub(ms.timestamp));
            }
            (Some(ms), None) => self.set_times(ms, core.ws.as_ref()),
            (None, Some(mr)) => match &core.wr {
                Some(wr) => self.set_times(wr, Some(mr)),
                None => self.set_times(mr, None),
            },
            (None, None) => {
                for wire in [&core.ws, &core.wr].into_iter().flatten() {
                    note(self.of(wire.endpoint.as_ref()), wire);
                }
            }
        }
    }

    /// Tags, and addresses of others.
    fn add_binary(&mut self, core: &Core) {
        let (mut ca, mut sa, mut ma) = (None, None, None);
        let source = self.source;
        for binary in &source.binary {
            let endpoint = binary.endpoint.as_ref();
            let Some(value) = &binary.value else {
                match &*binary.key {
                    "ca" => ca = endpoint.cloned(),
                    "sa" => sa = endpoint.cloned(),
                    "ma" => ma = endpoint.cloned(),
                    _ => {}
                }
                continue;
            };
            let span = self.of(endpoint);
            // "lc" without a text only says where the span was recorded.
            if binary.key != "lc" || !value.is_empty() {
                span.tags.insert(binary.key.clone(), value.clone());
            }
        }
        let is_call = [&core.cs, &core.cr, &core.sr, &core.ss].into_iter().any(Option::is_some);
        match (is_call, ca, sa) {
            (false, Some(ca), Some(sa)) => self.of(Some(&ca)).remote_endpoint = Some(sa),
            (false, None, Some(sa)) => self.of(None).remote_endpoint = Some(sa),
            (false, Some(ca), None) => {
                let span = self.of(None);
                (span.kind, span.remote_endpoint) = (Some(SERVER), Some(ca));
            }
            (_, ca, sa) => {
                self.set_client_address(ca, core.sr.as_ref().or(core.ss.as_ref()));
                let client = [&core.cs, &core.cr].into_iter().flatten().find(|a| sa.is_some() && sa != a.endpoint);
                if let Some(client) = client {
                    self.of(client.endpoint.as_ref()).remote_endpoint = sa;
                }
            }
        }
        for end in [&core.ms, &core.mr].into_iter().flatten().filter(|end| ma.is_some() && ma != end.endpoint) {
            self.of(end.endpoint.as_ref()).remote_endpoint.clone_from(&ma);
        }
    }

    fn set_client_address(&mut self, ca: Option<V2Endpoint>, server: Option<&V1Annotation>) {
        let (Some(mut ca), Some(server)) = (ca, server) else { return };
        if Some(&ca) == server.endpoint.as_ref() {
            return;
        }
        // Some clients' addresses come with the server's own name.
        if same_service(Some(&ca), server.endpoint.as_ref()) {
            ca.service_name = None;
        }
        self.of(server.endpoint.as_ref()).remote_endpoint = (ca != V2Endpoint::default()).then_some(ca);
    }
}

fn note(span: &mut V2Span, annotation: &V1Annotation) {
    span.annotations.push(V2Annotation { timestamp: annotation.timestamp, value: annotation.value.clone() });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Option<V2Endpoint> {
        V2Endpoint::of(name, Some([10, 0, 0, name.len() as u8].into()), None, 0)
    }

    fn at(timestamp: u64, value: &str, name: &str) -> V1Annotation {
        V1Annotation { timestamp, value: value.into(), endpoint: host(name) }
    }

    fn span(annotations: Vec<V1Annotation>, binary: Vec<V1Binary>) -> V1Span {
        V1Span { trace_id: "1".into(), id: "2".into(), name: "get".into(), annotations, binary, ..V1Span::default() }
    }

    fn address(key: &str, name: &str) -> V1Binary {
        V1Binary { key: key.into(), value: None, endpoint: host(name) }
    }

    /// Kind, service, start, duration, shared.
    type Outline<'s> = (Option<&'static str>, Option<&'s str>, u64, u64, bool);

    fn outline(spans: &[V2Span]) -> Vec<Outline<'_>> {
        spans
            .iter()
            .map(|span| {
                let name = span.local_endpoint.as_ref().and_then(|endpoint| endpoint.service_name.as_deref());
                (span.kind, name, span.timestamp, span.duration, span.shared)
            })
            .collect()
    }

    #[test]
    fn a_call_with_both_ends_becomes_two_spans() {
        let ends = vec![at(10, "cs", "web"), at(12, "sr", "shop"), at(19, "ss", "shop"), at(20, "cr", "web")];
        let spans = convert(&span(ends, vec![]));
        let expected = [(Some(CLIENT), Some("web"), 10, 10, false), (Some(SERVER), Some("shop"), 12, 7, true)];
        assert_eq!(outline(&spans), expected);
    }

    #[test]
    fn a_service_that_calls_itself_is_two_spans() {
        let ends = vec![at(10, "cs", "web"), at(12, "sr", "web"), at(19, "ss", "web"), at(20, "cr", "web")];
        let spans = convert(&span(ends, vec![]));
        let expected = [(Some(CLIENT), Some("web"), 10, 10, false), (Some(SERVER), Some("web"), 12, 7, true)];
        assert_eq!(outline(&spans), expected);
    }

    #[test]
    fn a_server_without_a_time_of_its_own_shares_the_clients_id() {
        let ends = || vec![at(12, "sr", "shop"), at(19, "ss", "shop")];
        assert_eq!(outline(&convert(&span(ends(), vec![]))), [(Some(SERVER), Some("shop"), 12, 7, true)]);
        let own = V1Span { timestamp: 11, duration: 9, ..span(ends(), vec![]) };
        assert_eq!(outline(&convert(&own)), [(Some(SERVER), Some("shop"), 11, 9, false)]);
    }

    #[test]
    fn an_end_alone_is_an_annotation_of_an_incomplete_span() {
        let spans = convert(&span(vec![at(20, "cr", "web")], vec![]));
        assert_eq!(outline(&spans), [(Some(CLIENT), Some("web"), 0, 0, false)]);
        assert_eq!(spans[0].annotations, [V2Annotation { timestamp: 20, value: "cr".into() }]);
        let whole = V1Span { timestamp: 15, duration: 5, ..span(vec![at(20, "cr", "web")], vec![]) };
        let spans = convert(&whole);
        assert_eq!(outline(&spans), [(Some(CLIENT), Some("web"), 15, 5, false)]);
        assert!(spans[0].annotations.is_empty());
    }

    #[test]
    fn messages_have_producers_and_consumers() {
        let ends = vec![at(10, "ms", "app"), at(11, "ws", "app"), at(15, "wr", "job"), at(16, "mr", "job")];
        let spans = convert(&span(ends, vec![address("ma", "kafka")]));
        let expected = [(Some(PRODUCER), Some("app"), 10, 1, false), (Some(CONSUMER), Some("job"), 15, 1, true)];
        assert_eq!(outline(&spans), expected);
        assert!(spans.iter().all(|span| span.remote_endpoint == host("kafka")));
    }

    #[test]
    fn addresses_are_remote_endpoints() {
        let call = |key: &str, name: &str| {
            let ends = vec![at(10, "cs", "web"), at(20, "cr", "web")];
            convert(&span(ends, vec![address(key, name)])).remove(0).remote_endpoint
        };
        assert_eq!(call("sa", "db"), host("db"));
        assert_eq!(call("sa", "web"), None);
        let server = |name: &str| {
            let mut binary = address("ca", name);
            binary.endpoint = V2Endpoint::of(name, Some([1, 2, 3, 4].into()), None, 0);
            let ends = vec![at(10, "sr", "shop"), at(20, "ss", "shop")];
            convert(&span(ends, vec![binary])).remove(0).remote_endpoint
        };
        assert_eq!(server("shop"), V2Endpoint::of("", Some([1, 2, 3, 4].into()), None, 0));
        assert_eq!(server("web"), V2Endpoint::of("web", Some([1, 2, 3, 4].into()), None, 0));
        let alone = convert(&span(vec![], vec![address("ca", "web")]));
        assert_eq!((alone[0].kind, alone[0].remote_endpoint.clone()), (Some(SERVER), host("web")));
    }

    #[test]
    fn a_local_component_has_tags_and_no_marker() {
        let tag =
            |key: &str, value: &str| V1Binary { key: key.into(), value: Some(value.into()), endpoint: host("job") };
        let spans = convert(&V1Span { timestamp: 5, duration: 6, ..span(vec![], vec![tag("lc", ""), tag("a", "b")]) });
        assert_eq!(outline(&spans), [(None, Some("job"), 5, 6, false)]);
        assert_eq!(spans[0].tags.iter().collect::<Vec<_>>(), [(&"a".to_owned(), &"b".to_owned())]);
    }
}

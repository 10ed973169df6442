//! A question as plain fields. The engine's [`Query`] and the oracle's criteria are both made from it,
//! neither from the other.

use std::time::Duration;

use tailspan::{Order, Query, QueryScope, SpanKind, StatusCode};

/// A question.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    pub service: Option<String>,
    pub name: Option<String>,
    pub remote_service: Option<String>,
    pub kind: Option<i32>,
    pub status: Option<i32>,
    pub error: bool,
    pub tags: Vec<String>,
    pub annotations: Option<String>,
    pub duration: Bounds,
    pub trace_duration: Bounds,
    pub since: Option<u64>,
    pub until: Option<u64>,
    pub scope: QueryScope,
    pub order: Order,
    pub lenient: bool,
}

/// A minimum and a maximum in nanoseconds, both inclusive.
pub type Bounds = (Option<u64>, Option<u64>);

impl Ask {
    /// The engine's form of it, without a limit.
    pub fn query(&self) -> Query {
        let mut query = Query::new().limit(0).scope(self.scope).order(self.order);
        query.service.clone_from(&self.service);
        query.name.clone_from(&self.name);
        query.remote_service.clone_from(&self.remote_service);
        query.kind = self.kind.map(SpanKind);
        query.status = self.status.map(StatusCode);
        query.error = self.error;
        query.window.since = self.since;
        query.window.until = self.until;
        query.lenient = self.lenient;
        for tag in &self.tags {
            query = query.tag_text(tag).unwrap();
        }
        if let Some(text) = &self.annotations {
            query = query.annotation_query(text);
        }
        let apply = |bound: Option<u64>, query: Query, set: fn(Query, Duration) -> Query| match bound {
            Some(nanos) => set(query, Duration::from_nanos(nanos)),
            None => query,
        };
        query = apply(self.duration.0, query, Query::min_duration);
        query = apply(self.duration.1, query, Query::max_duration);
        query = apply(self.trace_duration.0, query, Query::min_trace_duration);
        apply(self.trace_duration.1, query, Query::max_trace_duration)
    }
}

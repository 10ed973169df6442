//! tailspan, as it opens by default: every message is synced before the next.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tailspan::{
    GroupKey, LatencyGroup, LatencyQuery, LinkKind, LinksQuery, Quantile, Query, SeriesQuery, Span, Store, TimeRange,
    TraceId,
};

use super::{Reader, Writer};
use crate::questions::{Answer, FIRST, Line, Question, Tag, Window};
use crate::row::{ORDER_KEY, USER_KEY, signed};

const MINUTE: u64 = 60_000_000_000;

struct Tailspan(Store);

pub fn create(directory: &Path) -> Result<Box<dyn Writer>> {
    Ok(Box::new(Tailspan(Store::open(directory)?)))
}

pub fn open(directory: &Path) -> Result<Box<dyn Reader>> {
    Ok(Box::new(Tailspan(Store::open_read_only(directory)?)))
}

impl Writer for Tailspan {
    fn append(&mut self, message: &[u8]) -> Result<()> {
        let appended = self.0.append_otlp(message)?;
        ensure!(appended.rejected_count() == 0, "tailspan rejects {} spans", appended.rejected_count());
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.0.seal()?;
        self.0.settle()?;
        Ok(self.0.close()?)
    }
}

impl Reader for Tailspan {
    fn ask(&self, question: &Question) -> Result<Option<Answer>> {
        let answer = match question {
            Question::Trace(id) => {
                let id = TraceId::from_bytes(*id).context("a trace id of zeros")?;
                self.0.trace(id)?.iter().map(line_of_span).collect()
            }
            Question::Newest { service, min_duration, window } => {
                let query = Query::new().service(service).min_duration(Duration::from_nanos(*min_duration as u64));
                let found = self.0.find(&query.window(range(window)).limit(FIRST))?;
                ensure!(found.complete, "tailspan: {:?}", found.reason);
                found.traces.iter().map(|trace| Line::of_trace(trace.trace_id.to_bytes(), Vec::new())).collect()
            }
            Question::Tagged(tag, value) => {
                let key = if *tag == Tag::User { USER_KEY } else { ORDER_KEY };
                let query = Query::new().tag_text(&format!("span:{key}=\"{value}\""))?.limit(0);
                let found = self.0.find(&query)?;
                ensure!(found.complete, "tailspan: {:?}", found.reason);
                let line = |trace: &tailspan::TraceSummary| {
                    Line::of_trace(trace.trace_id.to_bytes(), vec![trace.matched_count as i64])
                };
                found.traces.iter().map(line).collect()
            }
            Question::Latency(window) => self.latency(window.as_ref())?,
            Question::Slowest { service } => {
                let report = self.0.slowest_spans(&Query::new().service(service), FIRST)?;
                ensure!(report.complete, "tailspan: {:?}", report.reason);
                let line = |span: &tailspan::Slowest| {
                    let figures = vec![signed(span.span_id.get()), span.duration_nano as i64];
                    Line::of_trace(span.trace_id.to_bytes(), figures)
                };
                report.items.iter().map(line).collect()
            }
            Question::Links => self.links()?,
            Question::Errors => self.errors()?,
        };
        Ok(Some(answer))
    }
}

impl Tailspan {
    fn latency(&self, window: Option<&Window>) -> Result<Answer> {
        let filter = Query::new().window(window.map_or(TimeRange::ALL, range));
        let query = LatencyQuery::new(filter).by(vec![GroupKey::Service, GroupKey::Name]);
        let report = self.0.latency(&query.quantiles(quantiles(&["0.5", "0.99", "0.999"])?))?;
        ensure!(report.complete, "tailspan: {:?}", report.reason);
        let line = |group: &LatencyGroup| {
            let mut figures = vec![group.count as i64, group.errors as i64];
            figures.extend(group.quantiles.iter().map(|quantile| quantile.value_nano as i64));
            Line::of_texts(group.group.iter().map(|text| text.clone().unwrap_or_default()).collect(), figures)
        };
        Ok(report.groups.iter().map(line).collect())
    }

    /// Calls between services that have spans: tailspan also tells of databases, brokers and third parties.
    fn links(&self) -> Result<Answer> {
        let report = self.0.links(&LinksQuery::new().quantiles(quantiles(&["0.99"])?))?;
        ensure!(report.complete, "tailspan: {:?}", report.reason);
        let services = self.0.services()?;
        let services: BTreeSet<&str> = services.iter().filter_map(|service| service.service.as_deref()).collect();
        let between = |link: &&tailspan::ServiceLink| {
            link.kind == LinkKind::Call && services.contains(&*link.parent) && services.contains(&*link.child)
        };
        let line = |link: &tailspan::ServiceLink| {
            let mut figures = vec![link.call_count as i64, link.error_count as i64];
            figures.extend(link.quantiles.iter().map(|quantile| quantile.value_nano as i64));
            Line::of_texts(vec![link.parent.clone(), link.child.clone()], figures)
        };
        Ok(report.links.iter().filter(between).map(line).collect())
    }

    fn errors(&self) -> Result<Answer> {
        let query = SeriesQuery::new(Query::new(), MINUTE).by(vec![GroupKey::Service]).quantiles(Vec::new());
        let series = self.0.series(&query)?;
        ensure!(series.complete, "tailspan: {:?}", series.reason);
        let line = |point: &tailspan::SeriesPoint| {
            let minute = (point.start_unix_nano / MINUTE) as i64;
            let figures = vec![minute, point.figures.count as i64, point.figures.errors as i64];
            Line::of_texts(point.figures.group.iter().map(|text| text.clone().unwrap_or_default()).collect(), figures)
        };
        Ok(series.points.iter().map(line).collect())
    }
}

fn line_of_span(span: &Span) -> Line {
    let attributes = span.attributes.len() + span.resource.attributes.len();
    let duration = span.duration_nanos().map_or(-1, |duration| duration as i64);
    let (start, id) = (span.start_unix_nano as i64, signed(span.span_id.get()));
    Line::of_texts(Vec::new(), vec![start, id, duration, attributes as i64])
}

fn range(window: &Window) -> TimeRange {
    TimeRange { since: Some(window.since as u64), until: Some(window.until as u64) }
}

fn quantiles(texts: &[&str]) -> Result<Vec<Quantile>> {
    Ok(texts.iter().map(|text| Quantile::parse(text)).collect::<tailspan::Result<_>>()?)
}

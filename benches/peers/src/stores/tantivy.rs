//! tantivy: terms for what is sought by its value, fast fields for what is compared, counted or sorted.
//!
//! Its percentiles are those of a sketch, and it joins nothing, so percentiles and edges are not asked. All spans are one
//! commit: it is no log, and a commit for each message would make a segment of each.

use std::ops::Bound;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;
use tantivy::aggregation::AggregationCollector;
use tantivy::aggregation::agg_req::Aggregations;
use tantivy::collector::{DocSetCollector, TopDocs};
use tantivy::columnar::Column;
use tantivy::query::{BooleanQuery, Query, RangeQuery, TermQuery};
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, STORED, STRING, Schema, Value};
use tantivy::{DocAddress, Index, IndexReader, IndexWriter, Order, ReloadPolicy, Searcher, TantivyDocument, Term};

use super::{Reader, Writer};
use crate::questions::{Answer, FIRST, Line, Question, Tag, newest_traces};
use crate::row::{Bodies, Resources, Row, rows_of};

const THREADS: usize = 2;
const MEMORY_BYTES: usize = 256 << 20;
/// More buckets than any question has.
const BUCKETS_MAX: u64 = 65_000;

#[derive(Clone, Copy)]
struct Fields {
    trace: Field,
    trace_high: Field,
    trace_low: Field,
    span: Field,
    service: Field,
    name: Field,
    start: Field,
    minute: Field,
    duration: Field,
    error: Field,
    user: Field,
    order: Field,
    resource: Field,
    body: Field,
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let fields = Fields {
        trace: schema.add_bytes_field("trace", INDEXED),
        trace_high: schema.add_u64_field("trace_high", FAST),
        trace_low: schema.add_u64_field("trace_low", FAST),
        span: schema.add_i64_field("span", FAST),
        service: schema.add_text_field("service", STRING | FAST),
        name: schema.add_text_field("name", STRING | FAST),
        start: schema.add_i64_field("start", FAST),
        minute: schema.add_i64_field("minute", FAST),
        duration: schema.add_i64_field("duration", FAST),
        error: schema.add_u64_field("error", FAST),
        user: schema.add_text_field("user", STRING),
        order: schema.add_text_field("order", STRING),
        resource: schema.add_u64_field("resource", FAST),
        body: schema.add_bytes_field("body", STORED),
    };
    (schema.build(), fields)
}

struct Filled {
    writer: IndexWriter,
    fields: Fields,
    resources: Resources,
    directory: PathBuf,
}

fn place(directory: &Path) -> PathBuf {
    directory.join("index")
}

pub fn create(directory: &Path) -> Result<Box<dyn Writer>> {
    let (schema, fields) = schema();
    std::fs::create_dir(place(directory))?;
    let index = Index::create_in_dir(place(directory), schema)?;
    let writer = index.writer_with_num_threads(THREADS, MEMORY_BYTES)?;
    Ok(Box::new(Filled { writer, fields, resources: Resources::default(), directory: directory.to_owned() }))
}

impl Writer for Filled {
    fn append(&mut self, message: &[u8]) -> Result<()> {
        for row in rows_of(message, &mut self.resources)? {
            self.writer.add_document(self.fields.document(&row))?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.writer.commit()?;
        self.writer.wait_merging_threads()?;
        self.resources.save(&self.directory)
    }
}

impl Fields {
    fn document(&self, row: &Row) -> TantivyDocument {
        let trace = u128::from_be_bytes(row.trace);
        let mut document = TantivyDocument::new();
        document.add_bytes(self.trace, &row.trace);
        document.add_u64(self.trace_high, (trace >> 64) as u64);
        document.add_u64(self.trace_low, trace as u64);
        document.add_i64(self.span, row.span);
        document.add_text(self.service, &row.service);
        document.add_text(self.name, &row.name);
        document.add_i64(self.start, row.start);
        document.add_i64(self.minute, row.minute());
        row.duration.into_iter().for_each(|duration| document.add_i64(self.duration, duration));
        document.add_u64(self.error, u64::from(row.error));
        row.user.iter().for_each(|user| document.add_text(self.user, user));
        row.order.iter().for_each(|order| document.add_text(self.order, order));
        document.add_u64(self.resource, u64::from(row.resource));
        document.add_bytes(self.body, &row.body);
        document
    }
}

/// The fast fields of a segment that tell of a span.
struct Columns {
    trace_high: Column<u64>,
    trace_low: Column<u64>,
    span: Column<i64>,
    start: Column<i64>,
    duration: Column<i64>,
    resource: Column<u64>,
}

impl Columns {
    fn trace(&self, document: u32) -> Result<[u8; 16]> {
        let half = |column: &Column<u64>| column.first(document).context("a span without a trace");
        Ok((u128::from(half(&self.trace_high)?) << 64 | u128::from(half(&self.trace_low)?)).to_be_bytes())
    }

    fn start(&self, document: u32) -> Result<i64> {
        self.start.first(document).context("a span without a start")
    }
}

struct Read {
    searcher: Searcher,
    fields: Fields,
    columns: Vec<Columns>,
    bodies: Bodies,
}

pub fn open(directory: &Path) -> Result<Box<dyn Reader>> {
    // Nothing is written any more: no thread need look whether the index has changed.
    let index = Index::open_in_dir(place(directory))?;
    let reader: IndexReader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
    let searcher = reader.searcher();
    let mut columns = Vec::new();
    for segment in searcher.segment_readers() {
        let fast = segment.fast_fields();
        columns.push(Columns {
            trace_high: fast.u64("trace_high")?,
            trace_low: fast.u64("trace_low")?,
            span: fast.i64("span")?,
            start: fast.i64("start")?,
            duration: fast.i64("duration")?,
            resource: fast.u64("resource")?,
        });
    }
    Ok(Box::new(Read { searcher, fields: schema().1, columns, bodies: Bodies::load(directory)? }))
}

fn is(term: Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

impl Reader for Read {
    fn ask(&self, question: &Question) -> Result<Option<Answer>> {
        let fields = &self.fields;
        let answer = match question {
            Question::Trace(id) => {
                let spans = self.matching(&*is(Term::from_field_bytes(fields.trace, id)))?;
                spans.into_iter().map(|at| self.line_of_span(at)).collect::<Result<_>>()?
            }
            Question::Newest { service, min_duration, window } => {
                let number = |field, value| Term::from_field_i64(field, value);
                let (since, until) = (number(fields.start, window.since), number(fields.start, window.until));
                let long = Bound::Included(number(fields.duration, *min_duration));
                let query = BooleanQuery::intersection(vec![
                    is(Term::from_field_text(fields.service, service)),
                    Box::new(RangeQuery::new(Bound::Included(since), Bound::Excluded(until))),
                    Box::new(RangeQuery::new(long, Bound::Unbounded)),
                ]);
                let mut spans = Vec::new();
                for at in self.matching(&query)? {
                    spans.push((self.of(at).trace(at.doc_id)?, self.of(at).start(at.doc_id)?));
                }
                spans.sort_by_key(|(_, start)| std::cmp::Reverse(*start));
                newest_traces(spans.into_iter().map(Ok), |trace| self.start_of(trace))?
            }
            Question::Tagged(tag, value) => {
                let field = if *tag == Tag::User { fields.user } else { fields.order };
                let mut counts = std::collections::BTreeMap::new();
                for at in self.matching(&*is(Term::from_field_text(field, value)))? {
                    *counts.entry(self.of(at).trace(at.doc_id)?).or_default() += 1;
                }
                counts.into_iter().map(|(trace, count)| Line::of_trace(trace, vec![count])).collect()
            }
            Question::Slowest { service } => self.slowest(service)?,
            Question::Errors => self.errors()?,
            Question::Latency(_) | Question::Links => return Ok(None),
        };
        Ok(Some(answer))
    }
}

impl Read {
    fn matching(&self, query: &dyn Query) -> Result<impl Iterator<Item = DocAddress> + use<>> {
        Ok(self.searcher.search(query, &DocSetCollector)?.into_iter())
    }

    fn of(&self, at: DocAddress) -> &Columns {
        &self.columns[at.segment_ord as usize]
    }

    fn start_of(&self, trace: [u8; 16]) -> Result<i64> {
        let mut first = i64::MAX;
        for at in self.matching(&*is(Term::from_field_bytes(self.fields.trace, &trace)))? {
            first = first.min(self.of(at).start(at.doc_id)?);
        }
        Ok(first)
    }

    fn line_of_span(&self, at: DocAddress) -> Result<Line> {
        let columns = self.of(at);
        let document: TantivyDocument = self.searcher.doc(at)?;
        let body =
            document.get_first(self.fields.body).and_then(|value| value.as_bytes()).context("a span without body")?;
        let resource = columns.resource.first(at.doc_id).context("a span without resource")?;
        let attributes = self.bodies.attribute_count(resource as u32, body)? as i64;
        let span = columns.span.first(at.doc_id).context("a span without id")?;
        let duration = columns.duration.first(at.doc_id).unwrap_or(-1);
        Ok(Line::of_texts(Vec::new(), vec![columns.start(at.doc_id)?, span, duration, attributes]))
    }

    /// Takes more than are asked for, until all that are as long as the last of them are there: it sorts by duration alone.
    fn slowest(&self, service: &str) -> Result<Answer> {
        let query = is(Term::from_field_text(self.fields.service, service));
        let mut taken = 2 * FIRST;
        let longest = loop {
            let sorted = TopDocs::with_limit(taken).order_by_fast_field::<i64>("duration", Order::Desc);
            let longest: Vec<(Option<i64>, DocAddress)> = self.searcher.search(&*query, &sorted)?;
            let tied = |last: &(Option<i64>, DocAddress)| last.0 == longest[FIRST - 1].0;
            if longest.len() < taken || !longest.last().is_some_and(tied) {
                break longest;
            }
            taken *= 2;
        };
        let mut spans = Vec::new();
        for (duration, at) in longest.into_iter().filter_map(|(duration, at)| duration.map(|duration| (duration, at))) {
            let columns = self.of(at);
            let span = columns.span.first(at.doc_id).context("a span without id")?;
            spans.push((-duration, -columns.start(at.doc_id)?, columns.trace(at.doc_id)?, span));
        }
        spans.sort();
        spans.truncate(FIRST);
        Ok(spans.into_iter().map(|(falling, _, trace, span)| Line::of_trace(trace, vec![span, -falling])).collect())
    }

    fn errors(&self) -> Result<Answer> {
        let request: Aggregations = serde_json::from_value(json!({ "services": {
            "terms": { "field": "service", "size": BUCKETS_MAX },
            "aggs": { "minutes": {
                "terms": { "field": "minute", "size": BUCKETS_MAX },
                "aggs": { "errors": { "sum": { "field": "error" } } },
            } },
        } }))?;
        let collector = AggregationCollector::from_aggs(request, Default::default());
        let found = self.searcher.search(&tantivy::query::AllQuery, &collector)?;
        let found = serde_json::to_value(found)?;
        let mut lines = Vec::new();
        for service in found["services"]["buckets"].as_array().context("no services")? {
            let name = service["key"].as_str().context("a service without name")?;
            for minute in service["minutes"]["buckets"].as_array().context("no minutes")? {
                let figure = |value: &serde_json::Value| value.as_f64().map(|figure| figure as i64);
                let figures =
                    [figure(&minute["key"]), figure(&minute["doc_count"]), figure(&minute["errors"]["value"])];
                lines.push(Line::of_texts(vec![name.to_owned()], figures.into_iter().flatten().collect()));
            }
        }
        Ok(lines)
    }
}

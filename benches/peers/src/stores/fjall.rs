//! fjall: keys and values; a key space for spans by trace, and one for each question that finds spans.
//!
//! ```text
//! spans        trace, span                       -> start, duration, resource, body
//! by_start     service, start, trace, span       -> duration
//! by_duration  service, !duration, !start, trace, span
//! by_user      user, trace, span                 by_order likewise
//! ```
//! It counts and sums nothing, so what groups all spans is not asked.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Reader, Writer};
use crate::questions::{Answer, FIRST, Line, Question, Tag, newest_traces};
use crate::row::{Bodies, Resources, Row, rows_of};

/// Ends a text within a key.
const END: u8 = 0;
const NO_DURATION: i64 = -1;

struct Fjall {
    database: Database,
    spans: Keyspace,
    by_start: Keyspace,
    by_duration: Keyspace,
    by_user: Keyspace,
    by_order: Keyspace,
}

impl Fjall {
    fn open(directory: &Path) -> Result<Self> {
        let database = Database::builder(directory.join("keys")).open()?;
        let space = |name: &str| database.keyspace(name, KeyspaceCreateOptions::default);
        let (spans, by_start, by_duration) = (space("spans")?, space("by_start")?, space("by_duration")?);
        let (by_user, by_order) = (space("by_user")?, space("by_order")?);
        Ok(Self { database, spans, by_start, by_duration, by_user, by_order })
    }
}

struct Filled {
    store: Fjall,
    resources: Resources,
    directory: PathBuf,
}

pub fn create(directory: &Path) -> Result<Box<dyn Writer>> {
    let (store, directory) = (Fjall::open(directory)?, directory.to_owned());
    Ok(Box::new(Filled { store, resources: Resources::default(), directory }))
}

/// A key of a text and what follows it. Numbers are big-endian: keys are in the order of what they are made of.
fn key(text: &str, parts: &[&[u8]]) -> Vec<u8> {
    [text.as_bytes(), &[END], &parts.concat()].concat()
}

fn ids_of(row: &Row) -> Vec<u8> {
    [&row.trace[..], &crate::row::unsigned(row.span).to_be_bytes()].concat()
}

impl Writer for Filled {
    fn append(&mut self, message: &[u8]) -> Result<()> {
        let store = &self.store;
        let mut batch = store.database.batch();
        for row in rows_of(message, &mut self.resources)? {
            let ids = ids_of(&row);
            let (start, duration) = (row.start.to_be_bytes(), row.duration.unwrap_or(NO_DURATION).to_be_bytes());
            let value = [&start[..], &duration, &row.resource.to_be_bytes(), &row.body].concat();
            batch.insert(&store.spans, ids.clone(), value);
            batch.insert(&store.by_start, key(&row.service, &[&start, &ids]), duration);
            if let Some(duration) = row.duration {
                let falling = [(!duration).to_be_bytes(), (!row.start).to_be_bytes()].concat();
                batch.insert(&store.by_duration, key(&row.service, &[&falling, &ids]), []);
            }
            if let Some(user) = &row.user {
                batch.insert(&store.by_user, key(user, &[&ids]), []);
            }
            if let Some(order) = &row.order {
                batch.insert(&store.by_order, key(order, &[&ids]), []);
            }
        }
        batch.commit()?;
        Ok(store.database.persist(PersistMode::SyncData)?)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        for space in [
            &self.store.spans,
            &self.store.by_start,
            &self.store.by_duration,
            &self.store.by_user,
            &self.store.by_order,
        ] {
            space.rotate_memtable_and_wait()?;
            space.major_compact()?;
        }
        self.store.database.persist(PersistMode::SyncAll)?;
        self.resources.save(&self.directory)
    }
}

struct Read {
    store: Fjall,
    bodies: Bodies,
}

pub fn open(directory: &Path) -> Result<Box<dyn Reader>> {
    Ok(Box::new(Read { store: Fjall::open(directory)?, bodies: Bodies::load(directory)? }))
}

fn number(bytes: &[u8], at: usize) -> Result<i64> {
    let bytes = bytes.get(at..at + 8).context("a value is too short")?;
    Ok(i64::from_be_bytes(bytes.try_into()?))
}

/// Trace and span at this place of a key.
fn ids_at(key: &[u8], at: usize) -> Result<([u8; 16], i64)> {
    let trace = key.get(at..at + 16).context("a key is too short")?;
    Ok((trace.try_into()?, crate::row::signed(number(key, at + 16)? as u64)))
}

impl Reader for Read {
    fn ask(&self, question: &Question) -> Result<Option<Answer>> {
        let store = &self.store;
        let answer = match question {
            Question::Trace(id) => {
                let mut lines = Vec::new();
                for entry in store.spans.prefix(id) {
                    let (key, value) = entry.into_inner()?;
                    let (_, span) = ids_at(&key, 0)?;
                    let resource = u32::from_be_bytes(value.get(16..20).context("a value is too short")?.try_into()?);
                    let attributes = self.bodies.attribute_count(resource, &value[20..])? as i64;
                    lines.push(Line::of_texts(
                        Vec::new(),
                        vec![number(&value, 0)?, span, number(&value, 8)?, attributes],
                    ));
                }
                lines
            }
            Question::Newest { service, min_duration, window } => {
                let (from, to) =
                    (key(service, &[&window.since.to_be_bytes()]), key(service, &[&window.until.to_be_bytes()]));
                let at = service.len() + 1;
                let candidates = store.by_start.range(from..to).rev().filter_map(|entry| {
                    let candidate = entry.into_inner().map_err(anyhow::Error::from).and_then(|(key, value)| {
                        let (trace, _) = ids_at(&key, at + 8)?;
                        Ok((number(&value, 0)?, (trace, number(&key, at)?)))
                    });
                    match candidate {
                        Ok((duration, span)) => (duration >= *min_duration).then_some(Ok(span)),
                        Err(error) => Some(Err(error)),
                    }
                });
                newest_traces(candidates, |trace| self.start_of(trace))?
            }
            Question::Tagged(tag, value) => {
                let space = if *tag == Tag::User { &store.by_user } else { &store.by_order };
                let mut lines: Vec<Line> = Vec::new();
                for entry in space.prefix(key(value, &[])) {
                    let (trace, _) = ids_at(&entry.key()?, value.len() + 1)?;
                    match lines.last_mut().filter(|line| line.id == u128::from_be_bytes(trace)) {
                        Some(line) => line.figures[0] += 1,
                        None => lines.push(Line::of_trace(trace, vec![1])),
                    }
                }
                lines
            }
            Question::Slowest { service } => {
                let mut lines = Vec::new();
                for entry in store.by_duration.prefix(key(service, &[])).take(FIRST) {
                    let key = entry.key()?;
                    let at = service.len() + 1;
                    let (trace, span) = ids_at(&key, at + 16)?;
                    lines.push(Line::of_trace(trace, vec![span, !number(&key, at)?]));
                }
                lines
            }
            Question::Latency(_) | Question::Links | Question::Errors => return Ok(None),
        };
        Ok(Some(answer))
    }
}

impl Read {
    fn start_of(&self, trace: [u8; 16]) -> Result<i64> {
        let mut first = i64::MAX;
        for entry in self.store.spans.prefix(trace) {
            first = first.min(number(&entry.value()?, 0)?);
        }
        Ok(first)
    }
}

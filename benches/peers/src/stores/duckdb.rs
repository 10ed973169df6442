//! DuckDB: one table, sorted by service and start once all spans are there; its zone maps are its only index.

use std::path::{Path, PathBuf};

use anyhow::Result;
use duckdb::{AccessMode, Config, Connection, Row as Found, params};

use super::{Reader, Writer, sql};
use crate::questions::{Answer, FIRST, Line, Question, Tag, Window};
use crate::row::{Bodies, Resources, rows_of};

const FILE: &str = "spans.duckdb";
/// Spans wait in a temporary table: what a table leaves behind when it is dropped would stay in the file.
const SCHEMA: &str = "CREATE TEMPORARY TABLE arrived (trace BLOB, span BIGINT, parent BIGINT, service VARCHAR, name VARCHAR, \
    served INTEGER, called INTEGER, start BIGINT, duration BIGINT, error INTEGER, user_id VARCHAR, order_id VARCHAR, resource INTEGER, body BLOB);";

struct Filled {
    connection: Connection,
    resources: Resources,
    directory: PathBuf,
}

pub fn create(directory: &Path) -> Result<Box<dyn Writer>> {
    let connection = Connection::open(directory.join(FILE))?;
    connection.execute_batch(SCHEMA)?;
    Ok(Box::new(Filled { connection, resources: Resources::default(), directory: directory.to_owned() }))
}

impl Writer for Filled {
    fn append(&mut self, message: &[u8]) -> Result<()> {
        let mut appender = self.connection.appender_to_catalog_and_db("arrived", "temp", "main")?;
        for r in rows_of(message, &mut self.resources)? {
            let (served, called, error) = (i32::from(r.served), i32::from(r.called), i32::from(r.error));
            appender.append_row(params![
                &r.trace[..],
                r.span,
                r.parent,
                r.service,
                r.name,
                served,
                called,
                r.start,
                r.duration,
                error,
                r.user,
                r.order,
                r.resource,
                r.body,
            ])?;
        }
        Ok(appender.flush()?)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let sorted =
            format!("CREATE TABLE spans AS SELECT {} FROM arrived ORDER BY service, start; CHECKPOINT;", sql::COLUMNS);
        self.connection.execute_batch(&sorted)?;
        self.connection.close().map_err(|(_, error)| error)?;
        self.resources.save(&self.directory)
    }
}

struct Read {
    connection: Connection,
    bodies: Bodies,
}

pub fn open(directory: &Path) -> Result<Box<dyn Reader>> {
    let config = Config::default().access_mode(AccessMode::ReadOnly)?;
    let connection = Connection::open_with_flags(directory.join(FILE), config)?;
    Ok(Box::new(Read { connection, bodies: Bodies::load(directory)? }))
}

impl Reader for Read {
    fn ask(&self, question: &Question) -> Result<Option<Answer>> {
        let answer = match question {
            Question::Trace(id) => {
                let text = "SELECT start, span, duration, resource, body FROM spans WHERE trace = ?";
                let mut lines = Vec::new();
                let mut statement = self.connection.prepare_cached(text)?;
                let mut rows = statement.query([&id[..]])?;
                while let Some(row) = rows.next()? {
                    let body: Vec<u8> = row.get(4)?;
                    let attributes = self.bodies.attribute_count(row.get(3)?, &body)? as i64;
                    let duration = row.get::<_, Option<i64>>(2)?.unwrap_or(-1);
                    lines.push(Line::of_texts(Vec::new(), vec![row.get(0)?, row.get(1)?, duration, attributes]));
                }
                lines
            }
            Question::Newest { service, min_duration, window } => {
                let text = "SELECT trace FROM spans WHERE trace IN (SELECT trace FROM spans WHERE service = ? AND start >= ? \
                    AND start < ? AND duration >= ?) GROUP BY trace ORDER BY min(start) DESC, trace LIMIT ?";
                let mut statement = self.connection.prepare_cached(text)?;
                let parameters = params![service, window.since, window.until, min_duration, FIRST as i64];
                let line = |row: &Found<'_>| Ok(Line::of_trace(trace_of(row)?, Vec::new()));
                statement.query_map(parameters, line)?.collect::<duckdb::Result<_>>()?
            }
            Question::Tagged(tag, value) => {
                let column = if *tag == Tag::User { "user_id" } else { "order_id" };
                let text = format!("SELECT trace, count(*) FROM spans WHERE {column} = ? GROUP BY trace");
                let mut statement = self.connection.prepare_cached(&text)?;
                let line = |row: &Found<'_>| Ok(Line::of_trace(trace_of(row)?, vec![row.get(1)?]));
                statement.query_map([value], line)?.collect::<duckdb::Result<_>>()?
            }
            Question::Slowest { service } => {
                let text = format!(
                    "SELECT trace, span, duration FROM spans WHERE service = ? AND duration IS NOT NULL \
                     ORDER BY duration DESC, start DESC, trace, span LIMIT {FIRST}"
                );
                let mut statement = self.connection.prepare_cached(&text)?;
                let line = |row: &Found<'_>| Ok(Line::of_trace(trace_of(row)?, vec![row.get(1)?, row.get(2)?]));
                statement.query_map([service], line)?.collect::<duckdb::Result<_>>()?
            }
            Question::Latency(window) => self.table(question, &latency(window.as_ref()))?,
            Question::Links => self.table(question, &links())?,
            // Its `/` divides to a fraction.
            Question::Errors => self.table(question, &sql::ERRORS.replace('/', "//"))?,
        };
        Ok(Some(answer))
    }
}

/// `quantile_disc` is of nearest rank, and where the quantile is a decimal its place is found in whole numbers: it has
/// `n - floor((n * 1000 - n * 999) / 1000)` as the place of 0.999, which is `ceil(0.999 * n)`. It passes over NULL.
fn latency(window: Option<&Window>) -> String {
    format!(
        "SELECT service, name, spans, errors, q[1], q[2], q[3] \
         FROM (SELECT service, name, count(*) AS spans, sum(error) AS errors, \
             quantile_disc(duration, [0.5, 0.99, 0.999]) AS q FROM spans{} GROUP BY service, name)",
        sql::inside(window)
    )
}

fn links() -> String {
    format!(
        "SELECT caller, callee, count(*), sum(error), quantile_disc(duration, 0.99) FROM ({}) GROUP BY ALL",
        sql::CALLS
    )
}

fn trace_of(row: &Found<'_>) -> duckdb::Result<[u8; 16]> {
    let bytes: Vec<u8> = row.get(0)?;
    bytes.try_into().map_err(|_| duckdb::Error::InvalidColumnName("trace".to_owned()))
}

impl Read {
    fn table(&self, question: &Question, text: &str) -> Result<Answer> {
        let mut statement = self.connection.prepare_cached(text)?;
        let (texts, mut lines) = (sql::text_count(question), Answer::new());
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let columns = row.as_ref().column_count();
            let words = (0..texts).map(|at| row.get(at)).collect::<duckdb::Result<_>>()?;
            let figures = (texts..columns).map(|at| row.get(at)).collect::<duckdb::Result<Vec<_>>>()?;
            lines.push(sql::line(words, figures));
        }
        Ok(lines)
    }
}

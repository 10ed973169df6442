//! SQLite: one table, an index for each question that finds spans; a transaction for each message, synced.

use std::path::Path;

use anyhow::Result;
use rusqlite::{Connection, OpenFlags, Row as Found, params};

use super::{Reader, Writer, sql};
use crate::questions::{Answer, FIRST, Line, Question, Tag, newest_traces};
use crate::row::{Bodies, Resources, rows_of};

const FILE: &str = "spans.db";
const SCHEMA: &str = "
    PRAGMA page_size = 8192;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -262144;
    CREATE TABLE spans (trace BLOB, span INTEGER, parent INTEGER, service TEXT, name TEXT, served INTEGER, called INTEGER,
        start INTEGER, duration INTEGER, error INTEGER, user_id TEXT, order_id TEXT, resource INTEGER, body BLOB);
    CREATE INDEX by_trace ON spans (trace, span);
    CREATE INDEX by_start ON spans (service, start, duration, trace);
    CREATE INDEX by_duration ON spans (service, duration, start);
    CREATE INDEX by_user ON spans (user_id, trace) WHERE user_id IS NOT NULL;
    CREATE INDEX by_order ON spans (order_id, trace) WHERE order_id IS NOT NULL;";

struct Sqlite {
    connection: Connection,
    resources: Resources,
    directory: std::path::PathBuf,
}

pub fn create(directory: &Path) -> Result<Box<dyn Writer>> {
    let connection = Connection::open(directory.join(FILE))?;
    connection.execute_batch(SCHEMA)?;
    Ok(Box::new(Sqlite { connection, resources: Resources::default(), directory: directory.to_owned() }))
}

impl Writer for Sqlite {
    fn append(&mut self, message: &[u8]) -> Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let text = format!("INSERT INTO spans ({}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", sql::COLUMNS);
            let mut insert = transaction.prepare_cached(&text)?;
            for r in rows_of(message, &mut self.resources)? {
                insert.execute(params![
                    r.trace, r.span, r.parent, r.service, r.name, r.served, r.called, r.start, r.duration, r.error,
                    r.user, r.order, r.resource, r.body,
                ])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.connection.execute_batch("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE);")?;
        self.resources.save(&self.directory)?;
        self.connection.close().map_err(|(_, error)| error.into())
    }
}

struct Asked {
    connection: Connection,
    bodies: Bodies,
}

pub fn open(directory: &Path) -> Result<Box<dyn Reader>> {
    let connection = Connection::open_with_flags(directory.join(FILE), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.execute_batch("PRAGMA mmap_size = 34359738368; PRAGMA cache_size = -262144;")?;
    Ok(Box::new(Asked { connection, bodies: Bodies::load(directory)? }))
}

impl Reader for Asked {
    fn ask(&self, question: &Question) -> Result<Option<Answer>> {
        let answer = match question {
            Question::Trace(id) => {
                let text = "SELECT start, span, duration, resource, body FROM spans WHERE trace = ?";
                let mut lines = Vec::new();
                let mut statement = self.connection.prepare_cached(text)?;
                let mut rows = statement.query([id])?;
                while let Some(row) = rows.next()? {
                    let attributes = self.bodies.attribute_count(row.get(3)?, row.get_ref(4)?.as_blob()?)? as i64;
                    let duration = row.get::<_, Option<i64>>(2)?.unwrap_or(-1);
                    lines.push(Line::of_texts(Vec::new(), vec![row.get(0)?, row.get(1)?, duration, attributes]));
                }
                lines
            }
            Question::Newest { service, min_duration, window } => {
                let text = "SELECT trace, start FROM spans INDEXED BY by_start \
                    WHERE service = ? AND start >= ? AND start < ? AND duration >= ? ORDER BY start DESC";
                let mut statement = self.connection.prepare_cached(text)?;
                let mut first = self.connection.prepare_cached("SELECT min(start) FROM spans WHERE trace = ?")?;
                let parameters = params![service, window.since, window.until, min_duration];
                let spans = statement.query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)))?;
                let spans = spans.map(|span| Ok(span?));
                newest_traces(spans, |trace| Ok(first.query_row([trace], |row| row.get(0))?))?
            }
            Question::Tagged(tag, value) => {
                let column = if *tag == Tag::User { "user_id" } else { "order_id" };
                let text = format!("SELECT trace, count(*) FROM spans WHERE {column} = ? GROUP BY trace");
                let mut statement = self.connection.prepare_cached(&text)?;
                let line = |row: &Found<'_>| Ok(Line::of_trace(row.get(0)?, vec![row.get(1)?]));
                statement.query_map([value], line)?.collect::<rusqlite::Result<_>>()?
            }
            Question::Slowest { service } => {
                let text = "SELECT trace, span, duration FROM spans WHERE service = ? AND duration IS NOT NULL \
                    ORDER BY duration DESC, start DESC, trace, span LIMIT ?";
                let mut statement = self.connection.prepare_cached(text)?;
                let line = |row: &Found<'_>| Ok(Line::of_trace(row.get(0)?, vec![row.get(1)?, row.get(2)?]));
                statement.query_map(params![service, FIRST as i64], line)?.collect::<rusqlite::Result<_>>()?
            }
            Question::Latency(window) => self.table(question, &sql::latency(window.as_ref()))?,
            Question::Links => self.table(question, &sql::links())?,
            Question::Errors => self.table(question, sql::ERRORS)?,
        };
        Ok(Some(answer))
    }
}

impl Asked {
    fn table(&self, question: &Question, text: &str) -> Result<Answer> {
        let mut statement = self.connection.prepare_cached(text)?;
        let (texts, columns) = (sql::text_count(question), statement.column_count());
        let line = |row: &Found<'_>| {
            let words = (0..texts).map(|at| row.get(at)).collect::<rusqlite::Result<_>>()?;
            let figures = (texts..columns).map(|at| row.get(at)).collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(sql::line(words, figures))
        };
        Ok(statement.query_map([], line)?.collect::<rusqlite::Result<_>>()?)
    }
}

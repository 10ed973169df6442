//! Parquet files asked through DataFusion: spans sorted by service and start, Bloom filters on ids, zstd.
//!
//! A file is written as soon as so many spans are there, so that sorting needs bounded memory.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use tokio::runtime::Runtime;

use super::{Reader, Writer, sql};
use crate::questions::{Answer, FIRST, Line, Question, Tag};
use crate::row::{Bodies, Resources, Row, rows_of};

const ROWS_A_FILE: usize = 1 << 18;
const THREADS: usize = 2;
const FILTERED: [&str; 3] = ["trace", "user_id", "order_id"];

struct Filled {
    rows: Vec<Row>,
    files: usize,
    resources: Resources,
    directory: PathBuf,
}

fn place(directory: &Path) -> PathBuf {
    directory.join("files")
}

pub fn create(directory: &Path) -> Result<Box<dyn Writer>> {
    std::fs::create_dir(place(directory))?;
    let (resources, directory) = (Resources::default(), directory.to_owned());
    Ok(Box::new(Filled { rows: Vec::new(), files: 0, resources, directory }))
}

impl Writer for Filled {
    fn append(&mut self, message: &[u8]) -> Result<()> {
        self.rows.extend(rows_of(message, &mut self.resources)?);
        if self.rows.len() >= ROWS_A_FILE { self.write_file() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.write_file()?;
        self.resources.save(&self.directory)
    }
}

impl Filled {
    fn write_file(&mut self) -> Result<()> {
        let mut rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(());
        }
        rows.sort_by(|a, b| (&a.service, a.start).cmp(&(&b.service, b.start)));
        let batch = batch_of(&rows)?;
        drop(rows);
        let zstd = Compression::ZSTD(ZstdLevel::try_new(1)?);
        let filtered = |properties: parquet::file::properties::WriterPropertiesBuilder, column: &&str| {
            properties.set_column_bloom_filter_enabled(ColumnPath::from(*column), true)
        };
        let properties = FILTERED.iter().fold(WriterProperties::builder().set_compression(zstd), filtered).build();
        let file = File::create(place(&self.directory).join(format!("{:04}.parquet", self.files)))?;
        let mut writer = ArrowWriter::try_new(file.try_clone()?, batch.schema(), Some(properties))?;
        writer.write(&batch)?;
        writer.close()?;
        self.files += 1;
        Ok(file.sync_all()?)
    }
}

fn batch_of(rows: &[Row]) -> Result<RecordBatch> {
    fn numbers(rows: &[Row], of: impl Fn(&Row) -> Option<i64>) -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<Int64Array>())
    }
    fn texts<'r>(rows: &'r [Row], of: impl Fn(&'r Row) -> Option<&'r str>) -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    }
    let columns: [(&str, ArrayRef, bool); 14] = [
        ("trace", Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| row.trace))), false),
        ("span", numbers(rows, |row| Some(row.span)), false),
        ("parent", numbers(rows, |row| row.parent), true),
        ("service", texts(rows, |row| Some(&row.service)), false),
        ("name", texts(rows, |row| Some(&row.name)), false),
        ("served", numbers(rows, |row| Some(i64::from(row.served))), false),
        ("called", numbers(rows, |row| Some(i64::from(row.called))), false),
        ("start", numbers(rows, |row| Some(row.start)), false),
        ("duration", numbers(rows, |row| row.duration), true),
        ("error", numbers(rows, |row| Some(i64::from(row.error))), false),
        ("user_id", texts(rows, |row| row.user.as_deref()), true),
        ("order_id", texts(rows, |row| row.order.as_deref()), true),
        ("resource", numbers(rows, |row| Some(i64::from(row.resource))), false),
        ("body", Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| &row.body))), false),
    ];
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

struct Read {
    runtime: Runtime,
    session: SessionContext,
    bodies: Bodies,
}

pub fn open(directory: &Path) -> Result<Box<dyn Reader>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    let config = SessionConfig::new()
        .with_target_partitions(THREADS)
        .set_bool("datafusion.execution.parquet.pushdown_filters", true)
        .set_bool("datafusion.execution.parquet.reorder_filters", true);
    let session = SessionContext::new_with_config(config);
    let place = place(directory);
    let place = place.to_str().context("a path that is no text")?;
    runtime.block_on(session.register_parquet("spans", place, ParquetReadOptions::default()))?;
    Ok(Box::new(Read { runtime, session, bodies: Bodies::load(directory)? }))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("x'{digits}'")
}

impl Reader for Read {
    fn ask(&self, question: &Question) -> Result<Option<Answer>> {
        let mut answer = Answer::new();
        match question {
            Question::Trace(id) => {
                let text = format!("SELECT start, span, duration, resource, body FROM spans WHERE trace = {}", hex(id));
                self.each(&text, |found, at| {
                    let number = |column: usize| found.number(column, at);
                    let figure = |column: usize| number(column).context("a span lacks a figure");
                    let attributes =
                        self.bodies.attribute_count(u32::try_from(figure(3)?)?, found.bytes(4, at))? as i64;
                    let figures = vec![figure(0)?, figure(1)?, number(2).unwrap_or(-1), attributes];
                    answer.push(Line::of_texts(Vec::new(), figures));
                    Ok(())
                })?;
            }
            Question::Newest { service, min_duration, window } => {
                let text = format!(
                    "SELECT trace FROM spans WHERE trace IN (SELECT trace FROM spans WHERE service = {} AND start >= {} \
                     AND start < {} AND duration >= {min_duration}) GROUP BY trace ORDER BY min(start) DESC, trace LIMIT {FIRST}",
                    quoted(service),
                    window.since,
                    window.until,
                );
                self.each(&text, |found, at| {
                    answer.push(Line::of_trace(found.bytes(0, at).try_into()?, Vec::new()));
                    Ok(())
                })?;
            }
            Question::Tagged(tag, value) => {
                let column = if *tag == Tag::User { "user_id" } else { "order_id" };
                let value = quoted(value);
                let text = format!("SELECT trace, count(*) FROM spans WHERE {column} = {value} GROUP BY trace");
                self.each(&text, |found, at| {
                    let count = found.number(1, at).context("no count")?;
                    answer.push(Line::of_trace(found.bytes(0, at).try_into()?, vec![count]));
                    Ok(())
                })?;
            }
            Question::Slowest { service } => {
                let text = format!(
                    "SELECT trace, span, duration FROM spans WHERE service = {} AND duration IS NOT NULL \
                     ORDER BY duration DESC, start DESC, trace, span LIMIT {FIRST}",
                    quoted(service),
                );
                self.each(&text, |found, at| {
                    let figures = [1, 2].into_iter().filter_map(|column| found.number(column, at)).collect();
                    answer.push(Line::of_trace(found.bytes(0, at).try_into()?, figures));
                    Ok(())
                })?;
            }
            Question::Latency(window) => answer = self.table(question, &sql::latency(window.as_ref()))?,
            Question::Links => answer = self.table(question, &sql::links())?,
            Question::Errors => answer = self.table(question, sql::ERRORS)?,
        }
        Ok(Some(answer))
    }
}

/// A batch with its texts, bytes and numbers in the plain form of each.
struct Found(Vec<ArrayRef>);

impl Found {
    fn of(batch: &RecordBatch) -> Result<Self> {
        let plain = |column: &ArrayRef| {
            let kind = match column.data_type() {
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
                DataType::Binary | DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
                _ => DataType::Int64,
            };
            cast(column, &kind)
        };
        Ok(Self(batch.columns().iter().map(plain).collect::<Result<_, _>>()?))
    }

    fn number(&self, column: usize, at: usize) -> Option<i64> {
        let column = self.0[column].as_primitive::<Int64Type>();
        column.is_valid(at).then(|| column.value(at))
    }

    fn text(&self, column: usize, at: usize) -> &str {
        self.0[column].as_string::<i32>().value(at)
    }

    fn bytes(&self, column: usize, at: usize) -> &[u8] {
        self.0[column].as_binary::<i32>().value(at)
    }
}

impl Read {
    /// Hands every row of the answer to `visit`.
    fn each(&self, text: &str, mut visit: impl FnMut(&Found, usize) -> Result<()>) -> Result<()> {
        let batches = self.runtime.block_on(async { self.session.sql(text).await?.collect().await })?;
        for batch in &batches {
            let found = Found::of(batch)?;
            (0..batch.num_rows()).try_for_each(|at| visit(&found, at))?;
        }
        Ok(())
    }

    fn table(&self, question: &Question, text: &str) -> Result<Answer> {
        let (texts, mut answer) = (sql::text_count(question), Answer::new());
        self.each(text, |found, at| {
            let words = (0..texts).map(|column| found.text(column, at).to_owned()).collect();
            answer.push(sql::line(words, (texts..found.0.len()).map(|column| found.number(column, at))));
            Ok(())
        })?;
        Ok(answer)
    }
}

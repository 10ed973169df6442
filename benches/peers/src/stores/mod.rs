//! The stores, each behind the same two traits: one that is written, one that is asked.

use std::path::Path;

use anyhow::{Context, Result};

use crate::questions::{Answer, Question};

#[cfg(feature = "datafusion")]
mod datafusion;
#[cfg(feature = "duckdb")]
mod duckdb;
#[cfg(feature = "fjall")]
mod fjall;
#[cfg(any(feature = "sqlite", feature = "datafusion", feature = "duckdb"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod tailspan;
#[cfg(feature = "tantivy")]
mod tantivy;

/// A store that takes spans.
pub trait Writer {
    /// Takes the spans of one OTLP message.
    fn append(&mut self, message: &[u8]) -> Result<()>;
    /// Ends with every span durable and indexed, and nothing left to do in the background.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A store that is asked.
pub trait Reader {
    /// The answer, in any order where the question does not say one; `None` if this store has no exact one.
    fn ask(&self, question: &Question) -> Result<Option<Answer>>;
}

/// How to make and open a store in a directory that is there.
pub struct Kind {
    pub name: &'static str,
    pub create: fn(&Path) -> Result<Box<dyn Writer>>,
    pub open: fn(&Path) -> Result<Box<dyn Reader>>,
}

/// All that were built, tailspan first.
pub const KINDS: &[Kind] = &[
    Kind { name: "tailspan", create: tailspan::create, open: tailspan::open },
    #[cfg(feature = "sqlite")]
    Kind { name: "SQLite", create: sqlite::create, open: sqlite::open },
    #[cfg(feature = "fjall")]
    Kind { name: "fjall", create: fjall::create, open: fjall::open },
    #[cfg(feature = "tantivy")]
    Kind { name: "tantivy", create: tantivy::create, open: tantivy::open },
    #[cfg(feature = "datafusion")]
    Kind { name: "DataFusion", create: datafusion::create, open: datafusion::open },
    #[cfg(feature = "duckdb")]
    Kind { name: "DuckDB", create: duckdb::create, open: duckdb::open },
];

/// The kind of this name.
pub fn kind(name: &str) -> Result<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name).with_context(|| format!("there is no store {name}"))
}

//! What SQL databases share: the table, and questions whose text is the same for all of them.

use crate::questions::{Line, Question, Window};

/// The columns that tell a span, in the order of inserts.
#[cfg(any(feature = "sqlite", feature = "duckdb"))]
pub const COLUMNS: &str =
    "trace, span, parent, service, name, served, called, start, duration, error, user_id, order_id, resource, body";

/// The condition of a window, where there is one.
pub fn inside(window: Option<&Window>) -> String {
    window.map_or(String::new(), |w| format!(" WHERE start >= {} AND start < {}", w.since, w.until))
}

/// Durations of nearest rank, found by numbering the rows of each group: these databases have no percentile of their own
/// at this place, `ceil(q * n)` in whole numbers.
#[cfg(any(feature = "sqlite", feature = "datafusion"))]
pub fn latency(window: Option<&Window>) -> String {
    format!(
        "SELECT service, name, count(*), sum(error), \
           max(CASE WHEN place = (n + 1) / 2 THEN duration END), \
           max(CASE WHEN place = (n * 99 + 99) / 100 THEN duration END), \
           max(CASE WHEN place = (n * 999 + 999) / 1000 THEN duration END) \
         FROM (SELECT service, name, error, duration, \
             CAST(row_number() OVER (PARTITION BY service, name ORDER BY duration NULLS LAST) AS BIGINT) AS place, \
             count(duration) OVER (PARTITION BY service, name) AS n FROM spans{}) AS ranked \
         GROUP BY service, name",
        inside(window)
    )
}

/// Server spans joined with their parents. A call is an error if either side of it says so.
pub const CALLS: &str = "SELECT p.service AS caller, s.service AS callee, s.duration AS duration, \
       CASE WHEN s.error = 1 OR (p.called = 1 AND p.error = 1) THEN 1 ELSE 0 END AS error \
     FROM spans AS s JOIN spans AS p ON p.trace = s.trace AND p.span = s.parent WHERE s.served = 1";

#[cfg(any(feature = "sqlite", feature = "datafusion"))]
pub fn links() -> String {
    format!(
        "SELECT caller, callee, count(*), sum(error), \
           max(CASE WHEN place = (n * 99 + 99) / 100 THEN duration END) \
         FROM (SELECT caller, callee, error, duration, \
             CAST(row_number() OVER (PARTITION BY caller, callee ORDER BY duration NULLS LAST) AS BIGINT) AS place, \
             count(duration) OVER (PARTITION BY caller, callee) AS n FROM ({CALLS}) AS calls) AS ranked \
         GROUP BY caller, callee"
    )
}

pub const ERRORS: &str =
    "SELECT service, start / 60000000000 AS minute, count(*), sum(error) FROM spans GROUP BY service, minute";

/// How many texts a line of such a question begins with; figures follow.
pub fn text_count(question: &Question) -> usize {
    if matches!(question, Question::Errors) { 1 } else { 2 }
}

/// A line of texts and figures; what is NULL is no figure of the line.
pub fn line(texts: Vec<String>, figures: impl IntoIterator<Item = Option<i64>>) -> Line {
    Line::of_texts(texts, figures.into_iter().flatten().collect())
}

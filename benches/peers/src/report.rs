//! The figures as JSON, or as a table in Markdown.

use std::fmt::Write;

use serde::Serialize;

use crate::Ingested;

/// What a store took in.
#[derive(Debug, Serialize)]
pub struct StoreFigures {
    name: &'static str,
    thousand_spans_per_cpu_second: f64,
    bytes_per_span: f64,
    anonymous_bytes: Option<u64>,
}

impl StoreFigures {
    pub fn new(name: &'static str, spans: u64, ingested: &Ingested, bytes: u64) -> Self {
        Self {
            name,
            thousand_spans_per_cpu_second: spans as f64 / ingested.cpu_seconds / 1e3,
            bytes_per_span: bytes as f64 / spans as f64,
            anonymous_bytes: ingested.anonymous_bytes,
        }
    }
}

/// What a question cost.
#[derive(Debug, Serialize)]
pub struct QuestionFigures {
    pub name: &'static str,
    pub variants: usize,
    /// Lines of all answers.
    pub lines: usize,
    /// Median of each store, in their order; `None` where it has no exact answer.
    pub milliseconds: Vec<Option<f64>>,
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub spans: u64,
    pub stores: Vec<StoreFigures>,
    pub questions: Vec<QuestionFigures>,
    /// Answers that are not tailspan's.
    pub differences: Vec<String>,
}

impl Report {
    /// A column for each store; behind what others took, how many times what tailspan took that is.
    pub fn as_table(&self) -> String {
        let mut out = String::new();
        let mut row = |first: String, cells: Vec<String>| {
            writeln!(out, "| {first} | {} |", cells.join(" | ")).expect("a string takes all");
        };
        let of_stores = |cell: &dyn Fn(&StoreFigures) -> String| self.stores.iter().map(cell).collect::<Vec<_>>();
        row(format!("{} spans", self.spans), of_stores(&|store| store.name.to_owned()));
        row("---".to_owned(), of_stores(&|_| "---".to_owned()));
        let rate = |store: &StoreFigures| format!("{:.0}", store.thousand_spans_per_cpu_second);
        row("ingest, thousand spans a CPU second".to_owned(), of_stores(&rate));
        row("bytes a span".to_owned(), of_stores(&|store| format!("{:.1}", store.bytes_per_span)));
        let memory = |bytes: u64| format!("{:.0}", bytes as f64 / f64::from(1 << 20));
        let memory = |store: &StoreFigures| store.anonymous_bytes.map_or("-".to_owned(), memory);
        row("anonymous memory of the import, MiB".to_owned(), of_stores(&memory));
        for question in &self.questions {
            let own = question.milliseconds.first().copied().flatten();
            let cell = |(at, time): (usize, &Option<f64>)| match (time, own) {
                (None, _) => "-".to_owned(),
                (Some(time), Some(own)) if at > 0 && own > 0.0 => {
                    format!("{} ({}x)", digits(*time), digits(time / own))
                }
                (Some(time), _) => digits(*time),
            };
            let cells = question.milliseconds.iter().enumerate().map(cell).collect();
            row(format!("{}, ms", question.name), cells);
        }
        for difference in &self.differences {
            writeln!(out, "\nDIFFERENT: {difference}").expect("a string takes all");
        }
        let answers: usize = self.questions.iter().map(|question| question.variants).sum();
        if self.differences.is_empty() {
            writeln!(out, "\nAll answers to {answers} questions agree.").expect("a string takes all");
        }
        out
    }
}

/// Three digits that count.
fn digits(value: f64) -> String {
    match value {
        value if value >= 99.5 => format!("{value:.0}"),
        value if value >= 9.95 => format!("{value:.1}"),
        value if value >= 0.995 => format!("{value:.2}"),
        value if value >= 0.0995 => format!("{value:.3}"),
        value => format!("{value:.4}"),
    }
}

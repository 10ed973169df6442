//! What `bench` found out, one JSON object a line. [`super::tables`] has it for people.

use std::time::Duration;

use serde_json::{Value, json};
use tailspan::{Stats, Work};

use super::super::import::Totals;
use super::super::stats;
use super::process::CpuSeconds;
use super::questions::{Answered, Question};
use crate::output::Report;

/// What importing took.
pub struct Ingest {
    pub totals: Totals,
    pub work: Work,
    /// From opening the store to having closed it.
    pub elapsed: Duration,
    /// Sealing and merging after the last span was in; part of `elapsed`.
    pub settling: Duration,
    /// Opening the store again.
    pub opening: Duration,
    pub cpu: Option<CpuSeconds>,
    pub peak_bytes: Option<u64>,
}

/// A question and what its answers took.
pub struct Asked {
    pub question: Question,
    pub answered: Answered,
}

impl Ingest {
    /// Spans of the input a second, whatever became of them.
    pub fn per_second(&self) -> f64 {
        self.totals.seen() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Spans of the input a second of processor time.
    pub fn per_cpu_second(&self) -> Option<f64> {
        self.cpu.filter(|cpu| cpu.total() > 0.0).map(|cpu| self.totals.seen() as f64 / cpu.total())
    }

    /// Where time went. Kinds of work run side by side: together they may take longer than the import.
    pub fn times(&self) -> [(&'static str, &'static str, Duration); 8] {
        let work = &self.work;
        [
            ("readSeconds", "decompress and split the input", self.totals.reading),
            ("appendSeconds", "decode, add to the head, write the log", work.appending),
            ("waitForRoomSeconds", "wait for the head", work.waiting_for_room),
            ("waitForSyncSeconds", "wait for syncs of the log", work.waiting_for_sync),
            ("sealSeconds", "seal", work.sealing),
            ("mergeSeconds", "merge", work.merging),
            ("settleSeconds", "all of it after the last span", self.settling),
            ("openSeconds", "open the store again", self.opening),
        ]
    }

    /// Writes what went in, what was written, where time and bytes went.
    pub fn write_json(&self, stats: &Stats, report: &mut Report<'_>) -> anyhow::Result<()> {
        report.object(&json!({ "ingest": self.ingest() }))?;
        report.object(&json!({ "written": self.written(stats) }))?;
        let times = self.times().map(|(key, _, time)| (key.to_owned(), json!(time.as_secs_f64())));
        report.object(&json!({ "time": Value::Object(times.into_iter().collect()) }))?;
        Ok(report.object(&json!({ "stored": stats::json_of(stats) }))?)
    }

    fn ingest(&self) -> Value {
        json!({
            "spans": self.totals.accepted,
            "duplicates": self.totals.duplicates,
            "rejected": self.totals.rejected_count(),
            "unreadable": self.totals.unreadable,
            "inputBytes": self.totals.read_bytes,
            "seconds": self.elapsed.as_secs_f64(),
            "cpuUserSeconds": self.cpu.map(|cpu| cpu.user),
            "cpuSystemSeconds": self.cpu.map(|cpu| cpu.system),
            "spansPerSecond": self.per_second(),
            "spansPerCpuSecond": self.per_cpu_second(),
            "peakAnonymousBytes": self.peak_bytes,
        })
    }

    fn written(&self, stats: &Stats) -> Value {
        let part = |spans: u64, bytes: u64| json!({ "spans": spans, "bytes": bytes });
        let work = &self.work;
        json!({
            "log": part(work.log_spans, work.log_bytes),
            "seal": part(work.sealed_spans, work.sealed_bytes),
            "merge": part(work.merged_spans, work.merged_bytes),
            "timesWritten": stats.times_written.mean,
            "timesWrittenMax": stats.times_written.max,
        })
    }
}

impl Asked {
    /// The question and its times as one JSON object.
    pub fn json(&self) -> Value {
        let Self { question, answered } = self;
        json!({
            "question": question.name,
            "command": question.variants.first(),
            "variants": question.variants.len(),
            "repetitions": answered.repetitions,
            "rows": answered.rows,
            "medianMicros": answered.median_micros,
            "p99Micros": answered.p99_micros,
            "cpuMicros": answered.cpu_micros,
        })
    }
}

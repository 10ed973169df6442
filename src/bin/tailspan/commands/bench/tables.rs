//! What `bench` found out, for people: sentences, and tables whose numbers have their units beside them.

use std::path::Path;

use tailspan::Stats;

use super::figures::{Asked, Ingest};
use crate::output::{Align, Report, Table, bytes, count, many};
use crate::times::human_duration;

/// Columns and indexes listed one by one; the rest is added up.
const PLACES_MAX: usize = 24;
/// A 99th percentile of fewer answers is the slowest of them, and not told.
const ANSWERS_FOR_P99: u64 = 100;

/// What the import took and left behind.
pub fn print_ingest(
    ingest: &Ingest,
    stats: &Stats,
    memory_bytes: usize,
    report: &mut Report<'_>,
) -> anyhow::Result<()> {
    print_sums(ingest, memory_bytes, report)?;
    print_times(ingest, report)?;
    print_written(ingest, stats, report)?;
    print_places(stats, report)
}

fn right(heading: &'static str) -> (&'static str, Align) {
    (heading, Align::Right)
}

fn print_sums(ingest: &Ingest, memory_bytes: usize, report: &mut Report<'_>) -> anyhow::Result<()> {
    let totals = &ingest.totals;
    report.line(&format!(
        "{} from {} of files in {}: {} spans a second",
        many(totals.accepted, "span"),
        bytes(totals.read_bytes),
        human(ingest.elapsed.as_secs_f64()),
        count(ingest.per_second() as u64),
    ))?;
    if let (Some(cpu), Some(rate)) = (ingest.cpu, ingest.per_cpu_second()) {
        let (user, system) = (cpu.user, cpu.system);
        let rate = count(rate as u64);
        report.line(&format!("processor time {user:.2} s user, {system:.2} s system: {rate} spans a second of it"))?;
    }
    if let Some(peak) = ingest.peak_bytes {
        let budget = bytes(memory_bytes as u64);
        report.line(&format!("{} of anonymous memory at most, with {budget} for unsealed spans", bytes(peak)))?;
    }
    let not_kept = [
        (totals.duplicates, "duplicates, kept once"),
        (totals.rejected_count(), "spans rejected"),
        (totals.unreadable, "lines or messages could not be read"),
    ];
    not_kept
        .iter()
        .filter(|(number, _)| *number > 0)
        .try_for_each(|(number, what)| Ok(report.line(&format!("{} {what}", count(*number)))?))
}

fn print_times(ingest: &Ingest, report: &mut Report<'_>) -> anyhow::Result<()> {
    let mut table = Table::new(&[("time (threads side by side)", Align::Left), right("")]);
    for (_, name, time) in ingest.times() {
        table.push([name.to_owned(), human(time.as_secs_f64())]);
    }
    report.line("")?;
    Ok(table.write_uncounted(report)?)
}

fn print_written(ingest: &Ingest, stats: &Stats, report: &mut Report<'_>) -> anyhow::Result<()> {
    let mut table = Table::new(&[("written by", Align::Left), right("spans"), right("size"), right("bytes a span")]);
    let work = &ingest.work;
    for (name, spans, size) in [
        ("log", work.log_spans, work.log_bytes),
        ("seal", work.sealed_spans, work.sealed_bytes),
        ("merge", work.merged_spans, work.merged_bytes),
    ] {
        table.push([name.to_owned(), count(spans), bytes(size), a_span(size, spans)]);
    }
    report.line("")?;
    table.write_uncounted(report)?;
    let times = stats.times_written;
    Ok(report.line(&format!("a span was written {:.2} times on average, {} at most", times.mean, times.max))?)
}

/// Where the bytes of the store are, largest first.
fn print_places(stats: &Stats, report: &mut Report<'_>) -> anyhow::Result<()> {
    report.line("")?;
    report.line(&format!(
        "{} in {} are {} on disk, {} bytes a span, in {} and the log",
        many(stats.spans, "span"),
        many(stats.traces, "trace"),
        bytes(stats.bytes_on_disk),
        a_span(stats.bytes_on_disk, stats.spans),
        many(stats.segments, "segment"),
    ))?;
    report.line("")?;
    let mut table =
        Table::new(&[("stored", Align::Left), ("", Align::Left), right("size"), right("bytes a span"), right("share")]);
    for (kind, name, size) in places(stats) {
        let share = 100.0 * size as f64 / stats.bytes_on_disk.max(1) as f64;
        table.push([kind.to_owned(), name, bytes(size), a_span(size, stats.spans), format!("{share:.1} %")]);
    }
    Ok(table.write_uncounted(report)?)
}

/// Kind, name and bytes; the sizes sum to that of the store.
fn places(stats: &Stats) -> Vec<(&'static str, String, u64)> {
    let columns = stats.columns.iter().map(|(name, size)| ("column", name.clone(), *size));
    let indexes = stats.indexes.iter().map(|(name, size)| ("index", name.clone(), *size));
    let mut out: Vec<_> = columns.chain(indexes).filter(|(_, _, size)| *size > 0).collect();
    let named: u64 = out.iter().map(|(_, _, size)| size).sum();
    out.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| (a.0, &a.1).cmp(&(b.0, &b.1))));
    let small = out.split_off(out.len().min(PLACES_MAX));
    if !small.is_empty() {
        let name = format!("{} more, see tailspan stats", count(small.len() as u64));
        out.push(("columns and indexes", name, small.iter().map(|(_, _, size)| size).sum()));
    }
    out.push(("rollups", String::new(), stats.rollup_bytes));
    out.push(("log", String::new(), stats.log_bytes));
    let rest = stats.bytes_on_disk.saturating_sub(named + stats.rollup_bytes + stats.log_bytes);
    out.push(("the rest", "directories, checksums, parity, manifest".to_owned(), rest));
    out
}

/// How long the questions took, then each as a command.
pub fn print_questions(asked: &[Asked], store: &Path, report: &mut Report<'_>) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        ("question, asked again and again", Align::Left),
        right("median"),
        right("p99"),
        right("processor"),
        right("asked"),
        right("lines"),
    ]);
    for Asked { question, answered } in asked {
        let p99 = match answered.repetitions {
            ..ANSWERS_FOR_P99 => "-".to_owned(),
            _ => human(answered.p99_micros / 1e6),
        };
        table.push([
            question.name.to_owned(),
            human(answered.median_micros / 1e6),
            p99,
            human(answered.cpu_micros / 1e6),
            count(answered.repetitions),
            count(answered.rows / answered.repetitions.max(1)),
        ]);
    }
    report.line("")?;
    report.table(&table)?;
    report.line("processor: time of all threads, on average; lines: of an answer, on average")?;
    report.line("")?;
    report.line("the first of each, to be repeated:")?;
    for Asked { question, .. } in asked {
        let Some([command, flags @ ..]) = question.variants.first().map(Vec::as_slice) else { continue };
        let words = ["tailspan", command, &store.to_string_lossy()].map(quoted);
        let flags = flags.iter().map(|flag| quoted(flag));
        report.line(&format!("  {}", words.into_iter().chain(flags).collect::<Vec<_>>().join(" ")))?;
    }
    Ok(())
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn a_span(bytes: u64, spans: u64) -> String {
    format!("{:.2}", bytes as f64 / spans.max(1) as f64)
}

/// Seconds with three digits and the unit that fits.
fn human(seconds: f64) -> String {
    human_duration((seconds * 1e9) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_each_word_as_it_was() {
        assert_eq!(quoted("--service=front-end"), "--service=front-end");
        assert_eq!(quoted("--where={ a } >> { b }"), "'--where={ a } >> { b }'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}

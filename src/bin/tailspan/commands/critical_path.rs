//! `critical-path`: what traces waited for; of one trace as a picture, of many summed up.

use clap::Args;
use serde::{Serialize, Serializer};
use serde_json::json;
use tailspan::{CriticalPathReport, PathPiece, Query, Store, TraceId, TracePath};

use super::explain;
use super::figures::finish;
use crate::args::Common;
use crate::filters::Filters;
use crate::outcome::{Outcome, usage};
use crate::output::{Align, Report, Table, count};
use crate::sizes::TraceBound;
use crate::times::{human_duration, human_time};

const EXAMPLES: &str = "\
Examples:
  tailspan critical-path my-store 4bf92f3577b34da6a3ce929d0e0e4736    one trace: what it waited for, and when
  tailspan critical-path my-store --name='POST /checkout' --since=-1h  all such traces, by service and operation";

/// Columns of the picture's bars.
const BAR_COLUMNS: u64 = 40;

/// Flags of `critical-path`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CriticalPathArgs {
    #[command(flatten)]
    pub common: Common,
    /// One trace: 1 to 32 hexadecimal digits; without it, every trace with a span that meets the filters
    #[arg(value_name = "TRACE_ID")]
    pub id: Option<String>,
    #[command(flatten)]
    pub filters: Filters,
    /// The first N services and operations; 0 for all
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub top: usize,
    #[command(flatten)]
    pub bound: TraceBound,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// Prints the pieces of one path, or the shares of many.
pub fn run(store: &Store, args: &CriticalPathArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let (snapshot, query) = (args.bound.on(store.snapshot()), args.filters.query());
    let Some(id) = &args.id else {
        let answer = snapshot.critical_path(&query)?;
        print_shares(&answer, args.top, report)?;
        return finish(args.explain.then_some(&answer.explain), answer.reason.as_ref(), report);
    };
    if query != Query::new() || args.top != 0 {
        return Err(usage("a trace id and filters: give one of them"));
    }
    let id = TraceId::parse(id).map_err(|e| usage(format!("'{id}' is no trace id: {e}")))?;
    let Some(path) = snapshot.trace_critical_path(id)? else {
        report.remark(format_args!("trace {id} is not in {}", args.common.store.display()));
        return Ok(Outcome::NotFound);
    };
    if report.json() {
        path.pieces.iter().try_for_each(|piece| report.row(&line(piece)))?;
    } else {
        print_picture(&path, report)?;
    }
    if args.explain {
        explain::write_of(&snapshot, report)?;
    }
    Ok(Outcome::Done)
}

fn line(piece: &PathPiece) -> serde_json::Value {
    let mut line = json!({
        "spanId": piece.span_id.to_string(),
        "service": piece.service,
        "name": piece.name,
        "startUnixNano": piece.start_unix_nano,
        "endUnixNano": piece.end_unix_nano,
        "share": piece.share,
        "error": piece.error,
    });
    if piece.late {
        line["late"] = json!(true);
    }
    line
}

/// The line of a service and operation.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShareLine<'s> {
    service: &'s Option<String>,
    name: &'s Option<String>,
    #[serde(serialize_with = "whole")]
    self_nano: u128,
    share: f64,
    trace_count: u64,
    #[serde(serialize_with = "whole")]
    self_time_nano: u128,
}

/// An integer, which may be more than 64 bits wide.
fn whole<S: Serializer>(nanos: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(*nanos)
}

fn print_shares(answer: &CriticalPathReport, top: usize, report: &mut Report<'_>) -> anyhow::Result<()> {
    let shares = answer.shares.iter().take(if top == 0 { usize::MAX } else { top });
    if report.json() {
        for share in shares {
            report.row(&ShareLine {
                service: &share.service,
                name: &share.name,
                self_nano: share.path_nano,
                share: share.share,
                trace_count: share.trace_count,
                self_time_nano: share.self_time_nano,
            })?;
        }
        return Ok(());
    }
    let mut table = Table::new(&[
        ("share", Align::Right),
        ("on the path", Align::Right),
        ("traces", Align::Right),
        ("mean of a trace", Align::Right),
        ("self time", Align::Right),
        ("operation", Align::Left),
    ]);
    let nanos = |nanos: u128| human_duration(u64::try_from(nanos).unwrap_or(u64::MAX));
    for share in shares {
        table.push([
            percent(share.share),
            nanos(share.path_nano),
            count(share.trace_count),
            nanos(share.path_nano / u128::from(share.trace_count.max(1))),
            nanos(share.self_time_nano),
            operation(share.service.as_deref(), share.name.as_deref()),
        ]);
    }
    if table.is_empty() {
        report.line("no trace that matches has a root with a duration")?;
    }
    Ok(report.table(&table)?)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn operation(service: Option<&str>, name: Option<&str>) -> String {
    [service, name].into_iter().flatten().collect::<Vec<_>>().join(": ")
}

/// The path as a staircase from the start of the root to its end, then what came too late.
fn print_picture(path: &TracePath, report: &mut Report<'_>) -> anyhow::Result<()> {
    let duration = path.duration_nano.map_or_else(|| "no duration".to_owned(), human_duration);
    report.line(&format!("trace {}  critical path of {duration}", path.trace_id))?;
    if path.start_unix_nano != 0 {
        report.line(&format!("started {} UTC", human_time(path.start_unix_nano)))?;
    }
    report.line("")?;
    let late = path.pieces.iter().filter(|piece| piece.late);
    print_pieces(path, path.pieces.iter().filter(|piece| !piece.late), "no time is on the path", report)?;
    if late.clone().next().is_some() {
        report.line("")?;
        report.line("after their parent had ended, which waited for none of them:")?;
        print_pieces(path, late, "", report)?;
    }
    Ok(())
}

fn print_pieces<'p>(
    path: &TracePath,
    pieces: impl Iterator<Item = &'p PathPiece>,
    empty: &str,
    report: &mut Report<'_>,
) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        ("from", Align::Right),
        ("time", Align::Right),
        ("share", Align::Right),
        ("", Align::Left),
        ("span", Align::Left),
        ("operation", Align::Left),
    ]);
    for piece in pieces {
        let offset = piece.start_unix_nano.saturating_sub(path.start_unix_nano);
        let time = piece.end_unix_nano.saturating_sub(piece.start_unix_nano);
        let error = if piece.error { "✗ " } else { "" };
        table.push([
            format!("+{}", human_duration(offset)),
            human_duration(time),
            if piece.late { "late".to_owned() } else { percent(piece.share) },
            bar(offset, time, path.duration_nano.unwrap_or(0)),
            piece.span_id.to_string(),
            format!("{error}{}", operation(piece.service.as_deref(), piece.name.as_deref())),
        ]);
    }
    if table.is_empty() {
        report.line(empty)?;
    }
    Ok(report.table(&table)?)
}

/// Blocks where the piece lies on the axis of the root; at least one.
fn bar(offset: u64, time: u64, whole: u64) -> String {
    let column = |at: u64| {
        let columns = u128::from(at) * u128::from(BAR_COLUMNS) / u128::from(whole.max(1));
        usize::try_from(columns).unwrap_or(usize::MAX).min(BAR_COLUMNS as usize)
    };
    let from = column(offset).min(BAR_COLUMNS as usize - 1);
    let to = column(offset.saturating_add(time)).max(from + 1);
    format!("{}{}", " ".repeat(from), "█".repeat(to - from))
}

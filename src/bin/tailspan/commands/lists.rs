//! The name lists: services, operations, remote services, attribute keys and values.
//!
//! A list without a filter is rows and nothing else. A filtered one, or one that a limit cut, ends with a summary
//! that says whether it is complete.

use clap::Args;
use serde_json::{Value, json};
use tailspan::{ListFilter, Listed, Snapshot, Store, TimeRange};

use super::{explain, warn};
use crate::args::Common;
use crate::outcome::Outcome;
use crate::output::{Align, Report, Table, count};
use crate::times::parse_time;

/// What people read where a name is absent.
const ABSENT: &str = "(none)";

/// The window whose spans are counted.
#[derive(Args, Clone, Debug, Default)]
pub struct Window {
    /// Spans that start at this time or later: RFC 3339, a Unix time, or -1h
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub since: Option<u64>,
    /// Spans that start before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub until: Option<u64>,
}

impl Window {
    fn range(&self) -> TimeRange {
        TimeRange { since: self.since, until: self.until }
    }
}

/// Flags of `services`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tailspan services my-store --json")]
pub struct ServicesArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub window: Window,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// Flags of `operations`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tailspan operations my-store --service=checkout")]
pub struct OperationsArgs {
    #[command(flatten)]
    pub common: Common,
    /// Operations of this service only
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    #[command(flatten)]
    pub window: Window,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// Flags of `remote-services`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tailspan remote-services my-store --service=checkout")]
pub struct RemoteServicesArgs {
    #[command(flatten)]
    pub common: Common,
    /// Peers of this service only
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    #[command(flatten)]
    pub window: Window,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

const ATTRIBUTES_EXAMPLES: &str = "\
Examples:
  tailspan attributes my-store
  tailspan attributes my-store app.payment.channel
  tailspan attributes my-store --service=checkout --since=-1h --prefix=app. --limit=10";

/// Flags of `attributes`.
#[derive(Args, Debug)]
#[command(after_help = ATTRIBUTES_EXAMPLES)]
pub struct AttributesArgs {
    #[command(flatten)]
    pub common: Common,
    /// List the values of this key instead of all keys
    pub key: Option<String>,
    /// Attributes of spans of this service only
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    #[command(flatten)]
    pub window: Window,
    /// Keys, or values of the key, that begin with this text
    #[arg(long, value_name = "TEXT")]
    pub prefix: Option<String>,
    /// The first keys, or most frequent values; 0 for all
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// `services`: every service with its spans and errors, by name.
pub fn services(store: &Store, args: &ServicesArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let snapshot = store.snapshot();
    let filter = ListFilter::new().window(args.window.range());
    let mut table = Table::new(&[("service", Align::Left), ("spans", Align::Right), ("errors", Align::Right)]);
    let listed = snapshot.services_where(&filter)?;
    let ending = Ending::new(&listed, filter != ListFilter::new(), args.explain);
    for row in listed.items {
        if report.json() {
            let row = json!({ "service": row.service, "spanCount": row.span_count, "errorCount": row.error_count });
            report.row(&row)?;
        } else {
            table.push([name(row.service.as_deref()), count(row.span_count), count(row.error_count)]);
        }
    }
    ending.finish(&table, &snapshot, report)
}

/// `operations`: every (service, name, kind) with its spans.
pub fn operations(store: &Store, args: &OperationsArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let snapshot = store.snapshot();
    let columns =
        [("service", Align::Left), ("operation", Align::Left), ("kind", Align::Left), ("spans", Align::Right)];
    let mut table = Table::new(&columns);
    let listed = snapshot.operations_where(&filter(args.service.as_deref(), &args.window))?;
    let ending = Ending::new(&listed, args.window.range() != TimeRange::ALL, args.explain);
    for row in listed.items {
        let kind = row.kind.as_str();
        if report.json() {
            let row = json!({ "service": row.service, "name": row.name, "kind": kind, "spanCount": row.span_count });
            report.row(&row)?;
        } else {
            let (service, operation) = (name(row.service.as_deref()), name(row.name.as_deref()));
            table.push([service, operation, kind.to_owned(), count(row.span_count)]);
        }
    }
    ending.finish(&table, &snapshot, report)
}

/// `remote-services`: every peer with the spans that name it.
pub fn remote_services(store: &Store, args: &RemoteServicesArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let snapshot = store.snapshot();
    let mut table = Table::new(&[("remote service", Align::Left), ("spans", Align::Right)]);
    let listed = snapshot.remote_services_where(&filter(args.service.as_deref(), &args.window))?;
    let ending = Ending::new(&listed, args.window.range() != TimeRange::ALL, args.explain);
    for row in listed.items {
        if report.json() {
            report.row(&json!({ "remoteService": row.remote_service, "spanCount": row.span_count }))?;
        } else {
            table.push([row.remote_service, count(row.span_count)]);
        }
    }
    ending.finish(&table, &snapshot, report)
}

/// `attributes`: every (key, scope, type), or every value of one key, with the spans that have it.
pub fn attributes(store: &Store, args: &AttributesArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let mut filter = filter(args.service.as_deref(), &args.window);
    filter.prefix = args.prefix.clone().unwrap_or_default();
    filter.limit = args.limit.unwrap_or_default();
    let filtered = filter != ListFilter::new() || args.prefix.is_some() || args.limit.is_some();
    let snapshot = store.snapshot();
    match &args.key {
        Some(key) => {
            let listed = snapshot.attribute_values_where(key, &filter)?;
            let ending = Ending::new(&listed, filtered, args.explain);
            ending.finish(&attribute_values(listed, report)?, &snapshot, report)
        }
        None => {
            let listed = snapshot.attribute_keys_where(&filter)?;
            let ending = Ending::new(&listed, filtered, args.explain);
            ending.finish(&attribute_keys(listed, report)?, &snapshot, report)
        }
    }
}

fn attribute_keys(listed: Listed<tailspan::AttributeKeyCount>, report: &mut Report<'_>) -> anyhow::Result<Table> {
    let columns = [("attribute", Align::Left), ("scope", Align::Left), ("type", Align::Left), ("spans", Align::Right)];
    let mut table = Table::new(&columns);
    for row in listed.items {
        let (scope, value_type) = (row.scope.as_str(), row.value_type);
        if report.json() {
            let row = json!({ "key": row.key, "scope": scope, "type": value_type, "spanCount": row.span_count });
            report.row(&row)?;
        } else {
            table.push([row.key, scope.to_owned(), value_type.to_owned(), count(row.span_count)]);
        }
    }
    Ok(table)
}

fn attribute_values(listed: Listed<tailspan::AttributeValueCount>, report: &mut Report<'_>) -> anyhow::Result<Table> {
    let mut table = Table::new(&[("value", Align::Left), ("spans", Align::Right)]);
    for row in listed.items {
        if report.json() {
            report.row(&json!({ "value": tailspan::text_of(&row.value), "spanCount": row.span_count }))?;
        } else {
            table.push([tailspan::text_of(&row.value).into_owned(), count(row.span_count)]);
        }
    }
    Ok(table)
}

fn filter(service: Option<&str>, window: &Window) -> ListFilter {
    let mut filter = ListFilter::new().window(window.range());
    filter.service = service.map(str::to_owned);
    filter
}

fn name(name: Option<&str>) -> String {
    name.unwrap_or(ABSENT).to_owned()
}

/// What comes after the rows of a list.
struct Ending {
    /// True if the list ends with a summary even if it is complete.
    filtered: bool,
    explain: bool,
    more: u64,
    reason: Option<String>,
}

impl Ending {
    fn new<T>(listed: &Listed<T>, filtered: bool, explain: bool) -> Self {
        Self { filtered, explain, more: listed.more, reason: listed.reason.clone() }
    }

    fn finish(self, table: &Table, snapshot: &Snapshot, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
        if !report.json() {
            report.table(table)?;
            if self.more > 0 {
                report.line(&format!("{} more", count(self.more)))?;
            }
        }
        if self.explain {
            explain::write_of(snapshot, report)?;
        }
        let complete = self.reason.is_none();
        if report.json() && (self.filtered || !complete) {
            let summary: Value = json!({ "summary": { "complete": complete, "reason": self.reason } });
            report.object(&summary)?;
        }
        if let Some(reason) = &self.reason {
            warn(format_args!("the list is not complete: {reason}"));
        }
        Ok(Outcome::Done.or_damaged(!complete))
    }
}

//! The name lists: services, operations, remote services, attribute keys and values.

use clap::Args;
use serde_json::json;
use tailspan::Store;

use super::explain;
use crate::args::Common;
use crate::outcome::Outcome;
use crate::output::{Align, Report, Table, count};

/// What people read where a name is absent.
const ABSENT: &str = "(none)";

/// Flags of `services`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tailspan services my-store --json")]
pub struct ServicesArgs {
    #[command(flatten)]
    pub common: Common,
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
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// Flags of `attributes`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  tailspan attributes my-store\n  tailspan attributes my-store app.payment.channel")]
pub struct AttributesArgs {
    #[command(flatten)]
    pub common: Common,
    /// List the values of this key instead of all keys
    pub key: Option<String>,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// `services`: every service with its spans and errors, by name.
pub fn services(store: &Store, args: &ServicesArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let snapshot = store.snapshot();
    let mut table = Table::new(&[("service", Align::Left), ("spans", Align::Right), ("errors", Align::Right)]);
    for row in snapshot.services()? {
        if report.json() {
            let row = json!({ "service": row.service, "spanCount": row.span_count, "errorCount": row.error_count });
            report.row(&row)?;
        } else {
            table.push([name(row.service.as_deref()), count(row.span_count), count(row.error_count)]);
        }
    }
    finish(&table, args.explain, &snapshot, report)
}

/// `operations`: every (service, name, kind) with its spans.
pub fn operations(store: &Store, args: &OperationsArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let snapshot = store.snapshot();
    let columns =
        [("service", Align::Left), ("operation", Align::Left), ("kind", Align::Left), ("spans", Align::Right)];
    let mut table = Table::new(&columns);
    for row in snapshot.operations(args.service.as_deref())? {
        let kind = row.kind.as_str();
        if report.json() {
            let row = json!({ "service": row.service, "name": row.name, "kind": kind, "spanCount": row.span_count });
            report.row(&row)?;
        } else {
            let (service, operation) = (name(row.service.as_deref()), name(row.name.as_deref()));
            table.push([service, operation, kind.to_owned(), count(row.span_count)]);
        }
    }
    finish(&table, args.explain, &snapshot, report)
}

/// `remote-services`: every peer with the spans that name it.
pub fn remote_services(store: &Store, args: &RemoteServicesArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let snapshot = store.snapshot();
    let mut table = Table::new(&[("remote service", Align::Left), ("spans", Align::Right)]);
    for row in snapshot.remote_services(args.service.as_deref())? {
        if report.json() {
            report.row(&json!({ "remoteService": row.remote_service, "spanCount": row.span_count }))?;
        } else {
            table.push([row.remote_service, count(row.span_count)]);
        }
    }
    finish(&table, args.explain, &snapshot, report)
}

/// `attributes`: every (key, scope, type), or every value of one key, with the spans that have it.
pub fn attributes(store: &Store, args: &AttributesArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    match &args.key {
        Some(key) => attribute_values(store, key, args.explain, report),
        None => attribute_keys(store, args.explain, report),
    }
}

fn attribute_keys(store: &Store, explain: bool, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let snapshot = store.snapshot();
    let columns = [("attribute", Align::Left), ("scope", Align::Left), ("type", Align::Left), ("spans", Align::Right)];
    let mut table = Table::new(&columns);
    for row in snapshot.attribute_keys()? {
        let (scope, value_type) = (row.scope.as_str(), row.value_type);
        if report.json() {
            let row = json!({ "key": row.key, "scope": scope, "type": value_type, "spanCount": row.span_count });
            report.row(&row)?;
        } else {
            table.push([row.key, scope.to_owned(), value_type.to_owned(), count(row.span_count)]);
        }
    }
    finish(&table, explain, &snapshot, report)
}

fn attribute_values(store: &Store, key: &str, explain: bool, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let snapshot = store.snapshot();
    let mut table = Table::new(&[("value", Align::Left), ("spans", Align::Right)]);
    for row in snapshot.attribute_values(key)? {
        if report.json() {
            report.row(&json!({ "value": tailspan::text_of(&row.value), "spanCount": row.span_count }))?;
        } else {
            table.push([tailspan::text_of(&row.value).into_owned(), count(row.span_count)]);
        }
    }
    finish(&table, explain, &snapshot, report)
}

fn name(name: Option<&str>) -> String {
    name.unwrap_or(ABSENT).to_owned()
}

fn finish(
    table: &Table,
    explain: bool,
    snapshot: &tailspan::Snapshot,
    report: &mut Report<'_>,
) -> anyhow::Result<Outcome> {
    if !report.json() {
        report.table(table)?;
    }
    if explain {
        explain::write_of(snapshot, report)?;
    }
    Ok(Outcome::Done)
}

//! What a query read and what its indexes spared it.

use std::io;

use serde_json::{Map, Value, json};
use tailspan::{Explain, ExplainLevel};

use crate::output::{Align, Report, Table, bytes, count};

/// Writes the explanation: one JSON line, or a small table for people.
pub fn write(explain: &Explain, report: &mut Report<'_>) -> io::Result<()> {
    if report.json() {
        return report.object(&json!({ "explain": object(explain) }));
    }
    let levels = [("parts", &explain.parts), ("blocks", &explain.blocks), ("pages", &explain.pages)];
    let mut table = Table::new(&[
        ("explain", Align::Left),
        ("considered", Align::Right),
        ("pruned", Align::Right),
        ("read", Align::Right),
    ]);
    for (name, level) in levels {
        table.push([name.to_owned(), count(level.considered), count(level.pruned), count(level.read)]);
    }
    let level = &explain.bytes;
    table.push(["bytes".to_owned(), bytes(level.considered), bytes(level.pruned), bytes(level.read)]);
    report.line("")?;
    table.write_uncounted(report)?;
    for (index, pruned) in &explain.by {
        report.line(&format!("{} pruned by {index}", count(*pruned)))?;
    }
    Ok(())
}

fn object(explain: &Explain) -> Value {
    let by: Map<String, Value> = explain.by.iter().map(|(index, pruned)| (index.to_string(), json!(pruned))).collect();
    json!({
        "parts": level(&explain.parts),
        "blocks": level(&explain.blocks),
        "pages": level(&explain.pages),
        "bytes": level(&explain.bytes),
        "by": by,
    })
}

fn level(level: &ExplainLevel) -> Value {
    json!({ "considered": level.considered, "pruned": level.pruned, "read": level.read })
}

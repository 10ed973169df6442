//! What a query read and what its indexes spared it.

use std::io;

use serde_json::{Value, json};
use tailspan::{Explain, Snapshot};

use crate::output::{Align, Report, Table, bytes, count};

/// Writes what everything asked of this snapshot has read so far.
pub fn write_of(snapshot: &Snapshot, report: &mut Report<'_>) -> io::Result<()> {
    write(&snapshot.explain(), report)
}

/// Writes the explanation: one JSON line, or a small table for people.
pub fn write(explain: &Explain, report: &mut Report<'_>) -> io::Result<()> {
    if report.json() {
        return report.object(&json!({ "explain": object(explain) }));
    }
    let mut table = Table::new(&[
        ("explain", Align::Left),
        ("considered", Align::Right),
        ("pruned", Align::Right),
        ("read", Align::Right),
    ]);
    let parts = [explain.parts_considered, explain.parts_pruned, explain.parts_read].map(count);
    let blocks = [explain.blocks_considered, explain.blocks_pruned, explain.blocks_read].map(count);
    let pages = [explain.pages_considered, explain.pages_pruned, explain.pages_read].map(count);
    let sizes = [explain.bytes_considered, bytes_pruned(explain), explain.bytes_read].map(bytes);
    for (name, [considered, pruned, read]) in [("parts", parts), ("blocks", blocks), ("pages", pages), ("bytes", sizes)]
    {
        table.push([name.to_owned(), considered, pruned, read]);
    }
    report.line("")?;
    table.write_uncounted(report)?;
    report.line(&format!("{} column pages decoded", count(explain.pages_decoded)))?;
    for (index, pruned) in &explain.by {
        report.line(&format!("{} pages ruled out by {index}", count(*pruned)))?;
    }
    Ok(())
}

fn object(explain: &Explain) -> Value {
    json!({
        "parts": {
            "considered": explain.parts_considered,
            "pruned": explain.parts_pruned,
            "read": explain.parts_read,
        },
        "blocks": {
            "considered": explain.blocks_considered,
            "pruned": explain.blocks_pruned,
            "read": explain.blocks_read,
        },
        "pages": {
            "considered": explain.pages_considered,
            "pruned": explain.pages_pruned,
            "read": explain.pages_read,
            "skipped": explain.pages_skipped,
            "decoded": explain.pages_decoded,
        },
        "bytes": {
            "considered": explain.bytes_considered,
            "pruned": bytes_pruned(explain),
            "read": explain.bytes_read,
        },
        "by": explain.by,
    })
}

/// Bytes that were not read. A page that several steps decode is read several times: then none.
fn bytes_pruned(explain: &Explain) -> u64 {
    explain.bytes_considered.saturating_sub(explain.bytes_read)
}

//! Orders written by two databases in one global transaction, `xid`: a coordinator tells both to commit or to roll
//! back, each in a trace of its own.
//!
//! From minute 30 to 34 the coordinator loses its connection now and then: of one transaction a branch commits and
//! the other, after a timeout, rolls back.

use tailspan::SpanKind;

use super::builder::TraceBuilder;
use super::{MILLI, SECOND};

const BRANCHES: [&str; 2] = ["stock-db", "ledger-db"];

/// One global transaction.
pub fn transaction(trace: &mut TraceBuilder, start: u64) {
    let refused = trace.random.percent(5);
    run(trace, start, [refused; 2], false);
}

/// One whose coordinator is cut off from the second branch.
pub fn cut_off(trace: &mut TraceBuilder, start: u64) {
    run(trace, start, [false, true], true);
}

fn run(trace: &mut TraceBuilder, start: u64, roll_back: [bool; 2], cut_off: bool) {
    let xid = trace.id("gtx", 10);
    let root = trace.open(None, "coordinator", "global transaction", SpanKind::SERVER, start);
    trace.set(root, "xid", xid.as_str());
    let mut at = start + MILLI;
    for branch in BRANCHES {
        let duration = trace.random.latency(12 * MILLI);
        let (prepare, end) = trace.step(root, "coordinator", "branch prepare", SpanKind::CLIENT, at, duration);
        trace.set(prepare, "xid", xid.as_str());
        trace.set(prepare, "server.address", branch);
        at = end + MILLI;
    }
    trace.close(root, at);
    for (branch, rolls_back) in BRANCHES.into_iter().zip(roll_back) {
        trace.begin_another_trace();
        let (name, wait) = match rolls_back {
            true if cut_off => ("branch rollback", 30 * SECOND),
            true => ("branch rollback", 2 * MILLI),
            false => ("branch commit", 2 * MILLI),
        };
        let begun = at + wait + trace.random.latency(3 * MILLI);
        let end = begun + trace.random.latency(6 * MILLI);
        let call = trace.open(None, branch, name, SpanKind::SERVER, begun);
        trace.set(call, "xid", xid.as_str());
        if rolls_back && cut_off {
            trace.set(call, "tx.reason", "coordinator timeout");
        }
        trace.close(call, end);
    }
}

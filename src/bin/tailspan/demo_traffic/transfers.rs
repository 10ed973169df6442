//! Money moved by Try, Confirm, Cancel, each branch under one `tcc.branch.id`.
//!
//! Both accounts try, then both confirm or both cancel. Rarely a confirmation is sent twice, a branch is forgotten
//! after its Try, a Cancel comes for a Try that never arrived, or a late Try arrives after its Cancel. Calls of one
//! phase are traces of their own, as a coordinator makes them. Some transfers write the same account at once.

use tailspan::SpanKind;

use super::builder::{Call, TraceBuilder};
use super::{MICRO, MILLI, SECOND};

const ACCOUNTS: u64 = 60;
/// The account that many want to write at once.
const RUSHED: &str = "acc-007";

/// What goes wrong with the debit branch of a transfer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    ConfirmedTwice,
    Forgotten,
    CancelledUntried,
    TriedLate,
}

/// One transfer between two accounts.
pub fn transfer(trace: &mut TraceBuilder, start: u64) {
    between_two(trace, start, Fault::None);
}

/// One whose first confirmation is sent twice.
pub fn confirmed_twice(trace: &mut TraceBuilder, start: u64) {
    between_two(trace, start, Fault::ConfirmedTwice);
}

/// One of which a branch is tried and then forgotten.
pub fn forgotten(trace: &mut TraceBuilder, start: u64) {
    between_two(trace, start, Fault::Forgotten);
}

/// One of which a Try is lost, so that its branch is cancelled untried.
pub fn cancelled_untried(trace: &mut TraceBuilder, start: u64) {
    between_two(trace, start, Fault::CancelledUntried);
}

/// One of which a Try arrives after the Cancel.
pub fn tried_late(trace: &mut TraceBuilder, start: u64) {
    between_two(trace, start, Fault::TriedLate);
}

fn between_two(trace: &mut TraceBuilder, start: u64, fault: Fault) {
    let debit = 8 + trace.random.below(ACCOUNTS - 8);
    let credit = 8 + (debit - 7 + trace.random.below(ACCOUNTS - 9)) % (ACCOUNTS - 8);
    let accounts = [debit, credit].map(|number| format!("acc-{number:03}"));
    move_money(trace, start, [&accounts[0], &accounts[1]], fault);
}

/// Two transfers from one account, milliseconds apart: nothing keeps them from writing it at the same time.
pub fn rush(trace: &mut TraceBuilder, start: u64) {
    move_money(trace, start, [RUSHED, "acc-001"], Fault::None);
    trace.begin_another_trace();
    let later = start + trace.random.between(2, 6) * MILLI;
    move_money(trace, later, [RUSHED, "acc-002"], Fault::None);
}

fn move_money(trace: &mut TraceBuilder, start: u64, accounts: [&str; 2], fault: Fault) {
    let xid = trace.id("xid", 12);
    let root = trace.open(None, "transfers", "POST /transfers", SpanKind::SERVER, start);
    trace.set(root, "tcc.xid", xid.as_str());
    let broken = matches!(fault, Fault::CancelledUntried | Fault::TriedLate);
    let covered = !broken && (fault != Fault::None || !trace.random.percent(8));
    let mut at = start + MILLI;
    let branches = [("debit", accounts[0]), ("credit", accounts[1])];
    for (branch, account) in branches {
        if branch == "debit" && broken {
            continue;
        }
        at = branch_call(trace, root, (&xid, branch, "try", account), branch == "debit" && !covered, at);
    }
    let phase = if covered { "confirm" } else { "cancel" };
    for (branch, account) in branches {
        if branch == "debit" && fault == Fault::Forgotten {
            continue;
        }
        at = branch_call(trace, root, (&xid, branch, phase, account), false, at);
        if branch == "debit" && fault == Fault::ConfirmedTwice {
            at = branch_call(trace, root, (&xid, branch, phase, account), false, at + 200 * MILLI);
        }
    }
    if fault == Fault::TriedLate {
        at = branch_call(trace, root, (&xid, "debit", "try", accounts[0]), false, at + 2 * SECOND);
    }
    if !covered {
        trace.fail(root, "account not covered");
    }
    trace.close(root, at + 500 * MICRO);
}

fn branch_call(
    trace: &mut TraceBuilder,
    root: Call,
    (xid, branch, phase, account): (&str, &str, &str, &str),
    fails: bool,
    start: u64,
) -> u64 {
    let (client, server, arrival) = trace.request(root, "accounts", &format!("POST /{phase}"), start);
    trace.set(server, "tcc.xid", xid);
    trace.set(server, "tcc.branch", branch);
    trace.set(server, "tcc.branch.id", format!("{xid}-{branch}"));
    trace.set(server, "tcc.phase", phase);
    let mut end = arrival + MILLI;
    if fails {
        trace.fail(server, "balance too low");
    } else {
        let duration = trace.random.latency(8 * MILLI);
        let (write, written) = trace.step(server, "accounts", "write balance", SpanKind::CLIENT, end, duration);
        trace.set(write, "account.id", account);
        trace.set(write, "db.system.name", "postgresql");
        trace.set(write, "server.address", "accounts-db.shop.svc");
        end = written;
    }
    trace.respond((client, server), if fails { 409 } else { 200 }, end + 200 * MICRO)
}

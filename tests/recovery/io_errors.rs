//! I/O errors: every kind of operation fails with every error, once and for ever, at moments all over the reference
//! workload. Nothing panics, nothing hangs, nothing is acknowledged that is not safe, and after a failed sync no append of
//! that writer is acknowledged again.
//!
//! One moment in five is tried; `TAILSPAN_FAULTS=all` tries all.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tailspan::{Fault, FaultKind, OperationKind};

use super::crash::{Verdict, without_panic};
use super::fault::judge_fault;

const OPERATIONS: [OperationKind; 14] = [
    OperationKind::Append,
    OperationKind::Sync,
    OperationKind::Create,
    OperationKind::Rename,
    OperationKind::Remove,
    OperationKind::Truncate,
    OperationKind::CreateDirectory,
    OperationKind::SyncDirectory,
    OperationKind::Open,
    OperationKind::Read,
    OperationKind::Map,
    OperationKind::ReadPiece,
    OperationKind::List,
    OperationKind::Lock,
];

const ERRORS: [FaultKind; 8] = [
    FaultKind::Eio,
    FaultKind::NoSpace,
    FaultKind::Interrupted,
    FaultKind::TooManyFiles,
    FaultKind::ReadOnly,
    FaultKind::PermissionDenied,
    FaultKind::ShortWrite,
    FaultKind::ShortRead,
];

const PATHS: [&str; 4] = ["", "log/", "seg/", "MANIFEST"];
/// Which of the matching operations fails.
const MOMENTS: [u64; 5] = [1, 2, 3, 5, 8];
const THREADS: usize = 2;
/// A case takes a fraction of a second: what takes so long hangs.
const HANGS_AFTER: Duration = Duration::from_secs(120);

/// All faults, or of every operation and error, once and for ever, one in five: another one for each.
fn faults() -> Vec<Fault> {
    let all = std::env::var("TAILSPAN_FAULTS").is_ok_and(|word| word == "all");
    let (mut out, mut row) = (Vec::new(), 0);
    for operation in OPERATIONS {
        for (error, forever) in ERRORS.into_iter().flat_map(|error| [(error, false), (error, true)]) {
            row += 1;
            for (at, (path, nth)) in (row..).zip(PATHS.iter().flat_map(|path| MOMENTS.map(|nth| (path, nth)))) {
                if all || at % MOMENTS.len() == 0 {
                    out.push(Fault { operation, path_contains: (*path).to_owned(), nth, error, forever });
                }
            }
        }
    }
    out
}

#[test]
fn a_failing_operation_costs_no_acknowledged_span_and_a_failed_sync_ends_the_writer() {
    let (faults, next) = (Arc::new(faults()), Arc::new(AtomicUsize::new(0)));
    let (told, verdicts) = mpsc::channel::<(usize, Verdict)>();
    // Not scoped: one that hangs must not keep the test from saying so.
    for _ in 0..THREADS {
        let (faults, next, told) = (faults.clone(), next.clone(), told.clone());
        std::thread::spawn(move || {
            while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < faults.len()) {
                let verdict = without_panic(|| judge_fault(&faults[at]));
                told.send((at, verdict)).expect("the test still listens");
            }
        });
    }
    let (mut missing, mut violations): (Vec<usize>, Vec<String>) = ((0..faults.len()).collect(), Vec::new());
    while !missing.is_empty() {
        let Ok((at, verdict)) = verdicts.recv_timeout(HANGS_AFTER) else {
            panic!("it hangs in one of {:?}", missing.iter().take(THREADS).map(|at| &faults[*at]).collect::<Vec<_>>())
        };
        missing.retain(|other| *other != at);
        violations.extend(verdict.err().map(|violation| format!("{:?}: {violation}", faults[at])));
    }
    let line = format!("\nfaults cases={} violations={}\n", faults.len(), violations.len());
    std::io::stdout().write_all(line.as_bytes()).expect("standard output takes a line");
    assert!(violations.is_empty(), "{}", violations[..violations.len().min(10)].join("\n"));
}

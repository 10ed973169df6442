//! The reference workload on a disk of which one operation fails, once or for ever.
//!
//! The workload goes on after a failure, as a program would. Nothing may panic, nothing be acknowledged that is
//! not safe, and after a failed sync no append may be acknowledged until the store was opened again.

use tailspan::{CrashChoice, Durability, Fault, OperationKind, SimulatedDisk, Store, TraceId};

use super::crash::{Record, Standing, Step, Verdict, append, contents, ensure, keeps_deletions, open, script};
use super::numbered::span;

/// Runs the workload with this fault and judges what it leaves.
///
/// # Errors
/// The first promise that does not hold.
pub fn judge_fault(fault: &Fault) -> Verdict {
    let disk = SimulatedDisk::new(5);
    disk.read_on_demand(fault.operation == OperationKind::ReadPiece);
    disk.inject(fault.clone());
    let record = run_on(&disk, fault)?;
    judge_after_fault(&disk, &record)
}

/// Goes through the script whatever fails, and keeps account. Fails if an append is acknowledged although a sync
/// of the log failed since the store was opened.
fn run_on(disk: &SimulatedDisk, fault: &Fault) -> Result<Record, String> {
    let mut record = Record::default();
    let mut store = open(disk).ok();
    let mut closed = false;
    for step in script() {
        let Some(open_store) = &store else {
            store = open(disk).ok();
            continue;
        };
        match step {
            Step::Append(numbers, durability) => {
                let appended = append(open_store, numbers.clone(), durability);
                if closed && appended.is_ok() {
                    return Err(format!("{numbers:?} was acknowledged after a failed sync"));
                }
                record.appended(numbers, durability, appended.is_ok());
                if let Err(error) = appended {
                    closed |= durability == Durability::Sync && error.to_string().contains("a sync failed");
                    record.in_doubt();
                }
            }
            // What these leave when they fail has tests of its own: backup.rs, retention.rs.
            Step::Again(_) | Step::Backup | Step::Retain(_) => {}
            Step::Delete(numbers) => {
                let ids: Vec<TraceId> = numbers.clone().map(|number| span(number).trace_id).collect();
                let deleted = open_store.delete(&ids);
                if closed && deleted.is_ok() {
                    return Err(format!("a delete of {numbers:?} was acknowledged after a failed sync"));
                }
                record.deleted(numbers, deleted.is_ok());
                if let Err(error) = deleted {
                    closed |= error.to_string().contains("a sync failed");
                    record.in_doubt();
                }
            }
            Step::Merge => match open_store.merge_all() {
                Ok(_) if closed => {}
                Ok(_) => record.synced(),
                Err(_) => record.in_doubt(),
            },
            Step::Seal => match open_store.seal() {
                Ok(_) if closed => return Err("a store whose log cannot be synced was sealed".to_owned()),
                Ok(_) => record.synced(),
                Err(_) => record.in_doubt(),
            },
            Step::Reopen => {
                store = None;
                record.in_doubt();
                closed = false;
                store = open(disk).ok().or(store);
            }
        }
        if let Some(store) = &store {
            match shows_what_it_acknowledged(store, &record) {
                // The answer itself met the fault, and says so. What is on the disk is looked at below.
                Err(error) if fault.operation == OperationKind::ReadPiece && error.contains("reading a piece of") => {}
                verdict => verdict?,
            }
            // Now, since sealing soon makes good what a log lost.
            let store = open(&disk.crash_image(CrashChoice::LoseUnsynced))?;
            shows_what_it_acknowledged(&store, &record).map_err(|error| format!("after a power cut {error}"))?;
        }
    }
    disk.clear_faults();
    // Nor does a piece that could not be read cost the questions after it.
    match store {
        Some(store) if fault.operation == OperationKind::ReadPiece => shows_what_it_acknowledged(&store, &record)?,
        _ => {}
    }
    Ok(record)
}

/// A failure costs what failed alone: what was acknowledged can still be read.
fn shows_what_it_acknowledged(store: &Store, record: &Record) -> Verdict {
    let found = contents(store)?;
    let sure = record.batches.iter().enumerate().filter(|(_, batch)| batch.standing == Standing::Durable);
    for (at, number) in sure.flat_map(|(at, batch)| batch.numbers.clone().map(move |number| (at, number))) {
        let there = found.contains_key(&number) || record.may_be_deleted(at, number);
        ensure(there, || format!("span {number} cannot be read any more"))?;
    }
    keeps_deletions(&found.into_keys().collect(), record)
}

/// What was acknowledged survives, whatever failed; a failed batch is there whole or not at all.
fn judge_after_fault(disk: &SimulatedDisk, record: &Record) -> Verdict {
    disk.clear_faults();
    for choice in [CrashChoice::LoseUnsynced, CrashChoice::KeepAll, CrashChoice::Random(1), CrashChoice::Random(2)] {
        let image = disk.crash_image(choice);
        let store = open(&image).map_err(|error| format!("{choice:?}: {error}"))?;
        let found = contents(&store).map_err(|error| format!("{choice:?}: {error}"))?;
        shows_what_it_acknowledged(&store, record).map_err(|error| format!("{choice:?}: {error}"))?;
        for (at, batch) in record.batches.iter().enumerate() {
            let numbers = || batch.numbers.clone().filter(|number| !record.may_be_deleted(at, *number));
            let there = numbers().filter(|number| found.contains_key(number)).count();
            let whole = there == 0 || there == numbers().count();
            ensure(whole, || format!("{choice:?}: {there} spans of {batch:?}"))?;
        }
        let taken = append(&store, 2_000..2_003, Durability::Sync).map(drop);
        taken.map_err(|error| format!("{choice:?}: no appends: {error}"))?;
    }
    Ok(())
}

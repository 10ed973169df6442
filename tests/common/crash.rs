//! A workload on a simulated disk, what it was promised, and whether a disk found after a crash keeps it.
//!
//! ```text
//! workload   append, append (sync), seal, append ... until a step fails or the script ends
//! record     of each batch: Failed | Taken (it is in the log) | Durable (and synced)
//! judge      open what is left: every Durable batch there, none invented, none in part, no hole
//! ```
//!
//! Batches are numbered spans (numbered.rs) whose traces reach over batches and seals, so that late spans and
//! dirty traces are part of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use tailspan::{
    AppendOptions, CrashChoice, Durability, Input, Query, Retention, SimulatedDisk, Span, Storage, Store, TraceId,
};

use super::numbered::{SERVICE, TRACE_SPANS, number_of, span};

/// Every crash but the random ones.
pub const CHOICES: [CrashChoice; 7] = [
    CrashChoice::LoseUnsynced,
    CrashChoice::KeepAll,
    CrashChoice::TornTail { granularity: 1 },
    CrashChoice::TornTail { granularity: 512 },
    CrashChoice::TornTail { granularity: 4096 },
    CrashChoice::ZeroTail,
    CrashChoice::GarbageTail,
];

/// What a violated promise is told as.
pub type Verdict = Result<(), String>;

/// How sure a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The append failed: the batch may be there all the same.
    Failed,
    /// The log took it: it survives the death of the process.
    Taken,
    /// It was acknowledged as durable: it survives everything.
    Durable,
}

/// A batch of numbered spans and what was said about it.
#[derive(Clone, Debug)]
pub struct Batch {
    pub numbers: Range<u64>,
    pub standing: Standing,
}

/// A delete of whole traces.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// The numbers whose traces it names.
    pub traces: Range<u64>,
    /// Those that were durable before it.
    pub numbers: Vec<u64>,
    /// How many batches were before it.
    pub after: usize,
    /// Failed or durable.
    pub standing: Standing,
}

/// What one writer did, in order.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub batches: Vec<Batch>,
    pub deletions: Vec<Deletion>,
}

impl Record {
    /// Takes note of what an append answered.
    pub fn appended(&mut self, numbers: Range<u64>, durability: Durability, taken: bool) {
        let standing = if taken { Standing::Taken } else { Standing::Failed };
        self.batches.push(Batch { numbers, standing });
        if taken && durability == Durability::Sync {
            self.synced();
        }
    }

    /// Takes note of a delete of what is durable of these numbers. It is durable if it was done.
    pub fn deleted(&mut self, numbers: Range<u64>, done: bool) {
        let is_there = |at: usize, batch: &Batch, number: u64| {
            batch.standing == Standing::Durable && batch.numbers.contains(&number) && !self.may_be_deleted(at, number)
        };
        let durable = |number: &u64| self.batches.iter().enumerate().any(|(at, batch)| is_there(at, batch, *number));
        let standing = if done { Standing::Durable } else { Standing::Failed };
        let (traces, numbers) = (numbers.clone(), numbers.filter(durable).collect());
        self.deletions.push(Deletion { traces, numbers, after: self.batches.len(), standing });
        if done {
            // The delete was synced, and the log before it.
            self.synced();
        }
    }

    /// True if a delete may have taken this number of the batch at this place.
    pub fn may_be_deleted(&self, at: usize, number: u64) -> bool {
        self.deletions.iter().any(|deletion| deletion.after > at && number_is_of(deletion, number))
    }

    /// Everything taken so far is durable.
    pub fn synced(&mut self) {
        for batch in self.batches.iter_mut().filter(|batch| batch.standing == Standing::Taken) {
            batch.standing = Standing::Durable;
        }
    }

    /// Whether what was taken will become durable is not known any more.
    pub fn in_doubt(&mut self) {
        for batch in self.batches.iter_mut().filter(|batch| batch.standing == Standing::Taken) {
            batch.standing = Standing::Failed;
        }
    }
}

/// Deletes take whole traces of five numbers.
fn number_is_of(deletion: &Deletion, number: u64) -> bool {
    deletion.traces.clone().any(|deleted| deleted / TRACE_SPANS == number / TRACE_SPANS)
}

/// A step of the workload.
#[derive(Clone, Debug)]
pub enum Step {
    Append(Range<u64>, Durability),
    /// Delivers spans again that were delivered before.
    Again(Range<u64>),
    /// Deletes the traces of these numbers.
    Delete(Range<u64>),
    Seal,
    /// Merges everything to one segment.
    Merge,
    /// Copies the store to another disk.
    Backup,
    /// Lets everything go, these numbers, after a merge.
    Retain(Range<u64>),
    Reopen,
}

/// The reference workload: both durabilities, late spans, a second delivery, deletes from head and segments and
/// spans that come after them, sealing, merging, a backup, retention, reopening.
pub fn script() -> Vec<Step> {
    use Durability::{Buffered, Sync};
    use Step::{Again, Append, Backup, Delete, Merge, Reopen, Retain, Seal};
    vec![
        Append(0..4, Sync),
        Append(4..9, Buffered),
        Append(9..13, Buffered),
        Append(13..20, Sync),
        Seal,
        Append(20..24, Buffered),
        Again(0..9),
        Append(24..31, Sync),
        Append(31..33, Buffered),
        Seal,
        Append(33..40, Sync),
        Append(40..44, Buffered),
        Append(44..47, Buffered),
        Reopen,
        Append(47..50, Sync),
        Delete(5..10),
        Append(50..58, Buffered),
        Delete(45..50),
        Append(5..7, Buffered),
        Append(58..61, Buffered),
        Seal,
        Merge,
        Append(61..70, Buffered),
        Delete(60..65),
        Delete(20..25),
        Append(70..73, Sync),
        Backup,
        Merge,
        Append(73..77, Sync),
        Append(77..80, Buffered),
        Merge,
        Retain(0..80),
        Append(80..84, Sync),
        Append(84..88, Buffered),
        Seal,
        Append(88..90, Sync),
    ]
}

/// A step that failed.
pub struct Failure;

/// Opens the store on this disk as the tests use it: no background thread, small blocks.
///
/// # Errors
/// What the store says, in words.
pub fn open(disk: &SimulatedDisk) -> Result<Store, String> {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let builder = Store::builder("unused").storage(storage).seal_automatically(false).block_rows(1024);
    builder.open().map_err(|error| format!("opening failed: {error}"))
}

/// Appends numbered spans.
pub fn append(store: &Store, numbers: Range<u64>, durability: Durability) -> tailspan::Result<tailspan::Appended> {
    let spans: Vec<Span> = numbers.map(span).collect();
    let options = AppendOptions { durability: Some(durability), ..AppendOptions::default() };
    store.append_with(Input::Spans(&mut spans.iter()), options)
}

/// Runs the script until a step fails.
pub fn run(disk: &SimulatedDisk, script: &[Step]) -> Record {
    let mut record = Record::default();
    // The record tells how far it came; the failure itself is the power cut.
    let _ = run_steps(disk, script, &mut record);
    record
}

fn run_steps(disk: &SimulatedDisk, script: &[Step], record: &mut Record) -> Result<(), Failure> {
    let mut store = open(disk).map_err(|_| Failure)?;
    for step in script {
        match step {
            Step::Append(numbers, durability) => {
                let appended = append(&store, numbers.clone(), *durability);
                record.appended(numbers.clone(), *durability, appended.is_ok());
                appended.map(drop).map_err(|_| Failure)?;
            }
            Step::Again(numbers) => {
                let appended = append(&store, numbers.clone(), Durability::Buffered).map_err(|_| Failure)?;
                assert_eq!(appended.accepted, 0, "a second delivery adds nothing");
            }
            Step::Delete(numbers) => {
                let ids: Vec<TraceId> = numbers.clone().map(|number| span(number).trace_id).collect();
                let deleted = store.delete(&ids);
                record.deleted(numbers.clone(), deleted.is_ok());
                deleted.map(drop).map_err(|_| Failure)?;
            }
            Step::Seal => {
                store.seal().map_err(|_| Failure)?;
                record.synced();
            }
            Step::Merge => {
                store.merge_all().map_err(|_| Failure)?;
                record.synced();
            }
            Step::Backup => {
                let copy = SimulatedDisk::new(9);
                store.backup_into(&copy).map_err(|_| Failure)?;
                let (copied, held) = (open(&copy), contents(&store));
                let copied = copied.and_then(|copied| contents(&copied));
                assert!(copied.is_ok() && copied == held, "a backup is the store");
            }
            Step::Retain(numbers) => {
                let retained = store.retain(&Retention::new().max_bytes(0));
                record.deleted(numbers.clone(), retained.is_ok());
                retained.map(drop).map_err(|_| Failure)?;
            }
            Step::Reopen => {
                store.close().map_err(|_| Failure)?;
                record.synced();
                store = open(disk).map_err(|_| Failure)?;
            }
        }
    }
    store.close().map_err(|_| Failure)?;
    record.synced();
    Ok(())
}

/// A disk whose power is cut after `n` operations of the reference workload. The same ids for all `n`: two moments may
/// leave the same image.
pub fn crashed_after(n: u64) -> (SimulatedDisk, Record) {
    let disk = SimulatedDisk::new(1);
    disk.crash_after(n);
    let record = run(&disk, &script());
    (disk, record)
}

/// What a crash may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The power went: only what was synced is sure.
    Power,
    /// The power went during the recovery from another crash.
    PowerAgain,
    /// The process died: what the operating system had is sure.
    Process,
}

impl Loss {
    /// What is sure in an image of this choice.
    pub fn of(choice: CrashChoice) -> Self {
        if choice == CrashChoice::KeepAll { Self::Process } else { Self::Power }
    }

    fn spares(self, standing: Standing) -> bool {
        match self {
            Self::Power | Self::PowerAgain => standing == Standing::Durable,
            Self::Process => standing != Standing::Failed,
        }
    }
}

/// Everything in the store, by number.
///
/// # Errors
/// A span in twice, an invented one, an unreadable trace.
pub fn contents(store: &Store) -> Result<BTreeMap<u64, Span>, String> {
    let mut found = BTreeMap::new();
    for trace in store.spans() {
        for span in trace.map_err(|error| format!("a trace is unreadable: {error}"))? {
            let number = number_of(&span)?;
            if found.insert(number, span).is_some() {
                return Err(format!("span {number} is there twice"));
            }
        }
    }
    Ok(found)
}

/// The numbers of the spans in a store, in order.
pub type Numbers = Vec<u64>;

/// What the writers were promised of what is found.
///
/// # Errors
/// The first promise that does not hold.
pub fn keeps_promises(found: &Numbers, records: &[Record], loss: Loss) -> Verdict {
    for record in records {
        keeps_batches(found, record, loss)?;
        keeps_deletions(found, record)?;
    }
    let tried: u64 = records.iter().flat_map(|r| &r.batches).map(|b| b.numbers.clone().count() as u64).sum();
    ensure(found.len() as u64 <= tried, || format!("{} spans, only {tried} were written", found.len()))
}

/// Whether a disk found after a crash is a sound store, whatever was promised; what is in it. It is opened, read, opened
/// again, crashed again, and written to.
///
/// # Errors
/// The first promise that does not hold.
pub fn stands_alone(disk: &SimulatedDisk, loss: Loss) -> Result<Numbers, String> {
    let store = open(disk)?;
    let found = contents(&store)?;
    ensure(store.recovery().damage.is_empty(), || format!("a crash is no damage: {:?}", store.recovery().damage))?;
    // A segment whose edit was torn is used beside the log it was made from; its records are united when read.
    let adopted = loss == Loss::PowerAgain || !store.recovery().notes.is_empty();
    let rows = if adopted { Rows::MayRepeat } else { Rows::Once };
    answers_equal_a_scan(&store, &found, rows)?;
    drop(store);
    opens_the_same_again(disk, &found)?;
    opens_the_same_again(&disk.crash_image(CrashChoice::LoseUnsynced), &found)?;
    takes_spans(disk, &found, rows)?;
    Ok(found.into_keys().collect())
}

/// Whether a record may be stored in two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    Once,
    MayRepeat,
}

/// What the check says, a panic told as a violation.
///
/// # Errors
/// As `check`.
pub fn without_panic<T>(check: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
    checked.unwrap_or_else(|_| Err("a panic, told above".to_owned()))
}

/// Fails with this message unless the condition holds.
pub fn ensure(condition: bool, message: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(message()) }
}

/// Batches whole or not at all, those that are sure, and a prefix of the others.
fn keeps_batches(found: &Numbers, record: &Record, loss: Loss) -> Verdict {
    let mut hole = None;
    for (at, batch) in record.batches.iter().enumerate() {
        let numbers = || batch.numbers.clone().filter(|number| !record.may_be_deleted(at, *number));
        if numbers().count() == 0 {
            continue;
        }
        let there = numbers().filter(|number| found.binary_search(number).is_ok()).count();
        let whole = there == numbers().count();
        ensure(whole || there == 0, || format!("{there} spans of the batch {batch:?}"))?;
        ensure(whole || !loss.spares(batch.standing), || format!("the batch {batch:?} is lost"))?;
        match hole {
            Some(hole) if whole => return Err(format!("{batch:?} is there and the earlier {hole:?} is not")),
            None if !whole => hole = Some(batch.clone()),
            _ => {}
        }
    }
    Ok(())
}

/// What was deleted is gone; a delete that failed took all or nothing.
pub fn keeps_deletions(found: &Numbers, record: &Record) -> Verdict {
    for deletion in &record.deletions {
        let later = record.batches.get(deletion.after..).unwrap_or_default();
        let other = |number: &u64| {
            let others = record.deletions.iter().filter(|other| other.after != deletion.after);
            later.iter().any(|batch| batch.numbers.contains(number))
                || others.into_iter().any(|o| o.numbers.contains(number))
        };
        let numbers: Vec<u64> = deletion.numbers.iter().copied().filter(|number| !other(number)).collect();
        let there = numbers.iter().filter(|number| found.binary_search(number).is_ok()).count();
        let gone = there == 0 || (deletion.standing == Standing::Failed && there == numbers.len());
        ensure(gone, || {
            format!("{there} spans are there of the deleted {numbers:?}, which is {:?}", deletion.standing)
        })?;
    }
    Ok(())
}

/// Searches, look-ups and counts say what a scan of all spans says.
fn answers_equal_a_scan(store: &Store, found: &BTreeMap<u64, Span>, rows: Rows) -> Verdict {
    let stats = store.stats().map_err(|error| format!("stats failed: {error}"))?;
    let (spans, there) = (stats.spans, found.len() as u64);
    ensure(spans == there, || format!("stats count {spans} spans, there are {there}"))?;
    let alive = stats.rows - stats.awaiting_erasure;
    ensure(alive == there || rows == Rows::MayRepeat, || format!("{there} spans take {alive} rows"))?;
    find_equals_scan(store, found, Query::new(), |_| true)?;
    find_equals_scan(store, found, Query::new().service(SERVICE), |span| span.service() == Some(SERVICE))?;
    let operation = |span: &Span| span.name == "operation 3" && span.is_error();
    find_equals_scan(store, found, Query::new().name("operation 3").error(), operation)
}

fn find_equals_scan(
    store: &Store,
    found: &BTreeMap<u64, Span>,
    query: Query,
    matches: impl Fn(&Span) -> bool,
) -> Verdict {
    let mut expected: BTreeMap<TraceId, (u64, u64)> = BTreeMap::new();
    for span in found.values() {
        let counts = expected.entry(span.trace_id).or_default();
        counts.0 += 1;
        counts.1 += u64::from(matches(span));
    }
    expected.retain(|_, (_, matched)| *matched > 0);
    let answer = store.find(&query.limit(0)).map_err(|error| format!("find failed: {error}"))?;
    ensure(answer.complete, || format!("find is not complete: {:?}", answer.reason))?;
    let summed = answer.traces.iter().map(|trace| (trace.trace_id, (trace.span_count, trace.matched_count)));
    let summed: BTreeMap<TraceId, (u64, u64)> = summed.collect();
    ensure(summed == expected, || format!("find says {summed:?}, a scan {expected:?}"))
}

fn opens_the_same_again(disk: &SimulatedDisk, before: &BTreeMap<u64, Span>) -> Verdict {
    let store = open(disk).map_err(|error| format!("the second time, {error}"))?;
    let again = contents(&store)?;
    ensure(again.keys().eq(before.keys()), || {
        format!("opened again there are {:?}, before {:?}", again.keys(), before.keys())
    })?;
    ensure(store.recovery().damage.is_empty(), || format!("damage the second time: {:?}", store.recovery().damage))
}

/// The store takes a batch, seals it with what it found, and keeps it through another power cut.
fn takes_spans(disk: &SimulatedDisk, before: &BTreeMap<u64, Span>, rows: Rows) -> Verdict {
    let more = 1_000..1_004;
    let store = open(disk)?;
    let taken = append(&store, more.clone(), Durability::Sync);
    taken.map_err(|error| format!("an append after the crash: {error}")).map(drop)?;
    let kept = |disk: SimulatedDisk| -> Verdict {
        let store = open(&disk)?;
        let expected = before.keys().copied().chain(more.clone());
        let found = contents(&store)?;
        ensure(found.keys().copied().eq(expected), || format!("after more appends there are {:?}", found.keys()))?;
        answers_equal_a_scan(&store, &found, rows)
    };
    kept(disk.crash_image(CrashChoice::LoseUnsynced))?;
    store.seal().map_err(|error| format!("sealing after the crash: {error}"))?;
    kept(disk.crash_image(CrashChoice::LoseUnsynced))?;
    let report = store.verify().map_err(|error| format!("verifying: {error}"))?;
    ensure(report.damaged.is_empty(), || format!("verify finds {:?}", report.damaged))
}

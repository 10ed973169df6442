//! A small store with every kind of file, and whether a damaged copy of it still tells the truth.
//!
//! ```text
//! seg 1    2,200 spans in three blocks, two of its traces deleted by the manifest, one by a log
//! seg 2    late spans of traces in seg 1 (dirty there), spans with more keys than a segment has columns
//! log      one that seals left empty, one that is closed and the one begun after it, each with its batches
//! root     LOCK, MANIFEST, MANIFEST.old
//! ```
//!
//! The judge knows every span that was ever appended. A damaged copy may lose what [`Reach`] grants and must say
//! so; it may show nothing else, and what it answers must be what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tailspan::{
    AppendOptions, CrashChoice, Durability, Input, KeyValue, Query, SimulatedDisk, Span, Storage, Store, TraceId,
};

use super::numbered::{self, SERVICE};

/// Spans of a trace: so many that reading all traces is quick.
const TRACE_SPANS: u64 = 55;
/// Spans of the first segment: more than two blocks of 1,024 rows.
const FIRST: u64 = 2_200;
/// From here on to the end of the first segment spans are plain.
const SPARSE: u64 = 600;
/// Late spans and odd ones, sealed together.
const SECOND: u64 = FIRST + 60;
/// Spans in the closed log.
const THIRD: u64 = SECOND + 45;
/// Spans in the log begun last.
const ALL: u64 = THIRD + 30;
/// The first span of each such trace comes late.
const LATE_EVERY: u64 = 200;
/// Rows of a block and of a page.
const PAGE_ROWS: usize = 1024;
/// Columns of missing parents and of the trace table: every trace near them is read through the same page.
const SHARED_COLUMNS: std::ops::RangeInclusive<u32> = 7..=13;
/// Number of a span that is appended to a damaged store.
const MORE: u64 = 1_000_000;

/// A span of the fixture: numbered, and small.
pub fn span(number: u64) -> Span {
    let mut span = numbered::span(number);
    let first = number - number % TRACE_SPANS;
    span.trace_id = numbered::span(first).trace_id;
    if number != first && span.parent_span_id.is_none() {
        span.parent_span_id = Some(numbered::span(first).span_id);
    }
    if !number.is_multiple_of(16) {
        span.attributes.retain(|attribute| attribute.key != "note");
    }
    // What few rows have shares pages over many traces: it is kept together.
    if (SPARSE..FIRST).contains(&number) {
        span.attributes.retain(|attribute| attribute.key == "number");
        (span.events, span.links, span.status, span.dropped_links_count) = Default::default();
    }
    if number == FIRST || number == FIRST + 1 {
        let first = (number - FIRST) * 150;
        span.attributes.extend((first..first + 150).map(|k| KeyValue::new(format!("k{k}"), k as i64)));
    }
    span
}

/// The fixture and what is known about it.
pub struct Fixture {
    /// The store, closed.
    pub disk: SimulatedDisk,
    /// It at earlier moments, each closed too.
    pub older: Vec<SimulatedDisk>,
    /// Another store of the same life.
    pub other: SimulatedDisk,
    /// Every span ever appended, by number.
    spans: Vec<Span>,
    /// Numbers that are live.
    live: BTreeSet<u64>,
    /// The file each number lies in.
    homes: BTreeMap<u64, String>,
}

/// What damage may cost.
pub struct Reach {
    /// Files whose spans may be lost.
    pub files: Vec<String>,
    /// True if nothing may be lost at all.
    pub free: bool,
    /// True if the end of the last log may be gone without a word: a crash leaves the same.
    pub silent_tail: bool,
    /// True if the store is opened a second time as well.
    pub again: bool,
}

/// What a damaged store lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost {
    /// Live spans that are not shown.
    pub lost: usize,
    /// Spans that were deleted and are shown.
    pub back: usize,
}

fn append(store: &Store, numbers: impl Iterator<Item = u64>) {
    let spans: Vec<Span> = numbers.map(span).collect();
    for batch in spans.chunks(15.max(spans.len() / 4)) {
        let options = AppendOptions { durability: Some(Durability::Sync), ..AppendOptions::default() };
        let taken = store.append_with(Input::Spans(&mut batch.iter()), options);
        let accepted = taken.map(|taken| taken.accepted).expect("a sound disk takes spans");
        assert_eq!(accepted, batch.len() as u64);
    }
}

fn delete(store: &Store, traces: &[u64]) {
    let ids: Vec<TraceId> = traces.iter().map(|trace| span(trace * TRACE_SPANS).trace_id).collect();
    store.delete(&ids).expect("a sound disk takes a delete");
}

/// Opens the store on this disk: no background thread, small blocks.
///
/// # Errors
/// What the store says, in words.
pub fn open(disk: &SimulatedDisk) -> Result<Store, String> {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let builder = Store::builder("unused").storage(storage).seal_automatically(false).block_rows(PAGE_ROWS);
    builder.open().map_err(|error| format!("opening failed: {error}"))
}

/// Makes the store; a copy after each step.
fn live_through(seed: u64) -> Vec<SimulatedDisk> {
    let disk = SimulatedDisk::new(seed);
    let mut copies = Vec::new();
    let is_late = |number: &u64| number.is_multiple_of(LATE_EVERY);
    let steps: [&dyn Fn(&Store); 4] = [
        &|store| {
            append(store, (0..FIRST).filter(|number| !is_late(number)));
            store.seal().expect("a sound disk takes a segment");
        },
        &|store| {
            append(store, (0..FIRST).filter(is_late).chain(FIRST..SECOND));
            delete(store, &[3, 20]);
            store.seal().expect("a sound disk takes a segment");
        },
        &|store| {
            append(store, SECOND..THIRD);
            delete(store, &[30]);
        },
        &|store| append(store, THIRD..ALL),
    ];
    for step in steps {
        let store = open(&disk).expect("a sound disk opens");
        step(&store);
        store.close().expect("a sound disk closes");
        copies.push(disk.crash_image(CrashChoice::KeepAll));
    }
    copies
}

impl Fixture {
    /// Makes it, the same at every call.
    ///
    /// # Panics
    /// If the store does not hold what was put into it.
    pub fn new() -> Self {
        let mut older = live_through(1);
        let disk = older.pop().expect("the last step");
        // The simulated disk locks without a file; the real one leaves this.
        disk.write_file("LOCK", b"4711\n");
        let other = live_through(2).pop().expect("the last step");
        let gone = |number: &u64| [3, 20, 30].contains(&(number / TRACE_SPANS));
        let live: BTreeSet<u64> = (0..ALL).filter(|number| !gone(number)).collect();
        let (spans, mut homes) = ((0..ALL).map(span).collect(), BTreeMap::new());
        let files = |prefix: &str| disk.file_names().into_iter().filter(|f| f.starts_with(prefix)).collect::<Vec<_>>();
        let (segments, logs) = (files("seg/"), files("log/"));
        assert_eq!((segments.len(), logs.len()), (2, 3), "{:?}", disk.file_names());
        for number in 0..ALL {
            let late = number < FIRST && number.is_multiple_of(LATE_EVERY);
            let home = match number {
                0..FIRST if !late => &segments[0],
                0..SECOND => &segments[1],
                SECOND..THIRD => &logs[1],
                _ => &logs[2],
            };
            homes.insert(number, home.clone());
        }
        let fixture = Self { disk, older, other, spans, live, homes };
        let whole = Reach { files: Vec::new(), free: true, silent_tail: false, again: true };
        assert_eq!(fixture.judge(&fixture.disk.crash_image(CrashChoice::KeepAll), &whole), Ok(Cost::default()));
        fixture
    }

    /// Bytes of all files.
    pub fn len_bytes(&self) -> u64 {
        self.disk.file_names().iter().filter_map(|name| self.disk.read_file(name)).map(|bytes| bytes.len() as u64).sum()
    }

    /// Whether the store on this disk opens, tells the truth, lost no more than it may, says so, and takes spans.
    ///
    /// # Errors
    /// The first promise that does not hold.
    pub fn judge(&self, disk: &SimulatedDisk, reach: &Reach) -> Result<Cost, String> {
        let store = open(disk)?;
        let shown = self.shown(&store)?;
        let lost: BTreeSet<u64> = self.live.difference(&shown).copied().collect();
        let back = shown.difference(&self.live).count();
        let verified = store.verify().map_err(|error| format!("verify failed: {error}"))?;
        let recovery = store.recovery();
        let told = !recovery.damage.is_empty() || !verified.damaged.is_empty();
        let cut = reach.silent_tail || recovery.torn_bytes > 0;
        if let Some(stray) = lost.iter().find(|number| !self.is_within(**number, reach)) {
            return Err(format!("{} spans are lost, {stray} of another file among them", lost.len()));
        }
        if reach.free && !(lost.is_empty() && back == 0) {
            return Err(format!("{} spans are lost, {back} are back: {:?}", lost.len(), verified.damaged));
        }
        let differs = !lost.is_empty() || back != 0;
        if differs && !told && !cut {
            return Err(format!("{} spans are lost, {back} are back, and nothing is said of it", lost.len()));
        }
        self.bounded(&lost, &verified)?;
        self.answers(&store, &shown, told)?;
        if reach.again {
            self.repairs(&disk.crash_image(CrashChoice::KeepAll), &shown)?;
        }
        takes_a_span(&store)?;
        drop(store);
        if reach.again {
            let store = open(disk).map_err(|error| format!("the second time, {error}"))?;
            let again = self.shown(&store)?;
            // What was appended is outside the numbers that `shown` knows.
            if again != shown {
                return Err(format!("{} spans the first time, {} the second", shown.len(), again.len()));
            }
            store.trace(numbered::span(MORE).trace_id).map_err(|e| e.to_string()).and_then(|spans| {
                match spans.len() {
                    1 => Ok(()),
                    n => Err(format!("{n} spans of the trace appended after the damage")),
                }
            })?;
        }
        Ok(Cost { lost: lost.len(), back })
    }

    /// A repair destroys nothing, hides nothing, and leaves nothing damaged that it can put aside.
    fn repairs(&self, disk: &SimulatedDisk, shown: &BTreeSet<u64>) -> Result<(), String> {
        let store = open(disk)?;
        let before: BTreeMap<String, Option<Vec<u8>>> =
            disk.file_names().into_iter().map(|name| (name.clone(), disk.read_file(&name))).collect();
        let report = store.repair().map_err(|error| format!("repair failed: {error}"))?;
        let left: BTreeSet<_> = disk.file_names().iter().filter_map(|name| disk.read_file(name)).collect();
        for unit in &report.damaged {
            let was = before.get(&unit.file).and_then(Option::as_ref);
            if unit.file.starts_with("seg/") && was.is_some_and(|bytes| !left.contains(bytes)) {
                return Err(format!("repair destroyed {unit:?}"));
            }
        }
        let repaired = self.shown(&store)?;
        if !shown.is_subset(&repaired) {
            return Err(format!("{} spans before the repair, {} after it", shown.len(), repaired.len()));
        }
        let verified = store.verify().map_err(|error| format!("verify failed: {error}"))?;
        if !verified.damaged.is_empty() && report.segments_left == 0 {
            return Err(format!("after the repair there is {:?}", verified.damaged));
        }
        drop(store);
        let again = self.shown(&open(disk)?)?;
        if again != repaired {
            return Err(format!("{} spans after the repair, {} when opened again", repaired.len(), again.len()));
        }
        Ok(())
    }

    /// True if the damage may keep this span from being shown: a trace is shown whole or not.
    fn is_within(&self, number: u64, reach: &Reach) -> bool {
        let first = number - number % TRACE_SPANS;
        (first..first + TRACE_SPANS).any(|near| self.homes.get(&near).is_some_and(|home| reach.files.contains(home)))
    }

    /// The numbers of the spans the store shows.
    fn shown(&self, store: &Store) -> Result<BTreeSet<u64>, String> {
        let mut shown = BTreeSet::new();
        // A trace that cannot be read is lost; the judge asks whether that was allowed.
        for span in store.spans().filter_map(Result::ok).flatten() {
            let number = span.span_id.get() - 1;
            if number == MORE {
                numbered::number_of(&span)?;
                continue;
            }
            match self.spans.get(number as usize) {
                Some(written) if *written == span => {}
                _ => return Err(format!("a span that was never written: {span:?}")),
            }
            if !shown.insert(number) {
                return Err(format!("span {number} is there twice"));
            }
        }
        Ok(shown)
    }

    /// Damage to indexes costs nothing, damage to pages alone the rows of a page and what shares a trace with them.
    fn bounded(&self, lost: &BTreeSet<u64>, verified: &tailspan::VerifyReport) -> Result<(), String> {
        let affected: u64 = verified.damaged.iter().map(|unit| unit.rows_affected).sum();
        let in_segments = verified.damaged.iter().all(|unit| unit.file.starts_with("seg/"));
        if verified.damaged.is_empty() || !in_segments {
            return Ok(());
        }
        if affected == 0 && !lost.is_empty() {
            return Err(format!("{} spans are lost by {:?}", lost.len(), verified.damaged));
        }
        let of_rows = |kind: &str| {
            let code = kind.strip_prefix("column ").and_then(|rest| rest.split(' ').next()?.parse().ok());
            code.is_some_and(|code: u32| !SHARED_COLUMNS.contains(&code))
        };
        let hurt: Vec<_> = verified.damaged.iter().filter(|unit| unit.rows_affected > 0).collect();
        // A page may begin and end inside a trace.
        let rows: usize = hurt.iter().map(|unit| (unit.rows_affected as usize).max(PAGE_ROWS)).sum();
        let lost_max = rows + 2 * TRACE_SPANS as usize;
        if hurt.iter().all(|unit| of_rows(&unit.kind)) && lost.len() > lost_max {
            return Err(format!("{} spans are lost by {:?}", lost.len(), verified.damaged));
        }
        Ok(())
    }

    /// Searches say what is there, or that they are not complete.
    fn answers(&self, store: &Store, shown: &BTreeSet<u64>, told: bool) -> Result<(), String> {
        // What a search needs may be intact where a trace is not.
        let known = &self.live | shown;
        let expected = |numbers: &BTreeSet<u64>, matches: &dyn Fn(&Span) -> bool| {
            let spans = numbers.iter().map(|number| &self.spans[*number as usize]);
            spans.filter(|span| matches(span)).map(|span| span.trace_id).collect::<BTreeSet<_>>()
        };
        let find = |query: Query, matches: &dyn Fn(&Span) -> bool| -> Result<(), String> {
            let found = store.find(&query.limit(0)).map_err(|error| format!("find failed: {error}"))?;
            let traces: BTreeSet<TraceId> = found.traces.iter().map(|trace| trace.trace_id).collect();
            let more = traces.difference(&expected(&known, matches)).count();
            let less = expected(shown, matches).difference(&traces).count();
            if more > 0 || (found.complete && less > 0) {
                return Err(format!("an answer has {more} traces too many and {less} too few: {:?}", found.reason));
            }
            if !found.complete && !told {
                return Err(format!("not complete, and nothing is damaged: {:?}", found.reason));
            }
            Ok(())
        };
        find(Query::new().service(SERVICE), &|span| span.service() == Some(SERVICE))?;
        find(Query::new().name("operation 3").error(), &|span| span.name == "operation 3" && span.is_error())?;
        let Ok(services) = store.services() else {
            return if told { Ok(()) } else { Err("services fail, and nothing is damaged".to_owned()) };
        };
        let count = |numbers: &BTreeSet<u64>, name: &Option<String>| {
            let spans = numbers.iter().map(|number| &self.spans[*number as usize]);
            spans.filter(|span| span.service() == name.as_deref()).count() as u64
        };
        for service in &services {
            // An index may count rows whose page is damaged, and those of deleted traces that cannot be taken off then.
            let all = (0..self.spans.len() as u64).collect();
            let most = if told { count(&all, &service.service) } else { count(&known, &service.service) };
            let least = count(shown, &service.service);
            if !(least..=most).contains(&service.span_count) {
                return Err(format!("{service:?} is counted, of {least} to {most}"));
            }
        }
        Ok(())
    }
}

fn takes_a_span(store: &Store) -> Result<(), String> {
    let span = numbered::span(MORE);
    let options = AppendOptions { durability: Some(Durability::Sync), ..AppendOptions::default() };
    let taken = store.append_with(Input::Spans(&mut std::iter::once(&span)), options);
    taken.map(drop).map_err(|error| format!("an append after the damage: {error}"))?;
    match store.trace(span.trace_id) {
        Ok(read) if read == [span] => Ok(()),
        read => Err(format!("appended after the damage, and read back: {read:?}")),
    }
}

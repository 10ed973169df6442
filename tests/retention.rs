//! Retention: what is too old or too much goes, nothing else does, and every answer is that of what is left.
//!
//! The model knows which spans went into which segment and when they were received. Clocks are moved by hand.

mod common {
    pub mod ask;
    pub mod check;
    pub mod distinct;
    pub mod lists;
    pub mod matching;
    pub mod meaning;
    pub mod queries;
    pub mod search;
    pub mod spans;
    pub mod tags;
    pub mod values;
}
#[path = "common/numbered.rs"]
mod numbered;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::ask::Ask;
use common::check::Expected;
use common::distinct::distinct;
use common::queries::ask;
use common::search::search;
use common::spans::{Recipe, spans};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tailspan::{
    CrashChoice, Durability, ManualClock, Query, RetainSummary, Retention, SimulatedDisk, Span, Store, TraceId,
};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// When the clocks begin: in 2025.
const BEGAN: u64 = 1_750_000_000_000_000_000;
/// Lives, unless the environment says how many.
const CASES: u32 = 32;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(BEGAN))
}

fn open(directory: &Path, clock: &Arc<ManualClock>) -> Store {
    let builder = Store::builder(directory).clock(clock.clone()).durability(Durability::Buffered);
    builder.seal_automatically(false).block_rows(1024).open().unwrap()
}

fn open_on(disk: &SimulatedDisk, clock: &Arc<ManualClock>) -> Store {
    let builder = Store::builder("unused").storage(Arc::new(disk.clone())).clock(clock.clone());
    builder.seal_automatically(false).block_rows(1024).open().unwrap()
}

fn append(store: &Store, numbers: std::ops::Range<u64>) -> u64 {
    store.append(&numbers.map(numbered::span).collect::<Vec<_>>()).unwrap().accepted
}

fn count(store: &Store) -> u64 {
    store.stats().unwrap().spans
}

fn older_than(age: Duration) -> Retention {
    Retention::new().max_age(age)
}

fn segment_bytes(directory: &Path) -> Vec<(String, u64)> {
    let files = std::fs::read_dir(directory.join("seg")).unwrap().map(|entry| entry.unwrap());
    let mut out: Vec<(String, u64)> =
        files.map(|file| (file.file_name().into_string().unwrap(), file.metadata().unwrap().len())).collect();
    out.sort();
    out
}

#[test]
fn a_segment_goes_when_its_last_span_is_old_enough_and_comes_again_as_new() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(directory.path(), &clock);
    append(&store, 0..10);
    clock.advance(HOUR);
    append(&store, 10..20);
    store.seal().unwrap();
    append(&store, 20..30);
    store.seal().unwrap();
    clock.advance(HOUR - Duration::from_nanos(1));
    assert_eq!(store.retain(&older_than(HOUR)).unwrap().segments_removed, 0);
    clock.advance(Duration::from_nanos(1));
    append(&store, 30..32);
    let done = store.retain(&older_than(HOUR)).unwrap();
    assert_eq!((done.segments_removed, done.rows_removed, done.clock_held), (2, 30, false));
    assert_eq!(done.bytes_on_disk, store.stats().unwrap().bytes_on_disk);
    assert!(done.bytes_removed > 0 && segment_bytes(directory.path()).is_empty());
    assert_eq!(count(&store), 2);
    assert_eq!(append(&store, 0..32), 30, "what went is new");
}

#[test]
fn spans_that_were_never_sealed_go_too() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(directory.path(), &clock);
    append(&store, 0..10);
    clock.advance(HOUR);
    append(&store, 10..20);
    clock.advance(HOUR / 2);
    assert_eq!(store.retain(&older_than(HOUR)).unwrap().rows_removed, 0, "half of the head is young");
    assert_eq!(store.stats().unwrap().segments, 0, "nothing is sealed without need");
    clock.advance(HOUR / 2);
    assert_eq!(store.retain(&older_than(HOUR)).unwrap().rows_removed, 20);
    assert_eq!(count(&store), 0);
}

#[test]
fn the_age_of_a_log_counts_from_when_its_store_was_closed() {
    let (disk, clock) = (SimulatedDisk::new(1), clock());
    let store = open_on(&disk, &clock);
    append(&store, 0..10);
    store.close().unwrap();
    clock.advance(HOUR);
    let store = open_on(&disk, &clock);
    assert_eq!(store.retain(&older_than(HOUR)).unwrap().rows_removed, 10);
}

#[test]
fn the_age_of_a_log_whose_process_died_counts_from_the_next_opening() {
    let (disk, clock) = (SimulatedDisk::new(1), clock());
    let store = open_on(&disk, &clock);
    append(&store, 0..10);
    let disk = disk.crash_image(CrashChoice::LoseUnsynced);
    clock.advance(HOUR);
    let store = open_on(&disk, &clock);
    assert_eq!(store.retain(&older_than(HOUR)).unwrap().rows_removed, 0);
    assert_eq!(store.stats().unwrap().segments, 1, "from now on their time is known");
    store.close().unwrap();
    let store = open_on(&disk, &clock);
    clock.advance(HOUR);
    assert_eq!(store.retain(&older_than(HOUR)).unwrap().rows_removed, 10);
}

/// Three segments received an hour after each other, traces in two of them; the time is that of the last.
fn three_segments(disk: &SimulatedDisk, clock: &Arc<ManualClock>) -> Store {
    let store = open_on(disk, clock);
    for numbers in [0..48, 48..96, 96..144] {
        append(&store, numbers);
        store.seal().unwrap();
        clock.advance(HOUR);
    }
    store
}

fn numbers(store: &Store) -> BTreeSet<u64> {
    store.spans().flat_map(|trace| trace.unwrap()).map(|span| numbered::number_of(&span).unwrap()).collect()
}

#[test]
fn a_crash_at_any_step_leaves_all_or_nothing_of_what_goes() {
    let by_age = older_than(2 * HOUR);
    for retention in [by_age.clone(), by_age.keep(Query::new().error(), DAY)] {
        let (disk, moved) = (SimulatedDisk::new(1), clock());
        let store = three_segments(&disk, &moved);
        let before = disk.operations();
        let all = numbers(&store);
        let done = store.retain(&retention).unwrap();
        let left = numbers(&store);
        assert_eq!(done.segments_removed + done.segments_rewritten, 2);
        for steps in before..=disk.operations() {
            let (disk, clock) = (SimulatedDisk::new(1), clock());
            let store = three_segments(&disk, &clock);
            disk.crash_after(steps);
            let _ = store.retain(&retention);
            for choice in [CrashChoice::LoseUnsynced, CrashChoice::KeepAll, CrashChoice::Random(steps)] {
                let store = open_on(&disk.crash_image(choice), &clock);
                assert_eq!(store.recovery().damage, [""; 0], "{steps} {choice:?}");
                // Segments are rewritten one after the other.
                let gone: Vec<u64> = all.difference(&numbers(&store)).copied().collect();
                let of = |part: std::ops::Range<u64>| part.filter(|n| !left.contains(n)).collect::<Vec<_>>();
                let whole = [vec![], of(0..48), of(0..96)];
                assert!(whole.contains(&gone), "{steps} {choice:?}: {gone:?}");
                store.retain(&retention).unwrap();
                assert_eq!(numbers(&store), left, "{steps} {choice:?}");
            }
        }
    }
}

#[test]
fn a_wall_clock_that_jumps_while_the_store_is_open_makes_nothing_old() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(directory.path(), &clock);
    append(&store, 0..10);
    store.seal().unwrap();
    for wall in [BEGAN * 2, 0, u64::MAX] {
        clock.set_wall(wall);
        let done = store.retain(&older_than(HOUR)).unwrap();
        assert_eq!((done.segments_removed, done.clock_held), (0, false));
    }
    clock.advance(HOUR);
    assert_eq!(store.retain(&older_than(HOUR)).unwrap().segments_removed, 1);
}

#[test]
fn a_wall_clock_that_jumps_while_the_store_is_closed_makes_nothing_old_until_it_is_accepted() {
    let years = 10 * 365 * DAY.as_nanos() as u64;
    for wall in [BEGAN + years, BEGAN - years, 0, u64::MAX] {
        let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
        let store = open(directory.path(), &clock);
        append(&store, 0..10);
        store.seal().unwrap();
        store.close().unwrap();
        clock.set_wall(wall);
        for _ in 0..2 {
            let store = open(directory.path(), &clock);
            let notes = &store.recovery().notes;
            assert!(notes.iter().any(|note| note.contains("--accept-clock")), "{notes:?}");
            let done = store.retain(&older_than(HOUR)).unwrap();
            assert_eq!((done.segments_removed, done.clock_held), (0, true), "wall {wall}");
            store.close().unwrap();
        }
        let store = open(directory.path(), &clock);
        store.accept_clock().unwrap();
        let forward = u64::from(wall > BEGAN);
        let done = store.retain(&older_than(HOUR)).unwrap();
        assert_eq!((done.segments_removed, done.clock_held), (forward, false), "wall {wall}");
        store.close().unwrap();
        let store = open(directory.path(), &clock);
        assert_eq!(store.recovery().notes, [""; 0], "it stays accepted");
    }
}

#[test]
fn an_accepted_clock_survives_a_crash() {
    let (disk, clock) = (SimulatedDisk::new(1), clock());
    let store = open_on(&disk, &clock);
    store.close().unwrap();
    clock.advance(30 * DAY);
    let store = open_on(&disk, &clock);
    store.accept_clock().unwrap();
    let disk = disk.crash_image(CrashChoice::LoseUnsynced);
    drop(store);
    assert!(!open_on(&disk, &clock).retain(&Retention::new()).unwrap().clock_held);
}

#[test]
fn seven_days_away_count_and_a_moment_more_does_not() {
    for (more, removed) in [(0, 1), (1, 0)] {
        let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
        let store = open(directory.path(), &clock);
        append(&store, 0..10);
        store.seal().unwrap();
        store.close().unwrap();
        clock.advance(7 * DAY + Duration::from_nanos(more));
        let done = open(directory.path(), &clock).retain(&older_than(7 * DAY)).unwrap();
        assert_eq!((done.segments_removed, done.clock_held), (removed, more > 0));
    }
}

#[test]
fn the_oldest_segments_go_until_the_bytes_are_met_and_not_one_more() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(directory.path(), &clock);
    for part in 0..5 {
        append(&store, part * 100..(part + 1) * 100);
        store.seal().unwrap();
    }
    let total = store.stats().unwrap().bytes_on_disk;
    let sizes = segment_bytes(directory.path());
    assert_eq!(store.retain(&Retention::new().max_bytes(total + 1_000)).unwrap().segments_removed, 0);
    let limit = total - sizes[0].1 - sizes[1].1 / 2;
    let done = store.retain(&Retention::new().max_bytes(limit)).unwrap();
    assert_eq!((done.segments_removed, done.rows_removed), (2, 200));
    assert!(done.bytes_on_disk <= limit && done.bytes_on_disk == store.stats().unwrap().bytes_on_disk);
    assert_eq!(numbers(&store), (200..500).collect());
}

#[test]
fn a_log_above_the_limit_is_sealed_before_anything_goes() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(directory.path(), &clock);
    append(&store, 0..100);
    store.seal().unwrap();
    append(&store, 100..3_000);
    let stats = store.stats().unwrap();
    let limit = stats.log_bytes;
    assert!(stats.bytes_on_disk > limit);
    let done = store.retain(&Retention::new().max_bytes(limit)).unwrap();
    assert!(done.bytes_on_disk <= limit, "{done:?}");
    assert_eq!((done.segments_removed, count(&store)), (0, 3_000), "as segments they take less");
    let done = store.retain(&Retention::new().max_bytes(1)).unwrap();
    assert_eq!((done.segments_removed, count(&store)), (2, 0));
    assert!(done.bytes_on_disk < 10_000, "the files that make a store: {done:?}");
}

#[test]
fn appends_that_wait_for_room_get_it_whatever_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let builder = Store::builder(directory.path()).durability(Durability::Buffered).memory_budget_bytes(256 << 10);
    let store = builder.retention(Retention::new().max_bytes(1).max_age(Duration::ZERO)).open().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let store = &store;
            scope.spawn(move || {
                for batch in 0..60 {
                    let first = (thread * 60 + batch) * 50;
                    assert_eq!(append(store, first..first + 50), 50);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..20 {
                store.retain(&Retention::new().max_bytes(1)).unwrap();
            }
        });
    });
    assert_eq!(store.retention_problem(), None);
    store.retain(&Retention::new().max_bytes(1)).unwrap();
    assert_eq!(count(&store), 0);
    store.close().unwrap();
}

#[test]
fn an_open_store_keeps_to_its_settings_by_itself() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let builder = Store::builder(directory.path()).clock(clock.clone()).seal_automatically(false);
    let store = builder.retention(older_than(HOUR)).open().unwrap();
    append(&store, 0..10);
    store.seal().unwrap();
    clock.advance(HOUR);
    append(&store, 10..20);
    store.seal().unwrap();
    while count(&store) > 10 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(store.retention_problem(), None);
    store.close().unwrap();
}

#[test]
fn a_snapshot_reads_on_and_the_disk_is_free_when_it_lets_go() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(directory.path(), &clock);
    append(&store, 0..500);
    store.seal().unwrap();
    let snapshot = store.snapshot();
    let failed = store.find(&Query::new().error().limit(0)).unwrap().traces;
    clock.advance(HOUR);
    assert_eq!(store.retain(&older_than(HOUR)).unwrap().rows_removed, 500);
    assert_eq!(segment_bytes(directory.path()), [], "the name is gone");
    assert_eq!(count(&store), 0);
    assert_eq!(snapshot.spans().map(|trace| trace.unwrap().len()).sum::<usize>(), 500);
    assert!(failed.len() > 10 && snapshot.find(&Query::new().error().limit(0)).unwrap().traces == failed);
    let mapped = |name: &str| {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        maps.lines().any(|line| line.contains(name) && line.contains(".seg"))
    };
    let name = directory.path().file_name().unwrap().to_str().unwrap();
    assert!(mapped(name) || !cfg!(target_os = "linux"));
    drop(snapshot);
    assert!(!mapped(name), "the bytes are still held");
}

#[test]
fn a_store_opened_read_only_lets_nothing_go() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(directory.path(), &clock);
    append(&store, 0..10);
    store.close().unwrap();
    let reader = Store::builder(directory.path()).read_only().retention(older_than(Duration::ZERO)).open().unwrap();
    assert!(reader.retain(&older_than(HOUR)).unwrap_err().to_string().contains("read-only"));
    assert!(reader.accept_clock().unwrap_err().to_string().contains("read-only"));
    assert_eq!(count(&reader), 10);
}

#[test]
fn what_a_rule_keeps_stays_whole_traces_long_and_the_rest_goes_first() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(directory.path(), &clock);
    // Traces lie in both segments.
    append(&store, 0..103);
    store.seal().unwrap();
    append(&store, 103..200);
    store.seal().unwrap();
    let failed: BTreeSet<TraceId> = (0..200).map(numbered::span).filter(Span::is_error).map(|s| s.trace_id).collect();
    let kept = (0..200).filter(|n| failed.contains(&numbered::span(*n).trace_id)).collect::<Vec<_>>();
    let keep = older_than(DAY).keep(Query::new().error(), 90 * DAY);
    clock.advance(DAY);
    let done = store.retain(&keep).unwrap();
    assert_eq!((done.segments_removed, done.segments_rewritten), (0, 2));
    assert_eq!(done.rows_removed, 200 - kept.len() as u64);
    let left = |store: &Store| numbers(store).into_iter().collect::<Vec<_>>();
    assert_eq!(left(&store), kept);
    let done = store.retain(&keep).unwrap();
    assert_eq!((done.segments_rewritten, done.rows_removed), (0, 0), "what stays is not written again");
    store.close().unwrap();
    let store = open(directory.path(), &clock);
    clock.advance(89 * DAY - Duration::from_nanos(1));
    assert_eq!((store.retain(&keep).unwrap().rows_removed, left(&store)), (0, kept.clone()));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(store.retain(&keep).unwrap().rows_removed, kept.len() as u64);
    assert_eq!(left(&store), [0; 0]);
}

#[test]
fn against_the_bytes_what_no_rule_keeps_goes_first() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(directory.path(), &clock);
    for part in 0..4 {
        append(&store, part * 500..(part + 1) * 500);
        store.seal().unwrap();
        clock.advance(HOUR);
    }
    let failed = || {
        let mut ids: Vec<TraceId> =
            store.find(&Query::new().error().limit(0)).unwrap().traces.iter().map(|t| t.trace_id).collect();
        ids.sort_unstable();
        ids
    };
    let all = failed();
    let (total, sizes) = (store.stats().unwrap().bytes_on_disk, segment_bytes(directory.path()));
    let mut keep = Retention::new().keep(Query::new().error(), DAY);
    keep = keep.keep(Query::new().service(numbered::SERVICE), HOUR);
    let keep = |limit: u64| keep.clone().max_bytes(limit);
    let done = store.retain(&keep(total - sizes[0].1 / 10)).unwrap();
    assert_eq!((done.segments_removed, done.segments_rewritten, failed()), (0, 1, all.clone()));
    let done = store.retain(&keep(done.bytes_on_disk - 1)).unwrap();
    assert_eq!((done.segments_removed, done.segments_rewritten, failed()), (0, 1, all.clone()));
    let done = store.retain(&keep(20_000)).unwrap();
    assert_eq!(done.segments_rewritten, 2, "all of them before a kept trace goes");
    assert!(done.segments_removed > 0 && done.bytes_on_disk <= 20_000, "{done:?}");
    assert!(failed().len() < all.len() && failed().iter().all(|id| all.contains(id)));
}

/// What can happen.
#[derive(Clone, Debug)]
enum Event {
    /// Appends spans of the pool as one batch.
    Append(Vec<Index>),
    Delete(Index),
    Seal,
    Advance(u32),
    /// With an age in hours.
    ByAge(u32),
    /// With an age in hours, and so many more for the traces that answer.
    Keeping(u32, Vec<(Ask, u32)>),
    /// With a share of the bytes there are, in percent.
    ByBytes(u64),
    Reopen,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => vec(any::<Index>(), 1..12).prop_map(Event::Append),
        1 => any::<Index>().prop_map(Event::Delete),
        3 => Just(Event::Seal),
        4 => (1..12u32).prop_map(Event::Advance),
        3 => (0..30u32).prop_map(Event::ByAge),
        3 => (0..20u32, vec((ask(), 0..30u32), 1..3)).prop_map(|(age, rules)| Event::Keeping(age, rules)),
        1 => (0..110u64).prop_map(Event::ByBytes),
        1 => Just(Event::Reopen),
    ]
}

/// Spans that are in one place since they were received.
#[derive(Debug, Default)]
struct Place {
    spans: Vec<Span>,
    last: u64,
}

/// A store, and where each of its spans lies.
struct Life<'p> {
    directory: &'p Path,
    clock: Arc<ManualClock>,
    now: u64,
    store: Option<Store>,
    pool: &'p [Span],
    segments: Vec<Place>,
    replayed: Place,
    head: Place,
    asks: &'p [Ask],
}

impl Life<'_> {
    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn places(&mut self) -> impl Iterator<Item = &mut Place> {
        self.segments.iter_mut().chain([&mut self.replayed, &mut self.head])
    }

    fn live(&mut self) -> Vec<Span> {
        self.places().flat_map(|place| place.spans.clone()).collect()
    }

    fn run(&mut self, event: &Event, state: &str) {
        match event {
            Event::Append(picks) => self.append(picks, state),
            Event::Delete(pick) => {
                let id = pick.get(self.pool).trace_id;
                self.store().delete(&[id]).unwrap();
                self.places().for_each(|place| place.spans.retain(|span| span.trace_id != id));
            }
            Event::Seal => {
                self.store().seal().unwrap();
                self.sealed(true);
            }
            Event::Advance(hours) => {
                self.clock.advance(*hours * HOUR);
                self.now += u64::from(*hours) * HOUR.as_nanos() as u64;
            }
            Event::ByAge(hours) => self.by_age(*hours, state),
            Event::Keeping(hours, rules) => self.keeping(*hours, rules, state),
            Event::ByBytes(percent) => self.by_bytes(*percent, state),
            Event::Reopen => self.reopen(),
        }
    }

    fn append(&mut self, picks: &[Index], state: &str) {
        let batch: Vec<Span> = picks.iter().map(|pick| pick.get(self.pool).clone()).collect();
        let known = self.live();
        let new = distinct(known.iter().chain(&batch)).split_off(known.len());
        let appended = self.store().append(&batch).unwrap();
        assert_eq!(appended.accepted, new.len() as u64, "{state}");
        if !new.is_empty() {
            self.head.last = self.now;
        }
        self.head.spans.extend(new);
    }

    fn sealed(&mut self, head: bool) {
        let head = if head { std::mem::take(&mut self.head) } else { Place::default() };
        let places = [std::mem::take(&mut self.replayed), head];
        self.segments.extend(places.into_iter().filter(|place| !place.spans.is_empty()));
    }

    fn by_age(&mut self, hours: u32, state: &str) {
        let done = self.store().retain(&older_than(hours * HOUR)).unwrap();
        let due = self.now - u64::from(hours) * HOUR.as_nanos() as u64;
        self.sealed(self.head.last <= due);
        let before = self.segments.len();
        self.segments.retain(|place| place.last > due);
        assert_eq!(done.segments_removed as usize, before - self.segments.len(), "{state}");
        self.check_bytes(&done, state);
    }

    fn keeping(&mut self, hours: u32, rules: &[(Ask, u32)], state: &str) {
        let mut retention = older_than(hours * HOUR);
        for (ask, more) in rules {
            retention = retention.keep(ask.query(), (hours + more) * HOUR);
        }
        let done = self.store().retain(&retention).unwrap();
        let now = self.now;
        let ago = |hours: u32| now - u64::from(hours) * HOUR.as_nanos() as u64;
        let due = ago(hours);
        let live = distinct(&self.live());
        let kept: Vec<(u64, BTreeSet<TraceId>)> = rules
            .iter()
            .map(|(ask, more)| {
                let answers = search(&live, &Ask { lenient: false, ..ask.clone() });
                (ago(hours + more), answers.into_iter().map(|answer| answer.trace_id).collect())
            })
            .collect();
        self.sealed(self.head.last <= due);
        let (mut removed, mut rewritten) = (0, 0);
        self.segments.retain_mut(|place| {
            if place.last > due {
                return true;
            }
            let before = place.spans.len();
            let keeps = |id| kept.iter().any(|(over, ids)| place.last > *over && ids.contains(&id));
            place.spans.retain(|span| keeps(span.trace_id));
            removed += u64::from(place.spans.is_empty());
            rewritten += u64::from(!place.spans.is_empty() && place.spans.len() < before);
            !place.spans.is_empty()
        });
        assert_eq!((done.segments_removed, done.segments_rewritten), (removed, rewritten), "{state}");
        self.check_bytes(&done, state);
    }

    fn by_bytes(&mut self, percent: u64, state: &str) {
        let sizes = segment_bytes(self.directory);
        let limit = self.store().stats().unwrap().bytes_on_disk * percent / 100;
        let done = self.store().retain(&Retention::new().max_bytes(limit)).unwrap();
        self.check_bytes(&done, state);
        let (left, removed) = (self.store().stats().unwrap().segments, done.segments_removed as usize);
        let has_sealed = left + done.segments_removed > self.segments.len() as u64;
        if has_sealed {
            self.sealed(true);
        }
        self.segments.drain(..removed);
        assert_eq!(left as usize, self.segments.len(), "{state}");
        assert!(done.bytes_on_disk <= limit || left == 0, "{state}: {done:?} with a limit of {limit}");
        if let Some((_, last_removed)) = sizes.get(removed.wrapping_sub(1)).filter(|_| !has_sealed) {
            assert!(done.bytes_on_disk + last_removed > limit, "{state}: more went than was needed");
        }
    }

    fn check_bytes(&self, done: &RetainSummary, state: &str) {
        assert_eq!(done.bytes_on_disk, self.store().stats().unwrap().bytes_on_disk, "{state}");
        assert!(!done.clock_held, "{state}");
    }

    fn reopen(&mut self) {
        self.store.take().unwrap().close().unwrap();
        self.store = Some(open(self.directory, &self.clock));
        let head = std::mem::take(&mut self.head);
        self.replayed.spans.extend(head.spans);
        self.replayed.last = self.now;
    }

    fn check(&mut self, state: &str) {
        let live = self.live();
        let mut expected = Expected::new(&live, self.asks, &[2]);
        assert_eq!(expected.span_count(), live.len() as u64, "{state}: the model holds a span twice");
        expected.check(self.store(), state);
        expected.check(&Store::open_read_only(self.directory).unwrap(), &format!("{state}, read beside"));
    }
}

fn live(pool: &[Span], events: &[Event], asks: &[Ask]) {
    if pool.is_empty() {
        return;
    }
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = Some(open(directory.path(), &clock));
    let directory = directory.path();
    let (segments, replayed, head) = (Vec::new(), Place::default(), Place::default());
    let mut life = Life { directory, clock, now: BEGAN, store, pool, segments, replayed, head, asks };
    for (at, event) in events.iter().enumerate() {
        let state = format!("event {at}, {event:?}");
        life.run(event, &state);
        if matches!(event, Event::ByAge(_) | Event::Keeping(..) | Event::ByBytes(_)) {
            life.check(&state);
        }
    }
    life.check("at the end");
    life.reopen();
    life.check("at the end, reopened");
}

fn cases() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse::<u32>().ok());
    ProptestConfig { cases: asked.unwrap_or(CASES), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn whatever_goes_the_answers_are_those_of_what_is_left(
        pool in spans(Recipe { spans: 1..40, traces: 6, zipkin_share: 0.3 }),
        events in vec(event(), 1..24),
        asks in vec(ask(), 4),
    ) {
        live(&pool, &events, &asks);
    }
}

//! A store in use for long: writers, a deleter, readers, sealing, merging, retention and reopening at once.
//!
//! Each writer has numbers of its own and keeps account of them: what was appended, when by the store's
//! clock, what was deleted. Readers ask for traces that cannot change any more and compare them. From time
//! to time everything pauses, the store is closed and opened, and all that is accounted for is checked. At
//! the end a store that is fed plainly with what is left answers the same.
//!
//! `TAILSPAN_SOAK_SECONDS` says how long; without it a few seconds. Prints seed, spans, checks, memory.

#[path = "common/numbered.rs"]
mod numbered;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use numbered::{SERVICE, TRACE_SPANS, number_of, span};
use tailspan::{Clock, Durability, ManualClock, Query, Retention, Span, Store, TraceId};

const SECONDS_DEFAULT: u64 = 6;
/// How often the store is closed and opened.
const LIVES: u64 = 6;
const WRITERS: u64 = 2;
const BATCH: u64 = 100;
/// Memory of the store: little, so that it seals and merges all the time.
const MEMORY_BYTES: usize = 8 << 20;
/// The store's time passes this much faster than ours.
const HASTE: u32 = 3_600;
/// Spans older than this go, by the store's time: ten seconds of ours.
const AGE_MAX: Duration = Duration::from_hours(10);
/// A writer that would be too far ahead of merging waits: the test is about order, not about speed.
const BATCH_PAUSE: Duration = Duration::from_millis(8);
/// Anonymous memory may grow by this much from a third of the time to the end.
const GROWTH_MAX_BYTES: u64 = 64 << 20;

fn seconds() -> u64 {
    let word = std::env::var("TAILSPAN_SOAK_SECONDS").ok();
    word.map_or(SECONDS_DEFAULT, |word| word.parse().expect("TAILSPAN_SOAK_SECONDS is a number"))
}

fn retention() -> Retention {
    Retention::new().max_age(AGE_MAX)
}

/// Scattered numbers from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)) >> 11) % end
    }
}

/// What one writer did. Its numbers are `first..next`, all of them appended.
struct Account {
    first: u64,
    next: u64,
    /// The store's time at which the batch from this number on was appended, at the earliest.
    received: BTreeMap<u64, u64>,
    /// Traces that were deleted, by their first number.
    deleted: BTreeSet<u64>,
}

impl Account {
    fn new(writer: u64) -> Self {
        let first = writer << 40;
        Self { first, next: first, received: BTreeMap::new(), deleted: BTreeSet::new() }
    }

    fn is_deleted(&self, number: u64) -> bool {
        self.deleted.contains(&(number / TRACE_SPANS))
    }

    fn received(&self, number: u64) -> u64 {
        self.received.range(..=number).next_back().map_or(0, |(_, received)| *received)
    }

    /// Forgets batches that must have gone long ago, so that the account itself stays small.
    fn forget_before(&mut self, time: u64) {
        let young =
            self.received.iter().find(|(_, received)| **received >= time).map_or(self.next, |(first, _)| *first);
        self.received = self.received.split_off(&young);
        self.first = young.max(self.first);
        self.deleted = self.deleted.split_off(&(self.first / TRACE_SPANS));
    }
}

struct Soak {
    directory: tempfile::TempDir,
    clock: Arc<ManualClock>,
    /// Held for reading by all who use the store, for writing while it is opened again.
    store: RwLock<Option<Store>>,
    accounts: Vec<Mutex<Account>>,
    ends: AtomicBool,
    checks: AtomicU64,
    appended: AtomicU64,
    deleted: AtomicU64,
}

impl Soak {
    fn open(&self) -> Store {
        let store = Store::builder(self.directory.path())
            .durability(Durability::Buffered)
            .memory_budget_bytes(MEMORY_BYTES)
            .retention(retention())
            .clock(self.clock.clone())
            .open()
            .unwrap();
        assert_eq!(store.recovery().damage, [""; 0]);
        store
    }

    /// Runs `act` on the store until the time is over.
    fn each(&self, mut act: impl FnMut(&Store)) {
        while !self.ends.load(Ordering::Relaxed) {
            let store = self.store.read().unwrap();
            act(store.as_ref().unwrap());
        }
    }

    fn write(&self, writer: u64, seed: u64) {
        let mut random = Random(seed ^ writer);
        self.each(|store| {
            let account = &self.accounts[writer as usize];
            let first = account.lock().unwrap().next;
            let spans: Vec<Span> = (first..first + BATCH).map(span).collect();
            let now = self.clock.now_unix_nanos();
            assert_eq!(store.append(&spans).unwrap().accepted, BATCH);
            let mut account = account.lock().unwrap();
            account.next = first + BATCH;
            account.received.insert(first, now);
            self.appended.fetch_add(BATCH, Ordering::Relaxed);
            if random.below(20) == 0 {
                self.append_again(store, &account, &mut random);
            }
            if random.below(40) == 0 {
                self.delete(store, &mut account, &mut random);
            }
            account.forget_before(now.saturating_sub(2 * AGE_MAX.as_nanos() as u64));
            drop(account);
            std::thread::sleep(BATCH_PAUSE);
        });
    }

    /// Delivers spans again that are there: nothing is new.
    fn append_again(&self, store: &Store, account: &Account, random: &mut Random) {
        let recent = account.first.max(account.next.saturating_sub(20 * BATCH));
        let first = recent + random.below(account.next - recent);
        let numbers = (first..(first + 20).min(account.next)).filter(|number| !account.is_deleted(*number));
        let spans: Vec<Span> = numbers.map(span).collect();
        let appended = store.append(&spans).unwrap();
        assert_eq!(appended.duplicates, spans.len() as u64, "spans from {first} on were new");
    }

    fn delete(&self, store: &Store, account: &mut Account, random: &mut Random) {
        let traces: Vec<u64> = (0..5)
            .map(|_| (account.first + random.below(account.next - account.first)) / TRACE_SPANS)
            // Of the last trace more spans come: they would be new.
            .filter(|trace| (trace + 1) * TRACE_SPANS <= account.next && *trace * TRACE_SPANS >= account.first)
            .collect();
        let ids: Vec<TraceId> = traces.iter().map(|trace| span(trace * TRACE_SPANS).trace_id).collect();
        store.delete(&ids).unwrap();
        self.deleted.fetch_add(ids.len() as u64, Ordering::Relaxed);
        account.deleted.extend(traces);
    }

    /// Asks for young traces and compares; searches; follows.
    fn read(&self, seed: u64) {
        let mut random = Random(seed);
        self.each(|store| {
            // Held while asking: what is deleted meanwhile would be missing rightly.
            let account = self.accounts[random.below(WRITERS) as usize].lock().unwrap();
            let recent = account.first.max(account.next.saturating_sub(100 * BATCH));
            if recent < account.next {
                let number = recent + random.below(account.next - recent);
                self.check_trace(store, &account, number / TRACE_SPANS);
            }
            drop(account);
            if random.below(50) == 0 {
                let found = store.find(&Query::new().service(SERVICE).error().limit(5)).unwrap();
                assert!(found.complete, "{:?}", found.reason);
                found.traces.iter().for_each(|trace| assert!(trace.matched_count > 0));
            }
            std::thread::sleep(Duration::from_millis(1));
        });
    }

    fn check_trace(&self, store: &Store, account: &Account, trace: u64) {
        let numbers = (trace * TRACE_SPANS).max(account.first)..((trace + 1) * TRACE_SPANS).min(account.next);
        let now = self.clock.now_unix_nanos();
        let spans = store.trace(span(numbers.start).trace_id).unwrap();
        let there: BTreeSet<u64> = spans.iter().map(|span| number_of(span).unwrap()).collect();
        assert_eq!(there.len(), spans.len(), "a span of trace {trace} is there twice");
        for number in numbers {
            let young = now.saturating_sub(account.received(number)) < AGE_MAX.as_nanos() as u64;
            if account.is_deleted(number) {
                assert!(!there.contains(&number), "span {number} was deleted");
            } else if young {
                assert!(there.contains(&number), "span {number} is missing");
            }
        }
        self.checks.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything that is accounted for, with nobody else at work and the clock standing still.
    fn check_all(&self, store: &Store) {
        // What is due goes now and not while it is counted.
        store.retain(&retention()).unwrap();
        let now = self.clock.now_unix_nanos();
        let accounts: Vec<_> = self.accounts.iter().map(|account| account.lock().unwrap()).collect();
        let mut young: u64 = accounts.iter().map(|account| self.young(account, now)).sum();
        let mut count = 0;
        for trace in store.spans() {
            for span in trace.unwrap() {
                let number = number_of(&span).unwrap();
                let account = &accounts[(number >> 40) as usize];
                assert!(number < account.next, "span {number} was never appended");
                assert!(!account.is_deleted(number), "span {number} was deleted");
                let is_young = now.saturating_sub(account.received(number)) < AGE_MAX.as_nanos() as u64;
                young -= u64::from(is_young && number >= account.first);
                count += 1;
            }
        }
        assert_eq!(young, 0, "young spans are missing");
        assert_eq!(store.stats().unwrap().spans, count);
    }

    fn young(&self, account: &Account, now: u64) -> u64 {
        let is_young = |number: &u64| now.saturating_sub(account.received(*number)) < AGE_MAX.as_nanos() as u64;
        (account.first..account.next).filter(|n| is_young(n) && !account.is_deleted(*n)).count() as u64
    }

    fn reopen(&self) {
        let mut store = self.store.write().unwrap();
        self.check_all(store.as_ref().unwrap());
        store.take().unwrap().close().unwrap();
        *store = Some(self.open());
        self.check_all(store.as_ref().unwrap());
    }

    /// A store that is fed plainly with what is there answers the same.
    fn equals_a_plain_store(&self) {
        let store = self.store.read().unwrap();
        let store = store.as_ref().unwrap();
        store.retain(&retention()).unwrap();
        store.merge_all().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let plain = Store::builder(directory.path()).durability(Durability::Buffered).open().unwrap();
        for trace in store.spans() {
            plain.append(&trace.unwrap()).map(drop).unwrap();
        }
        assert_eq!(store.services().unwrap(), plain.services().unwrap());
        assert_eq!(store.operations(None).unwrap(), plain.operations(None).unwrap());
        assert_eq!(store.attribute_values("even").unwrap(), plain.attribute_values("even").unwrap());
        let query = Query::new().service(SERVICE).error().limit(50);
        assert_eq!(store.find(&query).unwrap().traces, plain.find(&query).unwrap().traces);
        let difference = tailspan::compare_stores(&store.snapshot(), &plain.snapshot()).unwrap();
        assert_eq!((difference.only_in_a, difference.only_in_b), (0, 0));
    }
}

/// Anonymous memory of this process, in bytes.
fn anonymous_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}

#[test]
fn a_store_in_use_for_long_answers_right_and_its_memory_stays_flat() {
    let (seed, seconds) = (0x7a11_59a0, seconds());
    let soak = Soak {
        directory: tempfile::tempdir().unwrap(),
        clock: Arc::new(ManualClock::new(1_760_000_000_000_000_000)),
        store: RwLock::new(None),
        accounts: (0..WRITERS).map(|writer| Mutex::new(Account::new(writer))).collect(),
        ends: AtomicBool::new(false),
        checks: AtomicU64::new(0),
        appended: AtomicU64::new(0),
        deleted: AtomicU64::new(0),
    };
    *soak.store.write().unwrap() = Some(soak.open());
    let began = Instant::now();
    let early = AtomicU64::new(0);
    std::thread::scope(|scope| {
        // Whatever fails, the others must end.
        let ends = EndsAll(&soak.ends);
        for writer in 0..WRITERS {
            let soak = &soak;
            scope.spawn(move || EndsAll(&soak.ends).during(|| soak.write(writer, seed)));
            scope.spawn(move || EndsAll(&soak.ends).during(|| soak.read(seed + writer)));
        }
        scope.spawn(|| {
            while !soak.ends.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(10));
                let _not_while_it_is_checked = soak.store.read();
                soak.clock.advance(Duration::from_millis(10) * HASTE);
            }
        });
        for life in 1..=LIVES {
            let until = Duration::from_secs(seconds) * life as u32 / LIVES as u32;
            while began.elapsed() < until && !soak.ends.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            }
            soak.reopen();
            if life == LIVES / 3 {
                early.store(anonymous_bytes(), Ordering::Relaxed);
            }
        }
        drop(ends);
    });
    let late = anonymous_bytes();
    soak.equals_a_plain_store();
    let early = early.load(Ordering::Relaxed);
    let line = format!(
        "\nsoak seed={seed} seconds={seconds} appended={} deletedTraces={} checks={} lives={LIVES} memoryEarly={early} memoryLate={late}\n",
        soak.appended.load(Ordering::Relaxed),
        soak.deleted.load(Ordering::Relaxed),
        soak.checks.load(Ordering::Relaxed),
    );
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    assert!(late < early + GROWTH_MAX_BYTES, "anonymous memory grew from {early} to {late} bytes");
}

/// Ends all threads when it goes, also by a panic.
struct EndsAll<'f>(&'f AtomicBool);

impl EndsAll<'_> {
    fn during(self, work: impl FnOnce()) {
        work();
        drop(self);
    }
}

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

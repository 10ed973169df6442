//! Reading while writing: one load of appends four times, with more and more beside it.
//!
//! ```sh
//! cargo bench --bench mixed                 # 200,000 spans
//! cargo bench --bench mixed -- 3000000      # as many as you like; they are held in memory as OTLP
//! ```
//!
//! Each run appends the same messages, buffered, as fast as one thread can: without sealing; with sealing and merging;
//! with four threads that ask a question every ten milliseconds each; with four that ask without a pause, and so want
//! more processors than most machines have. Told are spans a second, latencies of appends and of lookups of traces
//! appended before, and what appends waited for. Nothing is asserted but that every lookup finds its whole trace.

mod common {
    pub mod calls;
    pub mod workload;
}

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use tailspan::{Durability, Order, Query, Snapshot, Store, TraceId, Work};

use common::calls::{SERVICES, SPANS_A_TRACE, messages};
use common::workload::{Dice, trace_id};

const READERS: u64 = 4;
/// Lookups of a reader for each search.
const LOOKUPS_A_SEARCH: u64 = 63;
/// Small enough that a short load is sealed too, and no more than the default.
const BUDGET_BYTES: std::ops::RangeInclusive<usize> = 8 << 20..=256 << 20;

/// What goes on in a run.
struct Plan {
    name: &'static str,
    seals: bool,
    readers: u64,
    /// Of each reader, between two questions.
    pause: Duration,
}

const PLANS: [Plan; 4] = [
    Plan { name: "appends alone, nothing sealed", seals: false, readers: 0, pause: Duration::ZERO },
    Plan { name: "sealing and merging", seals: true, readers: 0, pause: Duration::ZERO },
    Plan {
        name: "and readers, a question every 10 ms",
        seals: true,
        readers: READERS,
        pause: Duration::from_millis(10),
    },
    Plan { name: "and readers without a pause", seals: true, readers: READERS, pause: Duration::ZERO },
];

/// What a run showed; times are sorted.
struct Run {
    elapsed: Duration,
    appends: Vec<Duration>,
    answers: Answers,
    work: Work,
}

/// How long questions took.
#[derive(Default)]
struct Answers {
    lookups: Vec<Duration>,
    searches: Vec<Duration>,
}

fn main() {
    let spans = size();
    let messages = messages(0..spans / SPANS_A_TRACE);
    let input_bytes: usize = messages.iter().map(Vec::len).sum();
    println!("{spans} spans in {} messages, {} MB as OTLP", messages.len(), input_bytes / 1_000_000);
    let runs = PLANS.map(|plan| {
        let run = run(&plan, &messages, input_bytes);
        run.print(plan.name, spans);
        run
    });
    let [alone, sealing, paced, unpaced] = &runs;
    let kept = |run: &Run| 100.0 * sealing.elapsed.as_secs_f64() / run.elapsed.as_secs_f64();
    println!("\nwith readers, appends keep {:.0} % of their rate; {:.0} % without pauses", kept(paced), kept(unpaced));
    let added = quantile(&sealing.appends, 0.999).saturating_sub(quantile(&alone.appends, 0.999));
    println!("sealing and merging add {:.1} ms to an append at p99.9", millis(added));
}

/// Spans, from the command line. `cargo bench` adds a word of its own; without it this is a test that it runs.
fn size() -> u64 {
    let told = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let is_bench = std::env::args().any(|word| word == "--bench");
    told.unwrap_or(if is_bench { 200_000 } else { 5_000 })
}

fn run(plan: &Plan, messages: &[Vec<u8>], input_bytes: usize) -> Run {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let builder = Store::builder(directory.path()).durability(Durability::Buffered);
    let budget = match plan.seals {
        true => (input_bytes / 4).clamp(*BUDGET_BYTES.start(), *BUDGET_BYTES.end()),
        false => 1 << 40,
    };
    let store = builder.seal_automatically(plan.seals).memory_budget_bytes(budget).open().expect("a new store");
    let (appended, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let read = |reader| read(&store, Dice(reader), plan.pause, &appended, &ended);
        let readers: Vec<_> = (0..plan.readers).map(|reader| scope.spawn(move || read(reader))).collect();
        let began = Instant::now();
        let mut appends: Vec<Duration> = messages.iter().map(|message| append(&store, message, &appended)).collect();
        let elapsed = began.elapsed();
        ended.store(true, Relaxed);
        let mut answers = Answers::default();
        for reader in readers {
            let Answers { lookups, searches } = reader.join().expect("a reader ends");
            answers.lookups.extend(lookups);
            answers.searches.extend(searches);
        }
        for times in [&mut appends, &mut answers.lookups, &mut answers.searches] {
            times.sort_unstable();
        }
        Run { elapsed, appends, answers, work: store.work() }
    })
}

fn append(store: &Store, message: &[u8], appended: &AtomicU64) -> Duration {
    let began = Instant::now();
    let outcome = store.append_otlp(message).expect("the workload is sound");
    let took = began.elapsed();
    assert_eq!((outcome.rejected_count(), outcome.duplicates), (0, 0), "the workload is sound");
    appended.fetch_add(outcome.accepted / SPANS_A_TRACE, Relaxed);
    took
}

/// Looks up traces that were appended, each in a snapshot of its own, and searches now and then, until the writer
/// has ended.
fn read(store: &Store, mut dice: Dice, pause: Duration, appended: &AtomicU64, ended: &AtomicBool) -> Answers {
    let mut answers = Answers::default();
    while !ended.load(Relaxed) {
        thread::sleep(pause);
        let known = appended.load(Relaxed);
        if known == 0 {
            thread::yield_now();
            continue;
        }
        let began = Instant::now();
        if dice.next().is_multiple_of(LOOKUPS_A_SEARCH + 1) {
            search(&store.snapshot(), &mut dice);
            answers.searches.push(began.elapsed());
        } else {
            let id = TraceId::from_bytes(trace_id(dice.next() % known)).expect("ids are not zero");
            let spans = store.trace(id).expect("the store is sound");
            answers.lookups.push(began.elapsed());
            assert_eq!(spans.len() as u64, SPANS_A_TRACE, "what was acknowledged is found");
        }
    }
    answers
}

fn search(snapshot: &Snapshot, dice: &mut Dice) {
    let service = SERVICES[(dice.next() % SERVICES.len() as u64) as usize];
    let order = if dice.next().is_multiple_of(2) { Order::Newest } else { Order::Slowest };
    let query = Query::new().service(service).min_duration(Duration::from_millis(50)).order(order).limit(20);
    assert!(snapshot.find(&query).expect("the query is sound").complete);
}

impl Run {
    fn print(&self, name: &str, spans: u64) {
        let (seconds, work) = (self.elapsed.as_secs_f64(), &self.work);
        println!("\n{name}: {:.0} thousand spans a second", spans as f64 / seconds / 1e3);
        println!(
            "  seconds: {seconds:.2} in all; appending {:.2}, waiting for the head {:.2}; beside them sealing {:.2}, merging {:.2}",
            work.appending.as_secs_f64(),
            work.waiting_for_room.as_secs_f64(),
            work.sealing.as_secs_f64(),
            work.merging.as_secs_f64(),
        );
        let Answers { lookups, searches } = &self.answers;
        for (what, times) in [("append", &self.appends), ("lookup", lookups), ("search", searches)] {
            if !times.is_empty() {
                let [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1.0].map(|q| millis(quantile(times, q)));
                let count = times.len();
                println!("  {what}, ms: p50 {p50:.3}, p99 {p99:.3}, p99.9 {p999:.3}, the slowest of {count} {max:.3}");
            }
        }
    }
}

/// The value of rank ceil(q * n) of sorted values; 0 of none.
fn quantile(sorted: &[Duration], q: f64) -> Duration {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

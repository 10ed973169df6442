//! Growth: one store that becomes ten times larger again and again, and what that costs those who ask.
//!
//! ```sh
//! cargo bench --bench growth                              # 100,000, 1 M spans: half a minute
//! cargo bench --bench growth -- 1000000 10000000 100000000 --plots docs/growth
//! ```
//!
//! At each size the store is settled, closed and opened again. Told are: looking up a trace by its id and one that is
//! not there; the newest twenty traces of a service that took long; opening; bytes a span on disk; how often each span
//! was written (log, sealing, merging). With `--plots` each becomes a picture in that folder.

mod common {
    pub mod calls;
    pub mod workload;
}
mod plot;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tailspan::{Durability, Order, Query, Store, TraceId, Work};

use common::calls::{SERVICES, SPANS_A_TRACE, messages};
use common::workload::{Dice, trace_id};
use plot::{Plot, Series};

/// Traces that are made and appended at once.
const CHUNK_TRACES: u64 = 20_000;
/// Lookups and searches, of which the median counts.
const LOOKUPS: u64 = 2_000;
const SEARCHES: u64 = 200;
/// Times the store is opened.
const OPENINGS: usize = 9;

/// What a store of one size showed.
struct Figures {
    spans: u64,
    lookup: Duration,
    lookup_p99: Duration,
    miss: Duration,
    newest: Duration,
    opening: Duration,
    bytes_a_span: f64,
    written: f64,
}

fn main() {
    let (sizes, plots) = arguments();
    let directory = tempfile::tempdir().expect("a directory for the store");
    let (mut traces, mut work) = (0, 0);
    let mut figures = Vec::new();
    for spans in sizes {
        let begun = Instant::now();
        let wanted = spans / SPANS_A_TRACE;
        work += grow(directory.path(), traces..wanted);
        traces = wanted;
        let grown = begun.elapsed();
        let found = measure(directory.path(), traces, work);
        println!(
            "{:>11} spans ({:.0?} to grow): trace {:.1?} (p99 {:.1?}), none {:.2?}, newest 20 {:.1?}, opening {:.2?}, {:.2} bytes a span, written {:.2} times",
            found.spans,
            grown,
            found.lookup,
            found.lookup_p99,
            found.miss,
            found.newest,
            found.opening,
            found.bytes_a_span,
            found.written
        );
        figures.push(found);
    }
    if let Some(folder) = plots {
        draw(&figures, &folder);
    }
}

/// The sizes in spans, ascending, and the folder for plots.
fn arguments() -> (Vec<u64>, Option<PathBuf>) {
    let (mut sizes, mut plots) = (Vec::new(), None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--plots" => plots = words.next().map(PathBuf::from),
            // What cargo adds.
            "--bench" | "--test" => {}
            word => sizes.push(word.parse().expect("a size is a number of spans")),
        }
    }
    if sizes.is_empty() {
        sizes = vec![100_000, 1_000_000];
    }
    sizes.sort_unstable();
    (sizes, plots)
}

/// Appends these traces and lets the store settle; how many spans were written for it, again and again.
fn grow(directory: &Path, traces: std::ops::Range<u64>) -> u64 {
    let store = Store::builder(directory).durability(Durability::Buffered).open().expect("the store opens");
    let mut first = traces.start;
    while first < traces.end {
        let next = (first + CHUNK_TRACES).min(traces.end);
        for message in messages(first..next) {
            let appended = store.append_otlp(&message).expect("the workload is sound");
            assert_eq!(appended.rejected_count(), 0, "the workload is sound");
        }
        first = next;
    }
    store.seal().expect("the head is sealed");
    store.settle().expect("segments are merged");
    let Work { log_spans, sealed_spans, merged_spans, .. } = store.work();
    store.close().expect("the store closes");
    log_spans + sealed_spans + merged_spans
}

fn measure(directory: &Path, traces: u64, written: u64) -> Figures {
    let mut openings: Vec<Duration> =
        (0..OPENINGS).map(|_| timed(|| Store::open(directory).expect("the store opens")).0).collect();
    openings.sort_unstable();
    let store = Store::open(directory).expect("the store opens");
    let mut dice = Dice(7);
    let id = |bytes: [u8; 16]| TraceId::from_bytes(bytes).expect("ids are not zero");
    let mut lookup = |_| {
        let trace = id(trace_id(dice.next() % traces));
        let (elapsed, spans) = timed(|| store.trace(trace).expect("the trace is read"));
        assert_eq!(spans.len() as u64, SPANS_A_TRACE, "every trace is whole");
        elapsed
    };
    // The first reads bring pages to memory.
    for at in 0..LOOKUPS / 10 {
        lookup(at);
    }
    let lookups = sorted((0..LOOKUPS).map(lookup));
    // No trace has so large a number.
    let mut dice = Dice(1 << 60);
    let misses = sorted((0..LOOKUPS).map(|_| {
        let trace = id((u128::from(dice.next()) << 64 | u128::from(dice.next())).to_be_bytes());
        let (elapsed, spans) = timed(|| store.trace(trace).expect("nothing is read"));
        assert!(spans.is_empty(), "no such trace was appended");
        elapsed
    }));
    let newest = sorted((0..SEARCHES).map(|at| {
        let service = SERVICES[at as usize % SERVICES.len()];
        let query =
            Query::new().service(service).min_duration(Duration::from_millis(100)).order(Order::Newest).limit(20);
        let (elapsed, found) = timed(|| store.find(&query).expect("the store is searched"));
        assert_eq!(found.traces.len(), 20, "there are slow calls of every service");
        elapsed
    }));
    let stats = store.stats().expect("the store is counted");
    assert_eq!(stats.spans, traces * SPANS_A_TRACE);
    Figures {
        spans: stats.spans,
        lookup: lookups[lookups.len() / 2],
        lookup_p99: lookups[lookups.len() * 99 / 100],
        miss: misses[misses.len() / 2],
        newest: newest[newest.len() / 2],
        opening: openings[OPENINGS / 2],
        bytes_a_span: stats.bytes_on_disk as f64 / stats.spans as f64,
        written: written as f64 / stats.spans as f64,
    }
}

fn timed<T>(act: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let made = act();
    (begun.elapsed(), made)
}

fn sorted(times: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times
}

fn draw(figures: &[Figures], folder: &Path) {
    std::fs::create_dir_all(folder).expect("the folder for plots");
    let of = |name: &str, value: &dyn Fn(&Figures) -> f64| Series {
        name: name.to_owned(),
        points: figures.iter().map(|found| (found.spans as f64, value(found))).collect(),
    };
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let plots = [
        (
            "lookup.svg",
            "Trace by id, microseconds",
            vec![
                of("median", &|f| micros(f.lookup)),
                of("p99", &|f| micros(f.lookup_p99)),
                of("not there, median", &|f| micros(f.miss)),
            ],
        ),
        ("newest.svg", "Newest 20 slow traces of a service, microseconds", vec![of("median", &|f| micros(f.newest))]),
        ("opening.svg", "Opening, milliseconds", vec![of("median", &|f| micros(f.opening) / 1e3)]),
        ("written.svg", "Times each span was written", vec![of("log, sealing, merging", &|f| f.written)]),
        ("bytes.svg", "Bytes a span on disk", vec![of("all files", &|f| f.bytes_a_span)]),
    ];
    for (file, title, series) in plots {
        let plot = Plot { title: title.to_owned(), across: "spans in the store".to_owned(), series };
        std::fs::write(folder.join(file), plot.svg()).expect("the plot is written");
    }
}

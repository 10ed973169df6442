//! A tail shows every live distinct span once, in the order of appends, wherever the spans lie by now.
//!
//! The model is a list: what was accepted, in order. A span's sequence is its index there, so that gaps are
//! exactly what was deleted. A tail that is left and taken up again from the text of its cursor goes on where
//! it stood, in the store that writes and in one that only reads beside it.

mod common {
    pub mod spans;
    pub mod values;
}
#[path = "common/numbered.rs"]
mod numbered;

use std::path::Path;
use std::time::Duration;

use common::spans::{Recipe, spans};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tailspan::{Durability, ErrorKind, Span, Store, Tail, TailCursor, TailedSpan, TraceId};

/// Cases unless the environment says how many.
const CASES: u32 = 32;

fn open(directory: &Path) -> Store {
    let builder = Store::builder(directory).durability(Durability::Buffered).seal_automatically(false);
    builder.block_rows(1024).open().unwrap()
}

/// What was accepted, in order; deleted spans are gone but keep their place.
#[derive(Default)]
struct Model(Vec<Option<Span>>);

impl Model {
    fn append(&mut self, store: &Store, batch: &[Span]) {
        let before = self.0.len();
        for span in batch {
            if !self.0.iter().flatten().any(|known| known == span) {
                self.0.push(Some(span.clone()));
            }
        }
        assert_eq!(store.append(batch).unwrap().accepted, (self.0.len() - before) as u64);
    }

    fn delete(&mut self, store: &Store, id: TraceId) {
        store.delete(&[id]).unwrap();
        self.0.iter_mut().filter(|span| span.as_ref().is_some_and(|s| s.trace_id == id)).for_each(|span| *span = None);
    }

    /// What a tail shows that has passed `from` sequences.
    fn live_from(&self, from: u64) -> Vec<(u64, Span)> {
        let live = (0..).zip(&self.0).filter_map(|(sequence, span)| Some((sequence, span.clone()?)));
        live.filter(|(sequence, _)| *sequence >= from).collect()
    }
}

fn pairs(tail: impl Iterator<Item = tailspan::Result<TailedSpan>>) -> Vec<(u64, Span)> {
    tail.map(|tailed| tailed.unwrap()).map(|tailed| (tailed.sequence.0, tailed.span)).collect()
}

/// A tail and how much of the model it has passed.
struct Follower {
    tail: Tail,
    passed: u64,
}

impl Follower {
    fn resume(store: &Store, cursor: &str, passed: u64) -> Self {
        Self { tail: store.tail(cursor.parse().unwrap()).unwrap(), passed }
    }

    /// Takes up to so many spans, each as the model says.
    fn take(&mut self, model: &Model, count: usize) {
        let wanted: Vec<_> = model.live_from(self.passed).into_iter().take(count).collect();
        let got: Vec<_> = pairs(self.tail.by_ref().take(count));
        assert_eq!(got, wanted);
        if let Some((last, _)) = got.last() {
            self.passed = last + 1;
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Seal,
    Merge,
    Delete(Index),
    Reopen,
    Take(usize),
    Resume,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..40usize).prop_map(Step::Append),
        2 => Just(Step::Seal),
        1 => Just(Step::Merge),
        1 => any::<Index>().prop_map(Step::Delete),
        1 => Just(Step::Reopen),
        3 => (1..60usize).prop_map(Step::Take),
        1 => Just(Step::Resume),
    ]
}

fn follows(arriving: &[Span], steps: &[Step]) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let reader = Store::open_read_only(directory.path()).unwrap();
    let mut model = Model::default();
    let mut left = arriving;
    let mut follower = Follower::resume(&store, &TailCursor::OLDEST.to_string(), 0);
    for step in steps {
        match step {
            Step::Append(count) => {
                let (batch, rest) = left.split_at((*count).min(left.len()));
                left = rest;
                model.append(&store, batch);
            }
            Step::Seal => drop(store.seal().unwrap()),
            Step::Merge => drop(store.merge_all().unwrap()),
            Step::Take(count) => follower.take(&model, *count),
            Step::Delete(_) if model.0.is_empty() => {}
            Step::Delete(index) => {
                if let Some(span) = &model.0[index.index(model.0.len())] {
                    let id = span.trace_id;
                    model.delete(&store, id);
                }
                // What it had read ahead may be dead now.
                follower = Follower::resume(&store, &follower.tail.cursor().to_string(), follower.passed);
            }
            Step::Reopen => {
                let cursor = follower.tail.cursor().to_string();
                store.close().unwrap();
                store = open(directory.path());
                follower = Follower::resume(&store, &cursor, follower.passed);
            }
            Step::Resume => {
                follower = Follower::resume(&store, &follower.tail.cursor().to_string(), follower.passed);
            }
        }
        reader.refresh().unwrap();
        let beside = Follower::resume(&reader, &follower.tail.cursor().to_string(), follower.passed);
        assert_eq!(pairs(beside.tail), model.live_from(follower.passed), "read beside after {step:?}");
    }
    follower.take(&model, usize::MAX);
    assert_eq!(pairs(store.tail(TailCursor::OLDEST).unwrap()), model.live_from(0));
}

fn cases() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(CASES), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_tail_is_the_list_of_what_was_accepted(
        arriving in spans(Recipe { spans: 0..200, traces: 12, zipkin_share: 0.3 }),
        steps in vec(step(), 1..40),
    ) {
        follows(&arriving, &steps);
    }
}

/// Numbers of a tail's spans.
fn numbers(tail: Tail) -> Vec<u64> {
    pairs(tail).iter().map(|(_, span)| numbered::number_of(span).unwrap()).collect()
}

#[test]
fn many_windows_are_walked_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    // Appended in an order that scatters each trace over several windows and segments.
    let count = 40_000;
    let arriving: Vec<u64> = (0..count).map(|n| n * 7 % count).collect();
    for (position, batch) in arriving.chunks(5_000).enumerate() {
        let spans: Vec<Span> = batch.iter().map(|n| numbered::span(*n)).collect();
        assert_eq!(store.append(&spans).unwrap().accepted, 5_000);
        if position % 3 == 2 {
            store.seal().unwrap();
        }
    }
    assert_eq!(numbers(store.tail(TailCursor::OLDEST).unwrap()), arriving);
    store.seal().unwrap();
    assert_eq!(numbers(store.tail(TailCursor::OLDEST).unwrap()), arriving);
}

/// A span of one trace of many.
fn of_one_trace(number: u64) -> Span {
    let trace_id = TraceId::from_halves(5, 5).unwrap();
    Span { trace_id, ..numbered::span(number) }
}

#[test]
fn a_huge_trace_is_shown_in_order_and_a_record_kept_twice_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let first: Vec<Span> = (0..6_000).map(of_one_trace).collect();
    for batch in first.chunks(100) {
        assert_eq!(store.append(batch).unwrap().accepted, 100);
    }
    store.seal().unwrap();
    // Too large to be compared with when it arrives again: kept twice.
    let again: Vec<Span> = (5_990..6_010).map(of_one_trace).collect();
    assert_eq!(store.append(&again).unwrap().accepted, 20);
    let wanted: Vec<Span> = (0..6_010).map(of_one_trace).collect();
    for state in ["late in the head", "late in a segment", "merged"] {
        let shown: Vec<Span> =
            pairs(store.tail(TailCursor::OLDEST).unwrap()).into_iter().map(|(_, span)| span).collect();
        assert!(shown == wanted, "{state}: {} spans", shown.len());
        if state == "late in a segment" {
            store.merge_all().unwrap();
        } else {
            store.seal().unwrap();
        }
    }
}

#[test]
fn a_tail_waits_for_what_is_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let reader = Store::open_read_only(directory.path()).unwrap();
    let mut tails = [store.tail(TailCursor::OLDEST).unwrap(), reader.tail(TailCursor::OLDEST).unwrap()];
    for tail in &mut tails {
        assert!(tail.next().is_none());
        assert!(!tail.wait(Duration::ZERO).unwrap());
    }
    std::thread::scope(|scope| {
        scope.spawn(|| store.append([&numbered::span(1)]).unwrap().accepted);
        for tail in &mut tails {
            let batch = tail.next_batch(Duration::from_secs(30)).unwrap();
            assert_eq!(batch.iter().map(|tailed| tailed.span.clone()).collect::<Vec<_>>(), [numbered::span(1)]);
            assert_eq!(batch[0].cursor, tail.cursor());
        }
    });
    store.close().unwrap();
    assert_eq!(tails[0].wait(Duration::from_secs(30)).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_cursor_of_another_store_or_from_beyond_the_end_is_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) = (open(one.path()), open(other.path()));
    assert_eq!(one.append([&numbered::span(1)]).unwrap().accepted, 1);
    let mut tail = one.tail(TailCursor::OLDEST).unwrap();
    let cursor = tail.next().unwrap().unwrap().cursor;
    let error = other.tail(cursor).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("is of store"), "{error}");
    let text = cursor.to_string();
    let (place, _) = text.rsplit_once('-').unwrap();
    let error = one.tail(format!("{place}-5").parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("beyond the store's end"), "{error}");
}

/// Changes a byte of a segment's parity, which stands before the last directory, so that nothing is mended.
fn spoil_parity(segment: &mut [u8]) {
    let footer = segment.len() - 24;
    let directory = u64::from_le_bytes(segment[footer..footer + 8].try_into().unwrap());
    segment[directory as usize - 1] ^= 1;
}

#[test]
fn damage_hides_what_it_touches_and_the_tail_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let spans: Vec<Span> = (0..3_000).map(numbered::span).collect();
    assert_eq!(store.append(&spans).unwrap().accepted, 3_000);
    store.seal().unwrap();
    store.close().unwrap();
    let segment = std::fs::read_dir(directory.path().join("seg")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&segment).unwrap();
    // Span ids come first: one page of them.
    bytes[40 + 100] ^= 1;
    spoil_parity(&mut bytes);
    std::fs::write(&segment, bytes).unwrap();
    let reader = Store::open_read_only(directory.path()).unwrap();
    let (good, bad): (Vec<_>, Vec<_>) = reader.tail(TailCursor::OLDEST).unwrap().partition(Result::is_ok);
    // And the next row: whose child it is stood in that page.
    assert_eq!((good.len(), bad.len()), (3_000 - 1_025, 1_025));
}

#[test]
fn a_reader_beside_a_busy_writer_misses_nothing_and_finds_nothing_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let reader = Store::open_read_only(directory.path()).unwrap();
    let mut tail = reader.tail(TailCursor::OLDEST).unwrap();
    let (rounds, each) = (120, 30);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for round in 0..rounds {
                let spans: Vec<Span> = (round * each..(round + 1) * each).map(numbered::span).collect();
                assert_eq!(store.append(&spans).unwrap().accepted, each);
                match round % 5 {
                    4 => drop(store.merge_all().unwrap()),
                    1 | 3 => drop(store.seal().unwrap()),
                    _ => {}
                }
            }
        });
        let mut followed = Vec::new();
        let mut done = false;
        while !done {
            done = writing.is_finished();
            reader.refresh().unwrap();
            followed.extend(tail.by_ref().map(|tailed| numbered::number_of(&tailed.unwrap().span).unwrap()));
            let opened = Store::open_read_only(directory.path()).unwrap();
            assert_eq!(opened.recovery().damage, [""; 0]);
        }
        assert_eq!(followed, (0..rounds * each).collect::<Vec<_>>());
    });
}

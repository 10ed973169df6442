//! The rules of the path, each on a trace of a few spans.

use crate::model::Span;
use crate::query::fixture::span;
use crate::query::{SpanRows, Tree, TreeRows};

use super::path::PathFinder;

/// What was found of a trace: span ids of the pieces with their times, in order; late span ids; self times by id.
struct Found {
    path: Vec<(u64, u64, u64)>,
    late: Vec<u64>,
    own: Vec<(u64, u64)>,
}

fn found(spans: &[Span]) -> Found {
    let (mut order, mut rows, mut finder) = (SpanRows::default(), TreeRows::default(), PathFinder::default());
    order.read(spans, &[], &mut rows);
    finder.find(&mut Tree::of_spans(spans, &order, &rows)).unwrap();
    let id = |row: u32| spans[order.positions[row as usize] as usize].span_id.get();
    finder.pieces.sort_by_key(|piece| piece.from);
    let path: Vec<_> = finder.pieces.iter().map(|piece| (id(piece.row), piece.from, piece.to)).collect();
    assert!(path.windows(2).all(|pair| pair[0].2 == pair[1].1), "{path:?}");
    let late = finder.late(&rows).into_iter().map(id).collect();
    let own = (0..rows.len() as u32).map(|row| (id(row), finder.self_time(row, &rows))).collect();
    Found { path, late, own }
}

fn path(spans: &[Span]) -> Vec<(u64, u64, u64)> {
    found(spans).path
}

#[test]
fn the_child_that_ends_last_is_taken_and_one_that_overlaps_it_passed_over() {
    let spans = [
        span(1, 1).at(10, 110),
        span(1, 2).at(20, 50).child_of(1),
        span(1, 3).at(40, 70).child_of(1),
        span(1, 4).at(70, 90).child_of(1),
        span(1, 5).at(12, 15).child_of(1),
    ];
    let wanted = [(1, 10, 12), (5, 12, 15), (1, 15, 40), (3, 40, 70), (4, 70, 90), (1, 90, 110)];
    assert_eq!(path(&spans), wanted);
    let own = found(&spans).own;
    assert_eq!(own, [(1, 100 - 3 - 70), (5, 3), (2, 30), (3, 30), (4, 20)]);
}

#[test]
fn of_equal_ends_the_later_start_and_then_the_smaller_id_is_taken() {
    let root = span(1, 1).at(10, 20);
    let two = |a: Span, b: Span| path(&[root.clone(), a.child_of(1), b.child_of(1)]);
    assert_eq!(two(span(1, 2).at(12, 20), span(1, 3).at(15, 20)), [(1, 10, 15), (3, 15, 20)]);
    assert_eq!(two(span(1, 3).at(12, 20), span(1, 2).at(12, 20)), [(1, 10, 12), (2, 12, 20)]);
    // Both end with the root, and begin with it: what is outside of it does not count.
    assert_eq!(two(span(1, 3).at(5, 20), span(1, 2).at(7, 90)), [(2, 10, 20)]);
}

#[test]
fn children_count_inside_their_parent_and_grandchildren_inside_what_counts_of_it() {
    let spans = [
        span(1, 1).at(100, 200),
        span(1, 2).at(150, 300).child_of(1),
        span(1, 3).at(140, 170).child_of(2),
        span(1, 4).at(180, 290).child_of(2),
        span(1, 5).at(20, 90).child_of(1),
    ];
    assert_eq!(path(&spans), [(1, 100, 150), (3, 150, 170), (2, 170, 180), (4, 180, 200)]);
    assert_eq!(found(&spans).own, [(1, 50), (5, 70), (2, 150 - 20 - 110), (3, 30), (4, 110)]);
}

#[test]
fn one_that_starts_after_its_parents_end_is_late_and_on_no_path() {
    let spans = [
        span(1, 1).at(10, 20),
        span(1, 2).at(21, 30).child_of(1),
        span(1, 3).at(22, 25).child_of(2),
        span(1, 4).at(20, 40).child_of(1),
        span(1, 5).at(12, 0).child_of(1),
        span(1, 6).at(13, 14).child_of(5),
    ];
    let found = found(&spans);
    assert_eq!(found.path, [(1, 10, 20)]);
    // One that starts at the very end is not after it; one without a duration has ended where it started.
    assert_eq!(found.late, [6, 2]);
}

#[test]
fn further_roots_orphans_and_children_of_spans_without_a_start_hang_on_what_is_above() {
    let spans = [
        span(1, 1).at(10, 100),
        span(1, 2).at(60, 80),
        span(1, 3).at(20, 30).child_of(77),
        span(1, 4).at(0, 0).child_of(1),
        span(1, 5).at(40, 50).child_of(4),
        span(1, 6).at(200, 201).child_of(78),
    ];
    let found = found(&spans);
    let wanted = [(1, 10, 20), (3, 20, 30), (1, 30, 40), (5, 40, 50), (1, 50, 60), (2, 60, 80), (1, 80, 100)];
    assert_eq!(found.path, wanted);
    assert_eq!(found.late, [6]);
    assert_eq!(found.own[0], (1, 90 - 40));
}

#[test]
fn without_a_parentless_span_the_earliest_orphan_is_the_root_else_the_earliest() {
    let orphans = [span(1, 2).at(10, 20).child_of(3), span(1, 3).at(12, 30).child_of(77)];
    assert_eq!(path(&orphans), [(2, 12, 20), (3, 20, 30)]);
    let cycle = [span(1, 1).at(12, 20).child_of(2), span(1, 2).at(10, 30).child_of(1)];
    assert_eq!(path(&cycle), [(2, 10, 12), (1, 12, 20), (2, 20, 30)]);
}

#[test]
fn a_servers_half_is_the_root_only_without_its_clients() {
    let client = span(1, 1).at(10, 30);
    let server = span(1, 1).at(8, 25).shared();
    assert_eq!(path(&[server.clone(), client]), [(1, 10, 25), (1, 25, 30)]);
    assert_eq!(path(&[server]), [(1, 8, 25)]);
}

#[test]
fn a_root_without_start_or_duration_has_no_path() {
    assert_eq!(path(&[span(1, 1).at(10, 0), span(1, 2).at(10, 20).child_of(1)]), []);
    assert_eq!(path(&[span(1, 1).at(0, 20), span(1, 2).at(10, 20).child_of(1)]), []);
}

#[test]
fn a_chain_of_many_spans_and_a_span_of_many_children_are_walked() {
    let chain: Vec<Span> = (1..=50_000u64).map(|id| span(1, id).at(id, 200_000 - id).child_of(id - 1)).collect();
    assert_eq!(path(&chain).len(), 99_999);
    let mut wide: Vec<Span> = (2..=50_000u64).map(|id| span(1, id).at(2 * id, 2 * id + 1).child_of(1)).collect();
    wide.push(span(1, 1).at(1, 200_000));
    assert_eq!(path(&wide).len(), 99_999);
}

//! Rollups, steps and tail lists against sums over the same rows.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::testing::{damaged, hex};
use super::*;
use crate::column::{Class, NONE};
use crate::error::Result;
use crate::limits::{PAGE_ROWS, ROLLUP_GROUPS_MAX};
use crate::model::{SpanKind, StatusCode};

/// A row: class code, start, duration.
type TestRow = (u32, Option<u64>, Option<u64>);

/// Classes that differ in everything a group is made of, and in more.
fn class(code: u32) -> Class {
    Class {
        service: if code.is_multiple_of(5) { NONE } else { code % 3 },
        remote: if code.is_multiple_of(2) { NONE } else { code % 7 },
        kind: SpanKind((code % 2) as i32 - 1),
        status: StatusCode((code / 2 % 3) as i32),
        ..Class::plain(code, 3 + code / 6)
    }
}

fn build(rows: &[TestRow]) -> RollupSections {
    let mut builder = RollupBuilder::default();
    rows.iter().for_each(|(code, start, duration)| builder.add(*code, &class(*code), *start, *duration));
    builder.finish()
}

fn sums<K: Ord>(rows: &[TestRow], key: impl Fn(&Class) -> Option<K>) -> BTreeMap<K, Group> {
    let mut out: BTreeMap<K, Group> = BTreeMap::new();
    for (code, _, duration) in rows {
        let class = class(*code);
        if let Some(key) = key(&class) {
            out.entry(key).or_default().add_row(*duration, class.status == StatusCode::ERROR);
        }
    }
    out
}

fn sortable(codes: GroupCodes) -> (u32, u32, i32, i32) {
    (codes.service, codes.name, codes.kind.0, codes.status.0)
}

fn each_cell(steps: &Steps<'_>, mut visit: impl FnMut(u64, usize, StepCell)) -> Result<()> {
    let mut each = |step, place, cell| {
        visit(step, place, cell);
        Ok(())
    };
    steps.each_step(|step, cells| cells.each(|_| true, |place, cell| each(step, place, cell)))
}

fn rows() -> impl Strategy<Value = Vec<TestRow>> {
    let duration = prop_oneof![Just(None), any::<u64>().prop_map(Some), (0..100u64).prop_map(Some)];
    let start = prop_oneof![Just(None), (0..20 * STEP_NANOS).prop_map(Some), any::<u64>().prop_map(Some)];
    prop::collection::vec((0..40u32, start, duration), 0..400)
}

proptest! {
    #[test]
    fn a_rollup_holds_the_sums_over_its_rows(rows in rows()) {
        let sections = build(&rows);
        let rollup = Rollup::<GroupCodes>::open(&sections.groups).unwrap();
        prop_assert!(rollup.is_complete());
        for group in rollup.groups() {
            let (key, group) = group.unwrap();
            let of_key = |row: &&TestRow| GroupCodes::of(&class(row.0)) == key;
            let durations: Vec<u64> = rows.iter().filter(of_key).filter_map(|row| row.2).collect();
            let extremes = durations.iter().min().copied().zip(durations.iter().max().copied());
            prop_assert_eq!(group.extremes, extremes);
        }
        let found: BTreeMap<_, _> = rollup.groups().map(|g| g.unwrap()).map(|(k, g)| (sortable(k), g)).collect();
        prop_assert_eq!(found, sums(&rows, |class| Some(sortable(GroupCodes::of(class)))));
    }

    #[test]
    fn a_group_without_some_rows_is_the_sums_over_the_others(rows in rows(), kept in 0..400usize) {
        let (kept, gone) = rows.split_at(kept.min(rows.len()));
        let all = sums(&rows, |_| Some(()));
        let mut all = all.into_values().next().unwrap_or_default();
        for (code, _, duration) in gone {
            all.remove_row(*duration, class(*code).status == StatusCode::ERROR).unwrap();
        }
        prop_assert_eq!(&all, &sums(kept, |_| Some(())).into_values().next().unwrap_or_default());
        prop_assert_eq!(all.is_empty(), kept.is_empty());
    }

    #[test]
    fn a_tail_list_has_every_row_above_its_bound(rows in rows(), times in 1..8usize) {
        let rows: Vec<TestRow> = rows.repeat(times);
        let sections = build(&rows);
        let heads = TailHeads::<OperationCodes>::read(&sections.tails, rows.len() as u32).unwrap();
        let lists = TailLists::new(&heads, &sections.tails);
        prop_assert!(lists.is_complete());
        let mut expected: BTreeMap<(u32, u32), Vec<TailRow>> = BTreeMap::new();
        for ((code, _, duration), row) in rows.iter().zip(0..) {
            let list = expected.entry((class(*code).service, class(*code).name)).or_default();
            list.extend(duration.map(|duration| TailRow { row, duration }));
        }
        prop_assert_eq!(lists.operations().len(), expected.len());
        for (place, codes) in lists.operations().enumerate() {
            let list = lists.list(place).unwrap();
            let mut all = expected.remove(&(codes.service, codes.name)).unwrap();
            all.sort_by_key(|row| (std::cmp::Reverse(row.duration), row.row));
            let listed = all.len().div_ceil(TAIL_SHARE as usize).max(TAIL_ROWS_MIN as usize).min(all.len());
            prop_assert_eq!(list.duration_count, all.len() as u64);
            prop_assert_eq!(list.bound, all.get(listed).map(|row| row.duration));
            prop_assert_eq!(&list.rows[..], &all[..listed]);
        }
    }

    #[test]
    fn steps_hold_the_sums_of_their_rows_and_cells_hold_enough(rows in rows(), times in 1..100usize) {
        let rows = rows.repeat(times);
        let sections = build(&rows);
        let started = rows.iter().filter(|(_, start, _)| start.is_some());
        let Some((bytes, by_half)) = &sections.steps else {
            let groups = sums(&started.clone().copied().collect::<Vec<_>>(), |c| Some(sortable(GroupCodes::of(c))));
            prop_assert!((started.count() as u64) < CELL_SPANS * groups.len().max(1) as u64 * 2);
            return Ok(());
        };
        let groups: Vec<GroupCodes> = Rollup::open(&sections.groups).unwrap().keys().collect();
        let half = |codes: GroupCodes| {
            let status = if codes.status == StatusCode::ERROR { StatusCode::ERROR } else { StatusCode::UNSET };
            GroupCodes { name: 0, kind: SpanKind::UNSPECIFIED, status, ..codes }
        };
        for (bytes, by_half) in [(bytes, false), (by_half, true)] {
            let name = |codes: GroupCodes| sortable(if by_half { half(codes) } else { codes });
            let keys = if by_half { ServiceHalves::of(groups.iter().copied()).firsts } else { groups.clone() };
            let steps = Steps::open(bytes).unwrap();
            let mut found = BTreeMap::new();
            each_cell(&steps, |step, place, cell| {
                found.insert((step * steps.len_nanos(), name(keys[place])), cell);
            }).unwrap();
            let mut expected: BTreeMap<(u64, _), StepCell> = BTreeMap::new();
            for (code, start, duration) in started.clone() {
                let first = start.unwrap() / steps.len_nanos() * steps.len_nanos();
                let cell = expected.entry((first, name(GroupCodes::of(&class(*code))))).or_default();
                cell.count += 1;
                cell.duration_count += u64::from(duration.is_some());
                cell.duration_sum += u128::from(duration.unwrap_or(0));
                cell.min = cell.min.min(duration.unwrap_or(u64::MAX));
                cell.max = cell.max.max(duration.unwrap_or(0));
            }
            prop_assert!(started.clone().count() as u64 >= CELL_SPANS * found.len() as u64);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_cell_without_some_rows_is_that_of_the_others_or_says_that_it_is_unknown(
        durations in prop::collection::vec(prop_oneof![Just(None), (0..9u64).prop_map(Some), any::<u64>().prop_map(Some)], 1..12),
        gone in any::<u16>(),
    ) {
        let of = |part: bool| {
            let mut cell = StepCell::default();
            let rows = durations.iter().enumerate().filter(|(at, _)| (gone >> at & 1 == 1) == part);
            rows.for_each(|(_, duration)| cell.add_row(*duration));
            cell
        };
        let (left, gone, mut all) = (of(false), of(true), of(false));
        all.merge(&gone);
        let extremes = |cell: &StepCell| (cell.min, cell.max);
        let unknown = gone.duration_count > 0
            && left.duration_count > 0
            && (extremes(&gone).0 == all.min || extremes(&gone).1 == all.max);
        prop_assert_eq!(all.without(&gone).unwrap(), (!unknown).then_some(left));
        prop_assert!(gone.count == 0 || left.without(&all).is_err());
    }

    #[test]
    fn sections_take_no_more_than_they_may(rows in rows()) {
        let sections = build(&rows);
        let groups = sums(&rows, |class| Some(sortable(GroupCodes::of(class)))).len();
        // A key takes 20 bytes at most, the sums 34, a cell 7.
        prop_assert!(sections.groups.len() <= 4 + 54 * groups + 7 * rows.len());
        prop_assert!(sections.tails.len() <= 4 + 40 * groups + 15 * (rows.len() / 32 + 17 * groups));
        if let Some(steps) = sections.steps {
            prop_assert!(steps.0.len() as u64 <= 5 + 50 * (rows.len() as u64 / CELL_SPANS));
            prop_assert!(steps.1.len() <= steps.0.len() + 5);
        }
    }
}

/// Rows of a few groups, all in one minute.
fn sample() -> Vec<TestRow> {
    let start = |row: u64| (row != 3).then_some(1_000 * STEP_NANOS + row);
    (0..200).map(|row| ((row % 3) as u32, start(row), (row % 40 != 5).then_some(row * row * 100))).collect()
}

#[test]
fn the_bytes_are_these() {
    let sections = build(&sample()[..40]);
    assert_eq!(
        hex(&sections.groups),
        concat!(
            "03030004010024020400002303040102210e0000ccfe2c00a42400016a011e0111010b010701080104010501030102010301",
            "0301010d00008cd22600c42d0138013e0118010e010b010701060104010501030102010301020d0100d4ca290090280158013e",
            "010c010a01070105010401050102010301020102",
        )
    );
    assert_eq!(
        hex(&sections.tails),
        concat!(
            "030300040e0e2c02040d0d2803040c0c26a4a409e4af01dca101d49301cc8501c477bc69b45bac4da43f9c3194238c158407",
            "27197a1b56490f93180300c4ad08b4a601ac9801a48a019c7c946e8c608452fc43f435ec27e419dc0ba5f8719935418d7210",
            "0190e8088cab01849d01fc8e01f48001ec72e464dc56d448cc3ac42cf02ee60876da4545ce8208",
        )
    );
    assert_eq!(
        hex(&sections.cells.clone().unwrap()),
        "0310100ff803d941309cb163464de7b3c96cb60768500f04863a84b163464ce7b3c96c3258a03610183d72cc7c3a9fcc269301"
    );
    assert_eq!(sections.steps, None, "there are fewer than 16 spans a group");
    assert_eq!(
        build(&sample()).steps.map(|(by_group, by_half)| [hex(&by_group), hex(&by_half)]).unwrap_or_default(),
        ["01e8072781a100024110d23bc877150589a100014264c06c3c3c554b0591a1000241900134363b8cb31505"; 2],
        "each group is half a service"
    );
}

#[test]
fn damaged_bytes_are_an_error_or_other_figures_and_never_a_panic() {
    let sections = build(&sample());
    for bytes in damaged(&sections.groups) {
        if let Ok(rollup) = Rollup::<GroupCodes>::open(&bytes) {
            rollup.groups().for_each(drop);
        }
    }
    for bytes in damaged(&sections.tails) {
        if let Ok(heads) = TailHeads::<OperationCodes>::read(&bytes, 200) {
            let lists = TailLists::new(&heads, &bytes);
            (0..lists.operations().len()).for_each(|place| drop(lists.list(place)));
        }
    }
    for bytes in damaged(&sections.cells.unwrap()) {
        if let Ok(cells) = CellPages::open(&bytes, 1) {
            (0..cells.operations()).for_each(|place| drop(cells.each_page(place, |_| true, |_| {})));
        }
    }
    for bytes in damaged(&sections.steps.unwrap().0) {
        let _ = Steps::open(&bytes).and_then(|steps| each_cell(&steps, |_, _, _| {}));
    }
}

proptest! {
    #[test]
    fn the_cells_of_an_operation_name_every_page_of_each_of_its_durations(
        rows in prop::collection::vec((0..12u32, prop_oneof![Just(None), (0..1u64 << 20).prop_map(Some)]), 0..5_000),
    ) {
        let mut builder = RollupBuilder::default();
        rows.iter().for_each(|(code, duration)| builder.add(*code, &class(*code), Some(1), *duration));
        let sections = builder.finish();
        let mut wanted: BTreeMap<(u32, u32, usize), BTreeSet<u32>> = BTreeMap::new();
        for (row, (code, duration)) in rows.iter().enumerate() {
            if let Some(nanos) = duration {
                let class = class(*code);
                let cell = wanted.entry((class.service, class.name, Histogram::bucket_of(*nanos))).or_default();
                cell.insert((row / PAGE_ROWS) as u32);
            }
        }
        let heads = TailHeads::<OperationCodes>::read(&sections.tails, rows.len() as u32).unwrap();
        let lists = TailLists::new(&heads, &sections.tails);
        let cells = sections.cells.unwrap();
        let cells = CellPages::open(&cells, rows.len().div_ceil(PAGE_ROWS) as u32).unwrap();
        prop_assert_eq!(cells.operations(), lists.operations().len());
        let mut found: BTreeMap<(u32, u32, usize), BTreeSet<u32>> = BTreeMap::new();
        for (place, codes) in lists.operations().enumerate() {
            for bucket in 0..BUCKETS {
                let mut pages = BTreeSet::new();
                cells.each_page(place, |b| b == bucket, |page| assert!(pages.insert(page))).unwrap();
                if !pages.is_empty() {
                    found.insert((codes.service, codes.name, bucket), pages);
                }
            }
        }
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn extremes_are_those_of_what_is_left_or_not_known(
        kept in prop::collection::vec(any::<u64>(), 0..20),
        gone in prop::collection::vec(any::<u64>(), 0..20),
    ) {
        let of = |values: &[u64]| {
            let mut out = Group::default();
            values.iter().for_each(|nanos| out.add_row(Some(*nanos), false));
            out
        };
        let extremes = |values: &[u64]| Some((*values.iter().min()?, *values.iter().max()?));
        let mut all = of(&kept);
        prop_assert_eq!(all.extremes, extremes(&kept));
        all.merge(&of(&gone));
        prop_assert_eq!(all.extremes, extremes(&[kept.clone(), gone.clone()].concat()));
        all.subtract(&of(&gone)).unwrap();
        prop_assert!(all.extremes.is_none() || all.extremes == extremes(&kept));
        if gone.is_empty() {
            prop_assert_eq!(all.extremes, extremes(&kept));
        }
    }
}

#[test]
fn truncated_bytes_are_an_error() {
    let sections = build(&sample());
    for len in 0..sections.groups.len() {
        assert!(Rollup::<GroupCodes>::open(&sections.groups[..len]).is_err(), "{len} bytes of a rollup");
    }
    for len in 0..sections.tails.len() {
        assert!(TailHeads::<OperationCodes>::read(&sections.tails[..len], 200).is_err(), "{len} bytes of tail lists");
    }
    assert!(Steps::open(&[]).is_err());
    let (steps, _) = sections.steps.unwrap();
    let all = |bytes: &[u8]| Steps::open(bytes).and_then(|steps| each_cell(&steps, |_, _, _| {}));
    assert!(all(&steps).is_ok() && all(&steps[..steps.len() - 1]).is_err());
}

#[test]
fn of_too_many_groups_the_most_frequent_are_listed_and_the_rollup_says_so() {
    let mut builder = RollupBuilder::default();
    let groups = ROLLUP_GROUPS_MAX as u32 + 10;
    // The first ten groups have one row, all others two.
    for code in (0..groups).chain(10..groups) {
        let class = Class { service: code, ..Class::plain(0, code) };
        builder.add(code, &class, Some(1), Some(u64::from(code)));
    }
    let sections = builder.finish();
    let rollup = Rollup::<GroupCodes>::open(&sections.groups).unwrap();
    assert!(!rollup.is_complete());
    assert!(rollup.keys().map(|key| key.service).eq(10..groups));
    assert!(rollup.groups().all(|group| group.unwrap().1.count == 2));
    let heads = TailHeads::<OperationCodes>::read(&sections.tails, groups * 2 - 10).unwrap();
    let lists = TailLists::new(&heads, &sections.tails);
    assert!(!lists.is_complete());
    assert!(lists.operations().map(|codes| codes.name).eq(10..groups));
}

#[test]
fn steps_are_as_short_as_there_are_spans_for() {
    let build_at = |spacing: u64| {
        let rows: Vec<TestRow> = (0..6400).map(|row| (0, Some(row * spacing), Some(1))).collect();
        build(&rows).steps.map(|(bytes, _)| Steps::open(&bytes).unwrap().len_nanos() / STEP_NANOS)
    };
    assert_eq!(build_at(STEP_NANOS / 16), Some(1), "16 spans a minute");
    assert_eq!(build_at(STEP_NANOS / 15), Some(2), "15 spans a minute");
    assert_eq!(build_at(STEP_NANOS), Some(16), "a span a minute");
    assert_eq!(build(&sample()[..40]).steps, None);
}

//! Replay of logs that are torn, damaged, or not the ones they should be.

use super::*;
use crate::error::{Error, ErrorKind};

/// A log of records "a0" .. "d3", each durable before the next, and where each begins and ends.
fn log_of_four() -> (Vec<u8>, Vec<u64>) {
    let disk = disk();
    let log = writer(&disk);
    let mut starts = vec![log.position().end];
    for payload in ["a0", "b1", "c2", "d3"] {
        append_durably(&log, payload).unwrap();
        starts.push(log.position().end);
    }
    (bytes(&disk, 1), starts)
}

/// A log whose records were appended without waiting: none is proven durable.
fn log_of_one_group() -> (Vec<u8>, Vec<u64>) {
    let disk = disk();
    let log = writer(&disk);
    let mut starts = vec![log.position().end];
    for payload in ["a0", "b1", "c2", "d3"] {
        append(&log, payload).unwrap();
        starts.push(log.position().end);
    }
    (bytes(&disk, 1), starts)
}

const COMPLETE: LogEnding = LogEnding::Complete { next_sequence: Some(4) };

#[test]
fn replay_stops_at_the_first_torn_record() {
    let (good, starts) = log_of_four();
    for len in LOG_HEADER_BYTES..good.len() {
        let (payloads, report) = replayed(&good[..len], LogEnding::Open);
        // The padding after a payload may be missing.
        let whole = starts.iter().skip(1).filter(|&&end| end - 6 <= len as u64).count();
        assert_eq!(payloads, ["a0", "b1", "c2", "d3"][..whole], "cut to {len}");
        assert_eq!(report.damage, [], "cut to {len}");
        assert_eq!(report.valid_bytes, starts[whole].min(len as u64));
        assert_eq!(report.dropped_bytes, len as u64 - report.valid_bytes);
        assert_eq!(report.next_sequence, Some(whole as u64));
    }
}

#[test]
fn zeros_or_noise_after_the_last_record_are_a_torn_tail() {
    let (good, _) = log_of_four();
    for filler in [0u8, 0xa5, b'T'] {
        let mut bytes = good.clone();
        bytes.resize(good.len() + 1000, filler);
        let (payloads, report) = replayed(&bytes, LogEnding::Open);
        assert_eq!(payloads.len(), 4);
        assert_eq!((report.valid_bytes, report.dropped_bytes), (good.len() as u64, 1000));
        assert_eq!(report.damage, []);
    }
}

#[test]
fn damage_before_a_durable_mark_is_reported_and_what_follows_is_kept() {
    let (good, starts) = log_of_four();
    for at in starts[1]..starts[2] - 6 {
        let mut bytes = good.clone();
        bytes[at as usize] ^= 0x10;
        let (payloads, report) = replayed(&bytes, LogEnding::Open);
        assert_eq!(payloads, ["a0", "c2", "d3"], "byte {at}");
        assert_eq!(report.damage.len(), 1);
        let damage = &report.damage[0];
        assert_eq!((damage.offset, damage.len_bytes), (starts[1], starts[2] - starts[1]));
        assert_eq!(damage.sequences, Some(1..2));
        assert_eq!(report.dropped_bytes, 0);
    }
}

#[test]
fn the_last_record_of_a_log_that_was_rotated_is_damaged_not_torn() {
    let (good, starts) = log_of_four();
    let mut bytes = good.clone();
    bytes[starts[3] as usize + 10] ^= 1;
    let (payloads, report) = replayed(&bytes, COMPLETE);
    assert_eq!(payloads, ["a0", "b1", "c2"]);
    assert_eq!(report.damage[0].sequences, Some(3..4));
    let (_, report) = replayed(&bytes, LogEnding::Open);
    assert_eq!(report.damage, [], "unproven where nothing follows");
}

#[test]
fn a_rotated_log_that_was_cut_is_noticed_even_between_records() {
    let (good, starts) = log_of_four();
    let (payloads, report) = replayed(&good[..starts[2] as usize], COMPLETE);
    assert_eq!(payloads, ["a0", "b1"]);
    assert_eq!(report.damage[0].sequences, Some(2..4));
    assert_eq!(report.next_sequence, Some(4));
}

#[test]
fn an_intact_record_after_an_unproven_gap_is_cut_with_it() {
    let (good, starts) = log_of_one_group();
    let mut bytes = good.clone();
    bytes[starts[1] as usize + 49] ^= 1;
    let (payloads, report) = replayed(&bytes, LogEnding::Open);
    assert_eq!(payloads, ["a0"], "a log with a hole would show c2 without b1");
    assert_eq!(report.damage, []);
    assert_eq!(report.valid_bytes, starts[1]);
    assert_eq!(report.dropped_bytes, starts[4] - starts[1]);
}

#[test]
fn two_damaged_ranges_are_two_reports() {
    let (mut bytes, starts) = log_of_four();
    bytes[starts[0] as usize] ^= 1;
    bytes[starts[2] as usize] ^= 1;
    let (payloads, report) = replayed(&bytes, LogEnding::Open);
    assert_eq!(payloads, ["b1", "d3"]);
    assert_eq!(report.damage.iter().map(|d| d.sequences.clone()).collect::<Vec<_>>(), [Some(0..1), Some(2..3)]);
}

#[test]
fn a_payload_that_holds_a_copy_of_a_record_does_not_pass_for_one() {
    let disk = disk();
    let log = writer(&disk);
    append_durably(&log, "first").unwrap();
    let copy = bytes(&disk, 1)[LOG_HEADER_BYTES..].to_vec();
    log.append(record(), &[&copy]).unwrap();
    append_durably(&log, "third").unwrap();
    append_durably(&log, "fourth").unwrap();
    let mut bytes = bytes(&disk, 1);
    // The header of the second record.
    bytes[LOG_HEADER_BYTES + copy.len() + 4] ^= 1;
    let (payloads, report) = replayed(&bytes, LogEnding::Open);
    assert_eq!(payloads, ["first", "third", "fourth"]);
    assert_eq!(report.damage.len(), 1);
}

#[test]
fn a_record_whose_payload_means_nothing_is_damage_of_that_record() {
    let (good, starts) = log_of_four();
    let identity = LogIdentity { store: STORE, file: FileId(1), ending: LogEnding::Open };
    let report =
        replay(
            &good,
            identity,
            |header, _| {
                if header.first_sequence == 2 { Err(Error::corrupt("no batch")) } else { Ok(()) }
            },
        );
    let report = report.unwrap();
    assert_eq!((report.records, report.next_sequence), (3, Some(4)));
    let expected = LogDamage {
        offset: starts[2],
        len_bytes: starts[3] - starts[2],
        problem: "no batch".into(),
        sequences: Some(2..3),
    };
    assert_eq!(report.damage, [expected]);
}

#[test]
fn any_other_error_of_the_caller_ends_the_replay() {
    let (good, _) = log_of_four();
    let identity = LogIdentity { store: STORE, file: FileId(1), ending: LogEnding::Open };
    let error = replay(&good, identity, |_, _| Err(Error::new(ErrorKind::NoSpace, "no room"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
}

#[test]
fn a_damaged_file_header_costs_no_record() {
    let (mut bytes, _) = log_of_four();
    bytes[20] ^= 1;
    let (payloads, report) = replayed(&bytes, LogEnding::Open);
    assert_eq!(payloads.len(), 4);
    assert_eq!((report.damage[0].offset, report.damage[0].len_bytes), (0, LOG_HEADER_BYTES as u64));
}

#[test]
fn the_log_of_another_store_or_another_name_gives_nothing_and_says_so() {
    let (good, _) = log_of_four();
    for (store, file) in [(STORE + 1, FileId(1)), (STORE, FileId(2))] {
        let (payloads, report) = replayed_as(&good, LogIdentity { store, file, ending: COMPLETE });
        assert_eq!(payloads, [""; 0]);
        assert!(report.damage[0].problem.contains("the header is of log 000000000001"), "{:?}", report.damage);
    }
}

#[test]
fn an_unfinished_log_without_a_header_is_nothing() {
    let (good, _) = log_of_four();
    for bytes in [&[][..], &good[..20], &[0; 300][..]] {
        let (payloads, report) = replayed(bytes, LogEnding::Unfinished);
        assert_eq!(payloads, [""; 0]);
        assert_eq!((report.valid_bytes, report.dropped_bytes), (0, bytes.len() as u64));
        assert_eq!(report.damage, []);
    }
}

#[test]
fn every_flipped_bit_loses_at_most_its_own_record_and_invents_nothing() {
    let (good, starts) = log_of_four();
    let all = ["a0", "b1", "c2", "d3"];
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (payloads, report) = replayed(&bytes, COMPLETE);
        let hit = starts.windows(2).position(|s| (s[0]..s[1]).contains(&(bit as u64 / 8)));
        let kept: Vec<&str> = all.iter().enumerate().filter(|(n, _)| Some(*n) != hit).map(|(_, s)| *s).collect();
        assert!(payloads == kept || payloads == all, "bit {bit}: {payloads:?}");
        assert!(payloads == all || report.damage.len() == 1, "bit {bit}: lost without a word");
    }
}

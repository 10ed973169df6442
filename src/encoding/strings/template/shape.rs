//! Cuts values into words and finds which may be numbers.
//!
//! The *skeleton* of a value is the value with a zero byte in place of everything that looks like a
//! number, whatever its length; the cut-out texts are its *slots*. Values of one skeleton form a group, and
//! what kind of number a slot is follows from all texts of the group, because one alone does not tell:
//! `1234` is a decimal, or four of the sixteen digits of a hash.
//!
//! | word (letters and digits) | slots |
//! |---|---|
//! | only `0-9a-f`, with a digit or at least four long | the whole word |
//! | otherwise, ending in digits and `a-f` mixed | that end, and runs of digits before it |
//! | otherwise | every run of digits |

use std::ops::Range;

use rustc_hash::FxHashMap;

/// Groups of one page.
const GROUPS_MAX: usize = 256;
/// Slots of one value.
const SLOTS_MAX: usize = 24;
/// Bytes of a value that may be cut; a longer one is free text.
const VALUE_BYTES_MAX: usize = 1024;
/// Values after which a page is given up if half of them had new skeletons ..
pub const PAGE_PROBE: usize = 32;
/// .. and those of sample pages, whose skeletons serve more values.
pub const COLUMN_PROBE: usize = 1_024;
/// The code of a value that belongs to no group.
const NO_GROUP: u64 = u64::MAX;

/// The values of one skeleton.
#[derive(Debug)]
pub struct Group<'a> {
    /// The text with a zero byte for each slot.
    pub skeleton: Vec<u8>,
    /// Slots of a value.
    pub slots: usize,
    /// The slots of the first value, then of the second, and so on.
    pub texts: Vec<&'a [u8]>,
}

/// The groups in the order of their first value, and the group of each value (`u64::MAX` for none).
/// None if after `probe` values there are too many skeletons for templates to pay.
pub fn group_by_skeleton<'a>(values: &[&'a [u8]], probe: usize) -> Option<(Vec<Group<'a>>, Vec<u64>)> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut known: FxHashMap<Vec<u8>, usize> = FxHashMap::default();
    let mut codes = Vec::with_capacity(values.len());
    let mut cut = Cut::default();
    let (mut last, mut strangers) = (0, 0);
    for value in values {
        if !cut.cut(value) {
            codes.push(NO_GROUP);
            strangers += 1;
            continue;
        }
        if groups.get(last).is_none_or(|group| group.skeleton != cut.skeleton) {
            match known.get(&cut.skeleton) {
                Some(group) => last = *group,
                None if groups.len() == GROUPS_MAX => {
                    codes.push(NO_GROUP);
                    strangers += 1;
                    continue;
                }
                None => {
                    last = groups.len();
                    known.insert(cut.skeleton.clone(), last);
                    let slots = cut.slots.len();
                    groups.push(Group { skeleton: cut.skeleton.clone(), slots, texts: Vec::new() });
                }
            }
        }
        groups[last].texts.extend(cut.slots.iter().map(|slot| &value[slot.clone()]));
        codes.push(last as u64);
        if codes.len() >= probe && (groups.len() + strangers) * 2 > codes.len() {
            return None;
        }
    }
    Some((groups, codes))
}

/// A value cut into skeleton and slots; kept for its memory.
#[derive(Default)]
pub struct Cut {
    /// The value with a zero byte for each slot.
    pub skeleton: Vec<u8>,
    /// Where the slots were.
    pub slots: Vec<Range<usize>>,
}

/// The end of a word as far as it is read: what follows the last letter that is no hexadecimal digit.
#[derive(Default)]
struct Tail {
    start: usize,
    /// Slots before it.
    slots: usize,
    has_digit: bool,
    /// True if `a` to `f` follows a digit.
    is_mixed: bool,
}

impl Cut {
    /// Cuts a value; false if it is too long, has too many slots or a zero byte.
    pub fn cut(&mut self, value: &[u8]) -> bool {
        self.slots.clear();
        if value.len() > VALUE_BYTES_MAX {
            return false;
        }
        let mut at = 0;
        while at < value.len() {
            match class(value[at]) {
                Class::Zero => return false,
                Class::Other => at += 1,
                _ => at = self.cut_word(value, at),
            }
        }
        self.skeleton.clear();
        let mut text = 0;
        for slot in &self.slots {
            self.skeleton.extend_from_slice(&value[text..slot.start]);
            self.skeleton.push(0);
            text = slot.end;
        }
        self.skeleton.extend_from_slice(&value[text..]);
        self.slots.len() <= SLOTS_MAX
    }

    /// Cuts the word that begins at `start`; where it ends. Runs of digits are cut as they come; whether the tail is
    /// one number shows at its end, which then takes the place of the runs in it.
    fn cut_word(&mut self, value: &[u8], start: usize) -> usize {
        let mut tail = Tail { start, slots: self.slots.len(), ..Tail::default() };
        let mut at = start;
        while at < value.len() {
            match class(value[at]) {
                Class::Digit => {
                    let run = at;
                    while at < value.len() && class(value[at]) == Class::Digit {
                        at += 1;
                    }
                    tail.has_digit = true;
                    self.slots.push(run..at);
                    continue;
                }
                Class::HexLetter => tail.is_mixed |= tail.has_digit,
                Class::Letter => tail = Tail { start: at + 1, slots: self.slots.len(), ..Tail::default() },
                Class::Zero | Class::Other => break,
            }
            at += 1;
        }
        let is_whole = tail.start == start && at - start >= 4;
        if tail.is_mixed || is_whole {
            self.slots.truncate(tail.slots);
            self.slots.push(tail.start..at);
        }
        at
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Class {
    Zero,
    Other,
    Digit,
    /// `a` to `f`.
    HexLetter,
    /// Any other letter.
    Letter,
}

fn class(byte: u8) -> Class {
    const CLASSES: [Class; 256] = {
        let mut classes = [Class::Other; 256];
        let mut byte = 0;
        while byte < 256 {
            classes[byte] = match byte as u8 {
                0 => Class::Zero,
                b'0'..=b'9' => Class::Digit,
                b'a'..=b'f' => Class::HexLetter,
                b'A'..=b'Z' | b'g'..=b'z' => Class::Letter,
                _ => Class::Other,
            };
            byte += 1;
        }
        classes
    };
    CLASSES[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> String {
        let mut cut = Cut::default();
        assert!(cut.cut(text.as_bytes()));
        let skeleton = String::from_utf8(cut.skeleton).unwrap().replace('\0', "#");
        let slots: Vec<&str> = cut.slots.iter().map(|slot| &text[slot.clone()]).collect();
        format!("{skeleton} {}", slots.join(","))
    }

    #[test]
    fn numbers_are_cut_out_and_words_stay() {
        for (text, expected) in [
            ("u-0123456", "u-# 0123456"),
            ("10.1.22.3", "#.#.#.# 10,1,22,3"),
            ("/users/417/orders/00a3f9", "/users/#/orders/# 417,00a3f9"),
            ("6f9619ff-8b86-d011-b42d-00cf4fc964ff", "#-#-#-#-# 6f9619ff,8b86,d011,b42d,00cf4fc964ff"),
            ("abcd-1234-ef01", "#-#-# abcd,1234,ef01"),
            ("session8fa3", "session# 8fa3"),
            ("node12", "node# 12"),
            ("db1", "db# 1"),
            ("add a bad v2k7", "add a bad v#k# 2,7"),
            ("", " "),
        ] {
            assert_eq!(cut(text), expected);
        }
    }

    #[test]
    fn values_without_common_skeletons_are_given_up() {
        let letters: Vec<Vec<u8>> = (0..100u8).map(|i| vec![b'g' + i % 20, b'G' + i / 20]).collect();
        let values: Vec<&[u8]> = letters.iter().map(Vec::as_slice).collect();
        assert!(group_by_skeleton(&values, PAGE_PROBE).is_none());
        assert!(group_by_skeleton(&values[..PAGE_PROBE - 1], PAGE_PROBE).is_some());
        let zeros = vec![b"\0".as_slice(); 100];
        assert!(group_by_skeleton(&zeros[..10], PAGE_PROBE).is_some_and(|(groups, _)| groups.is_empty()));
    }
}

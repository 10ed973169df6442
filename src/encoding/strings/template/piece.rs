//! A template: pieces of text and of numbers, and how a group of values becomes columns of numbers.
//!
//! | tag | piece | columns |
//! |---|---|---|
//! | 1 | text: length, bytes | |
//! | 2 | decimal number as usually written, below 2^64 | the number |
//! | 3 | decimal number of a fixed number of digits, 1 to 19 (one byte) | the number |
//! | 4 | lower-case hexadecimal number of a fixed number of digits (one byte, not 0) | one for each 16 digits, the last for the rest |
//! | 5 | lower-case hexadecimal number of 1 to 16 digits | the number of digits, the number |

use super::super::super::integers::decode_integers;
use super::COLUMNS_MAX;
use super::number::{parse_decimal, parse_hex, push_decimal, push_digits, push_hex};
use super::shape::Group;
use crate::bytes::{Reader, put_varint};
use crate::error::{Error, Result, ensure};

const TEXT: u8 = 1;
const DECIMAL: u8 = 2;
const DIGITS: u8 = 3;
const HEX: u8 = 4;
const ANY_HEX: u8 = 5;

/// Digits of a decimal number that surely fits 64 bits.
const DIGITS_MAX: usize = 19;
/// Hexadecimal digits of a u64.
const HEX_DIGITS_MAX: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a [u8]),
    Decimal,
    Digits(usize),
    Hex(usize),
    AnyHex,
}

impl Piece<'_> {
    fn columns(&self) -> usize {
        match self {
            Self::Text(_) => 0,
            Self::Decimal | Self::Digits(_) => 1,
            Self::Hex(len) => len.div_ceil(HEX_DIGITS_MAX),
            Self::AnyHex => 2,
        }
    }
}

/// The pieces of the values of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template<'a> {
    pieces: Vec<Piece<'a>>,
    columns: usize,
}

impl<'a> Template<'a> {
    /// The template of a group, or none if some slot fits no kind of number.
    pub fn of(group: &'a Group<'_>) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut slot = 0;
        for (i, text) in group.skeleton.split(|byte| *byte == 0).enumerate() {
            if i > 0 {
                pieces.push(piece_of(group, slot)?);
                slot += 1;
            }
            if !text.is_empty() {
                pieces.push(Piece::Text(text));
            }
        }
        let columns = pieces.iter().map(Piece::columns).sum();
        (columns <= COLUMNS_MAX).then_some(Self { pieces, columns })
    }

    /// The template for a group and for values like those of it, which are so many; and what its slots hold.
    pub fn for_more(group: &'a Group<'_>, count: u32) -> Option<(Self, Vec<SlotKind>)> {
        let mut out = Self::of(group)?;
        let mut slots = Vec::with_capacity(group.slots);
        let (mut at, mut slot) = (0, 0);
        for (i, text) in group.skeleton.split(|byte| *byte == 0).enumerate() {
            if i > 0 {
                // A few values say little about what others have: a number that they share is a number.
                if let Piece::Text(text) = out.pieces[at]
                    && count < FEW_VALUES
                    && SlotKind::Decimal.fits(text)
                {
                    out.pieces[at] = Piece::Decimal;
                }
                slots.push(SlotKind::of(&out.pieces[at]));
                (at, slot) = (at + 1, slot + 1);
            }
            at += usize::from(!text.is_empty());
        }
        debug_assert_eq!(slot, group.slots);
        out.columns = out.pieces.iter().map(Piece::columns).sum();
        (out.columns <= COLUMNS_MAX).then_some((out, slots))
    }

    /// Columns of numbers.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Appends the pieces.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut pieces = self.pieces.iter().peekable();
        while let Some(piece) = pieces.next() {
            match piece {
                Piece::Text(text) => {
                    // A slot with one text throughout is text, and so are its neighbours.
                    let mut joined = text.to_vec();
                    while let Some(Piece::Text(more)) = pieces.next_if(|next| matches!(next, Piece::Text(_))) {
                        joined.extend_from_slice(more);
                    }
                    out.push(TEXT);
                    put_varint(joined.len() as u64, out);
                    out.extend_from_slice(&joined);
                }
                Piece::Decimal => out.push(DECIMAL),
                Piece::Digits(len) => out.extend_from_slice(&[DIGITS, *len as u8]),
                Piece::Hex(len) => out.extend_from_slice(&[HEX, *len as u8]),
                Piece::AnyHex => out.push(ANY_HEX),
            }
        }
    }

    /// Reads what [`Self::write`] wrote.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let (mut pieces, mut columns) = (Vec::new(), 0);
        while !reader.is_empty() {
            let piece = match reader.u8("template piece")? {
                TEXT => Piece::Text(reader.block("template text")?),
                DECIMAL => Piece::Decimal,
                DIGITS => Piece::Digits(read_len(&mut reader, DIGITS_MAX)?),
                HEX => Piece::Hex(read_len(&mut reader, usize::from(u8::MAX))?),
                ANY_HEX => Piece::AnyHex,
                tag => return Err(Error::corrupt(format!("template: unknown piece {tag}"))),
            };
            columns += piece.columns();
            ensure(columns <= COLUMNS_MAX, || format!("template: more than {COLUMNS_MAX} columns"))?;
            pieces.push(piece);
        }
        Ok(Self { pieces, columns })
    }

    /// The numbers of the group this template was made for, column by column.
    pub fn columns_of(&self, group: &Group<'_>) -> Vec<Vec<u64>> {
        let mut columns = Vec::with_capacity(self.columns);
        let slots = group.skeleton.iter().filter(|byte| **byte == 0).count();
        let mut numbers = self.slot_pieces(group);
        debug_assert_eq!(numbers.len(), slots);
        for (slot, piece) in numbers.drain(..).enumerate() {
            let texts = || slot_texts(group, slot);
            match piece {
                Piece::Text(_) => {}
                Piece::Decimal | Piece::Digits(_) => columns.push(texts().map(parse_decimal).collect()),
                Piece::Hex(len) => {
                    for from in (0..len).step_by(HEX_DIGITS_MAX) {
                        let to = len.min(from + HEX_DIGITS_MAX);
                        columns.push(texts().map(|text| parse_hex(&text[from..to])).collect());
                    }
                }
                Piece::AnyHex => {
                    columns.push(texts().map(|text| text.len() as u64).collect());
                    columns.push(texts().map(parse_hex).collect());
                }
            }
        }
        columns
    }

    /// Reads and checks the columns of `rows` values.
    pub fn read_columns(&self, reader: &mut Reader<'_>, rows: usize) -> Result<Vec<Vec<u64>>> {
        let mut columns = Vec::with_capacity(self.columns);
        for _ in 0..self.columns {
            let mut column = Vec::new();
            decode_integers(reader.block("template page, column")?, rows, &mut column)?;
            columns.push(column);
        }
        if rows > 0 {
            let least = |column: usize| columns[column].iter().copied().fold(u64::MAX, u64::min);
            self.check(least, |column| columns[column].iter().copied().fold(0, u64::max))?;
        }
        if self.pieces.contains(&Piece::AnyHex) {
            self.check_any_hex(&columns)?;
        }
        Ok(columns)
    }

    /// Checks that the numbers between `least` and `most` of each column fit their pieces.
    pub fn check(&self, least: impl Fn(usize) -> u64, most: impl Fn(usize) -> u64) -> Result<()> {
        let mut column = 0;
        for piece in &self.pieces {
            let fits = match piece {
                Piece::Text(_) | Piece::Decimal => true,
                Piece::Digits(len) => most(column) < 10u64.pow(*len as u32),
                Piece::Hex(len) => (0..piece.columns()).all(|i| {
                    let digits = (len - i * HEX_DIGITS_MAX).min(HEX_DIGITS_MAX);
                    fits_hex(most(column + i), digits as u64)
                }),
                Piece::AnyHex => least(column) >= 1 && most(column) <= HEX_DIGITS_MAX as u64,
            };
            ensure(fits, || format!("template: a number does not fit its {piece:?}"))?;
            column += piece.columns();
        }
        Ok(())
    }

    fn check_any_hex(&self, columns: &[Vec<u64>]) -> Result<()> {
        let mut column = 0;
        for piece in &self.pieces {
            if *piece == Piece::AnyHex {
                let fits = columns[column].iter().zip(&columns[column + 1]).all(|(len, value)| fits_hex(*value, *len));
                ensure(fits, || "template: a number has more digits than its length".to_owned())?;
            }
            column += piece.columns();
        }
        Ok(())
    }

    /// Appends the value with these numbers, which must have been checked.
    #[inline]
    pub fn render(&self, number: impl Fn(usize) -> u64, out: &mut Vec<u8>) {
        let mut column = 0;
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Decimal => push_decimal(number(column), out),
                Piece::Digits(len) => push_digits(number(column), *len, out),
                Piece::Hex(len) => {
                    for i in 0..piece.columns() {
                        push_hex(number(column + i), (len - i * HEX_DIGITS_MAX).min(HEX_DIGITS_MAX), out);
                    }
                }
                Piece::AnyHex => push_hex(number(column + 1), number(column) as usize, out),
            }
            column += piece.columns();
        }
    }

    /// The pieces that stand for slots, in the order of the slots.
    fn slot_pieces(&self, group: &Group<'_>) -> Vec<Piece<'a>> {
        let mut pieces = self.pieces.iter();
        let mut found = Vec::with_capacity(group.slots);
        for (i, text) in group.skeleton.split(|byte| *byte == 0).enumerate() {
            if i > 0 {
                found.extend(pieces.next().cloned());
            }
            if !text.is_empty() {
                pieces.next();
            }
        }
        found
    }
}

/// Values of a group below which what they share may be chance.
const FEW_VALUES: u32 = 8;

/// What a slot of a template holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// This text.
    Text(Vec<u8>),
    /// A decimal number as usually written.
    Decimal,
    /// One of so many digits.
    Digits(usize),
    /// A hexadecimal number of so many digits.
    Hex(usize),
    /// One of up to 16 digits.
    AnyHex,
}

impl SlotKind {
    fn of(piece: &Piece<'_>) -> Self {
        match piece {
            Piece::Text(text) => Self::Text(text.to_vec()),
            Piece::Decimal => Self::Decimal,
            Piece::Digits(len) => Self::Digits(*len),
            Piece::Hex(len) => Self::Hex(*len),
            Piece::AnyHex => Self::AnyHex,
        }
    }

    /// True if it holds this text, which was cut out of a value.
    pub fn fits(&self, text: &[u8]) -> bool {
        let decimal = || text.len() <= DIGITS_MAX && text.iter().all(u8::is_ascii_digit);
        match self {
            Self::Text(same) => same == text,
            Self::Decimal => (text.len() == 1 || text.first() != Some(&b'0')) && decimal(),
            Self::Digits(len) => text.len() == *len && decimal(),
            Self::Hex(len) => text.len() == *len,
            Self::AnyHex => text.len() <= HEX_DIGITS_MAX,
        }
    }

    /// Adds the numbers of a text that fits to the columns from `column` on, and goes to those of the next slot.
    pub fn push_numbers(&self, text: &[u8], columns: &mut [Vec<u64>], column: &mut usize) {
        let mut push = |number: u64| {
            columns[*column].push(number);
            *column += 1;
        };
        match self {
            Self::Text(_) => {}
            Self::Decimal | Self::Digits(_) => push(parse_decimal(text)),
            Self::Hex(_) => text.chunks(HEX_DIGITS_MAX).for_each(|part| push(parse_hex(part))),
            Self::AnyHex => {
                push(text.len() as u64);
                push(parse_hex(text));
            }
        }
    }
}

fn fits_hex(value: u64, digits: u64) -> bool {
    digits >= HEX_DIGITS_MAX as u64 || value >> (4 * digits) == 0
}

fn read_len(reader: &mut Reader<'_>, most: usize) -> Result<usize> {
    let len = usize::from(reader.u8("template digits")?);
    ensure((1..=most).contains(&len), || format!("template: a number of {len} digits, 1 to {most} are allowed"))?;
    Ok(len)
}

fn slot_texts<'g>(group: &'g Group<'_>, slot: usize) -> impl Iterator<Item = &'g [u8]> + Clone {
    group.texts.iter().skip(slot).step_by(group.slots).copied()
}

/// The narrowest kind that holds all texts of a slot.
fn piece_of<'g>(group: &'g Group<'_>, slot: usize) -> Option<Piece<'g>> {
    let texts = slot_texts(group, slot);
    let first = texts.clone().next()?;
    let (mut same, mut same_len, mut decimal, mut usual, mut longest) = (true, true, true, true, 0);
    for text in texts {
        same = same && text == first;
        same_len &= text.len() == first.len();
        decimal = decimal && text.iter().all(u8::is_ascii_digit);
        usual &= text.len() == 1 || text.first() != Some(&b'0');
        longest = longest.max(text.len());
    }
    Some(match (same_len, decimal && longest <= DIGITS_MAX) {
        _ if same => Piece::Text(first),
        (true, true) => Piece::Digits(longest),
        (true, false) if longest <= usize::from(u8::MAX) => Piece::Hex(longest),
        (false, true) if usual => Piece::Decimal,
        (false, _) if longest <= HEX_DIGITS_MAX => Piece::AnyHex,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::shape::{PAGE_PROBE, group_by_skeleton};
    use super::*;

    fn pieces(values: &[&str]) -> Option<Vec<u8>> {
        let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
        let (groups, _) = group_by_skeleton(&values, PAGE_PROBE)?;
        let mut out = Vec::new();
        Template::of(groups.first()?)?.write(&mut out);
        assert_eq!(Template::read(&out).unwrap().columns(), Template::of(&groups[0])?.columns());
        Some(out)
    }

    #[test]
    fn a_slot_gets_the_narrowest_kind_that_holds_all_its_texts() {
        assert_eq!(pieces(&["1", "22"]).unwrap(), [DECIMAL]);
        assert_eq!(pieces(&["01", "22"]).unwrap(), [DIGITS, 2]);
        assert_eq!(pieces(&["01f", "220"]).unwrap(), [HEX, 3]);
        assert_eq!(pieces(&["1", "022"]).unwrap(), [ANY_HEX]);
        assert_eq!(pieces(&["a22", "a22"]).unwrap(), *b"\x01\x03a22");
        assert_eq!(pieces(&["v1:5", "v1:6"]).unwrap(), *b"\x01\x03v1:\x03\x01");
        assert_eq!(pieces(&["1", "12345678901234567890"]), None);
    }

    #[test]
    fn bad_pieces_are_corrupt() {
        for bytes in [&[0][..], &[6], &[DIGITS, 0], &[DIGITS, 20], &[HEX, 0], &[HEX], &[TEXT, 2, b'a']] {
            assert!(Template::read(bytes).is_err(), "{bytes:?}");
        }
        assert!(Template::read(&[DECIMAL; COLUMNS_MAX]).is_ok());
        assert!(Template::read(&[DECIMAL; COLUMNS_MAX + 1]).is_err());
    }
}

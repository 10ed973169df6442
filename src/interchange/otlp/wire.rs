//! Protobuf's wire format, borrowed: a message is a list of fields, a field is a tag and a payload.
//!
//! ```text
//! tag = field number << 3 | wire type            (a varint)
//! wire type 0 varint | 1 eight bytes | 2 varint length, bytes | 3 .. 4 group | 5 four bytes
//! ```
//! [`Fields`] walks one message. The caller matches whole tags, so a field of a known number in the
//! wrong wire type falls through to [`Fields::skip`], which refuses it; unknown numbers are passed
//! over. Nothing is copied, and every offset in an error counts from the start of the outer message.
//! Source: protobuf.dev, "Encoding".

use std::ops::RangeInclusive;

use crate::bytes::{le_u32, le_u64};
use crate::error::Error;

/// Groups inside groups that are passed over before the message is called malformed.
const GROUP_DEPTH_MAX: usize = 100;

/// What is wrong with the framing of a message, and where. Boxed, so that a result of reading stays in
/// two registers.
#[derive(Debug)]
pub struct Broken(Box<Fault>);

#[derive(Debug)]
struct Fault {
    offset: usize,
    problem: &'static str,
}

impl Broken {
    /// The error a caller of the library sees.
    pub fn into_error(self) -> Error {
        Error::invalid(format!("malformed protobuf at byte {}: {}", self.0.offset, self.0.problem))
    }
}

/// The fields of one message that are still to be read.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    /// Offset of the end of `rest` in the outermost message.
    end: usize,
}

impl<'a> Fields<'a> {
    /// The fields of a whole message.
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message, end: message.len() }
    }

    /// The bytes that are still to be read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next tag; `None` at the end of the message.
    #[inline]
    pub fn tag(&mut self) -> Result<Option<u32>, Broken> {
        match self.rest {
            [] => Ok(None),
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(Some(u32::from(*byte)))
            }
            _ => {
                let tag = self.varint()?;
                u32::try_from(tag).map(Some).map_err(|_| self.broken("a field number is too large"))
            }
        }
    }

    /// A varint payload.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, Broken> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0u64;
        for (index, byte) in self.rest.iter().enumerate().take(10) {
            if index == 9 && *byte > 1 {
                return Err(self.broken("a varint has more than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(self.broken("a varint is cut short"))
    }

    /// An eight-byte payload.
    #[inline]
    pub fn fixed64(&mut self) -> Result<u64, Broken> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.broken("a fixed64 is cut short"))?;
        self.rest = rest;
        Ok(le_u64(*bytes))
    }

    /// A four-byte payload.
    #[inline]
    pub fn fixed32(&mut self) -> Result<u32, Broken> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.broken("a fixed32 is cut short"))?;
        self.rest = rest;
        Ok(le_u32(*bytes))
    }

    /// A length-delimited payload.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let len = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        let (bytes, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or_else(|| self.broken("a length runs past the end of the message it is in"))?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A length-delimited payload that is itself a message.
    #[inline]
    pub fn message(&mut self) -> Result<Fields<'a>, Broken> {
        let rest = self.bytes()?;
        Ok(Fields { rest, end: self.end - self.rest.len() })
    }

    /// Passes over the payload of `tag`, which the caller did not recognise.
    ///
    /// # Errors
    /// If its field number is one of `known`: then the wire type must be wrong.
    #[cold]
    pub fn skip(&mut self, tag: u32, known: RangeInclusive<u32>) -> Result<(), Broken> {
        if known.contains(&(tag >> 3)) {
            return Err(self.broken("a known field has the wrong wire type"));
        }
        self.pass(tag)
    }

    /// Passes over the payload of `tag`, whatever its number.
    pub fn pass(&mut self, tag: u32) -> Result<(), Broken> {
        self.skip_payload(tag, GROUP_DEPTH_MAX)
    }

    fn skip_payload(&mut self, tag: u32, depth_left: usize) -> Result<(), Broken> {
        if tag >> 3 == 0 {
            return Err(self.broken("a field has the number zero"));
        }
        match tag & 7 {
            0 => self.varint().map(|_| ()),
            1 => self.fixed64().map(|_| ()),
            2 => self.bytes().map(|_| ()),
            3 => self.skip_group(tag >> 3, depth_left),
            5 => self.fixed32().map(|_| ()),
            4 => Err(self.broken("a group ends that did not begin")),
            _ => Err(self.broken("an unknown wire type")),
        }
    }

    fn skip_group(&mut self, number: u32, depth_left: usize) -> Result<(), Broken> {
        let depth_left = depth_left.checked_sub(1).ok_or_else(|| self.broken("groups are nested too deep"))?;
        while let Some(tag) = self.tag()? {
            if tag == number << 3 | 4 {
                return Ok(());
            }
            self.skip_payload(tag, depth_left)?;
        }
        Err(self.broken("a group does not end"))
    }

    #[cold]
    #[inline(never)]
    fn broken(&self, problem: &'static str) -> Broken {
        Broken(Box::new(Fault { offset: self.end - self.rest.len(), problem }))
    }
}

//! Trace and span ids: 16 and 8 bytes, never all zero.
//!
//! A 64-bit trace id (Zipkin's short form) is a 128-bit one whose upper half is zero; nothing else
//! distinguishes the two.

use std::fmt;
use std::num::NonZeroU64;

/// A trace id: 16 bytes in big-endian order, not all zero.
/// Source: W3C Trace Context, "trace-id".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

/// A span id: 8 bytes in big-endian order, not all zero.
/// Source: W3C Trace Context, "parent-id".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(NonZeroU64);

/// Why a text or byte string is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// All bytes are zero, which the standards reserve for "no id".
    #[error("the id is all zero")]
    Zero,
    /// The byte string has not exactly 16 (trace) or 8 (span) bytes.
    #[error("the id has the wrong length")]
    Length,
    /// The text has a character outside 0-9, a-f, A-F.
    #[error("the id is not hexadecimal")]
    NotHex,
}

impl TraceId {
    /// The id with these bytes.
    ///
    /// # Errors
    /// [`IdError::Length`] unless there are 16 bytes, [`IdError::Zero`] if all are zero.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
        let bytes: [u8; 16] = bytes.try_into().map_err(|_| IdError::Length)?;
        Self::from_bytes(bytes).ok_or(IdError::Zero)
    }

    /// The id with these bytes, or none if all are zero.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// The id that comes before all others.
    pub(crate) const SMALLEST: Self = Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// The id whose upper and lower 64 bits these are, or none if both are zero.
    pub fn from_halves(high: u64, low: u64) -> Option<Self> {
        Self::from_bytes(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
    }

    /// Reads 1 to 32 hexadecimal digits in any case, padded with zeros on the left.
    ///
    /// # Errors
    /// As [`IdError`] says.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let number = parse_hex(text, 32)?;
        Self::from_bytes(number.to_be_bytes()).ok_or(IdError::Zero)
    }

    /// The 16 bytes, big-endian.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The upper 64 bits; zero for a 64-bit id.
    pub fn high(self) -> u64 {
        (u128::from_be_bytes(self.0) >> 64) as u64
    }

    /// The lower 64 bits, which strict and lenient lookups share.
    pub fn low(self) -> u64 {
        u128::from_be_bytes(self.0) as u64
    }
}

impl SpanId {
    /// The id with these bytes.
    ///
    /// # Errors
    /// [`IdError::Length`] unless there are 8 bytes, [`IdError::Zero`] if all are zero.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
        let bytes: [u8; 8] = bytes.try_into().map_err(|_| IdError::Length)?;
        Self::from_u64(u64::from_be_bytes(bytes)).ok_or(IdError::Zero)
    }

    /// The id with this big-endian value, or none for zero.
    pub fn from_u64(value: u64) -> Option<Self> {
        NonZeroU64::new(value).map(Self)
    }

    /// Reads 1 to 16 hexadecimal digits in any case, padded with zeros on the left.
    ///
    /// # Errors
    /// As [`IdError`] says.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let number = parse_hex(text, 16)?;
        Self::from_u64(number as u64).ok_or(IdError::Zero)
    }

    /// The big-endian value, never zero.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The 8 bytes, big-endian.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }
}

fn parse_hex(text: &str, digits_max: usize) -> Result<u128, IdError> {
    if text.is_empty() || text.len() > digits_max {
        return Err(if text.bytes().all(|b| b.is_ascii_hexdigit()) { IdError::Length } else { IdError::NotHex });
    }
    text.chars().try_fold(0u128, |number, c| {
        let digit = c.to_digit(16).ok_or(IdError::NotHex)?;
        Ok((number << 4) | u128::from(digit))
    })
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_trace_id_is_padded_on_the_left() {
        let id = TraceId::parse("AbC").unwrap();
        assert_eq!(id.to_string(), format!("{:0>32}", "abc"));
        assert_eq!((id.high(), id.low()), (0, 0xabc));
    }

    #[test]
    fn bad_ids_say_what_is_wrong() {
        assert_eq!(TraceId::parse(""), Err(IdError::Length));
        assert_eq!(TraceId::parse("0000"), Err(IdError::Zero));
        assert_eq!(TraceId::parse("xyz"), Err(IdError::NotHex));
        assert_eq!(TraceId::parse(&"1".repeat(33)), Err(IdError::Length));
        assert_eq!(SpanId::from_slice(&[1; 7]), Err(IdError::Length));
        assert_eq!(SpanId::from_slice(&[0; 8]), Err(IdError::Zero));
    }
}

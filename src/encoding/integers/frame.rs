//! The codecs that hold values directly, with or without scaling: what other codecs may hold inside.

use super::bits::Lane;
use super::{IntegerCodec, bitpack, constant, patched, raw, scaled, split_codec};
use crate::error::{Error, Result};

/// Decodes a frame or scaled page into all of `out`.
pub fn decode<T: Lane>(page: &[u8], out: &mut [T]) -> Result<()> {
    match split_codec(page)? {
        (IntegerCodec::Scaled, body) => scaled::decode(body, out),
        _ => decode_unscaled(page, out),
    }
}

/// One value of a frame or scaled page.
pub fn at(page: &[u8], count: usize, index: usize) -> Result<u64> {
    match split_codec(page)? {
        (IntegerCodec::Scaled, body) => scaled::at(body, count, index),
        _ => at_unscaled(page, count, index),
    }
}

/// Decodes a frame into all of `out`.
pub fn decode_unscaled<T: Lane>(page: &[u8], out: &mut [T]) -> Result<()> {
    let (codec, body) = split_codec(page)?;
    match codec {
        IntegerCodec::Constant => constant::decode(body, out),
        IntegerCodec::Raw => raw::decode(body, out),
        IntegerCodec::Bitpack => bitpack::decode(body, out),
        IntegerCodec::Patched => patched::decode(body, out),
        nested => Err(misplaced(nested)),
    }
}

/// One value of a frame.
pub fn at_unscaled(page: &[u8], count: usize, index: usize) -> Result<u64> {
    let (codec, body) = split_codec(page)?;
    match codec {
        IntegerCodec::Constant => constant::at(body),
        IntegerCodec::Raw => raw::at(body, index),
        IntegerCodec::Bitpack => bitpack::at(body, count, index),
        IntegerCodec::Patched => patched::at(body, count, index),
        nested => Err(misplaced(nested)),
    }
}

/// Bytes of the smallest frame or scaled page for these values.
pub fn size(values: &[u64]) -> usize {
    if values.iter().all(|v| Some(v) == values.first()) {
        return constant::size(values);
    }
    let plain = patched::size(values);
    scaled::size(values).map_or(plain, |scaled| scaled.min(plain)).min(raw::size(values))
}

/// Appends the smallest frame or scaled page.
pub fn encode(values: &[u64], out: &mut Vec<u8>) {
    if values.iter().all(|v| Some(v) == values.first()) {
        return constant::encode(values, out);
    }
    if !scaled::encode(values, out) {
        encode_unscaled(values, out);
    }
}

/// Appends the smaller of a patched and a raw page.
pub fn encode_unscaled(values: &[u64], out: &mut Vec<u8>) {
    let plan = patched::Plan::of(values);
    if plan.size() < raw::size(values) { plan.encode(values, out) } else { raw::encode(values, out) }
}

fn misplaced(codec: IntegerCodec) -> Error {
    Error::corrupt(format!("integer page: a {codec:?} page stands inside another where only values may"))
}

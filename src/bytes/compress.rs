//! zstd at level 1, for free text.

use crate::error::{Error, Result, ensure};

/// Compresses `bytes` onto the end of `out`.
pub fn compress(bytes: &[u8], out: &mut Vec<u8>) {
    thread_local! {
        static CONTEXT: std::cell::RefCell<zstd::bulk::Compressor<'static>> =
            std::cell::RefCell::new(zstd::bulk::Compressor::new(1).expect("zstd has a level 1"));
    }
    let first = out.len();
    out.resize(first + zstd::zstd_safe::compress_bound(bytes.len()), 0);
    let written = CONTEXT
        .with_borrow_mut(|c| c.compress_to_buffer(bytes, &mut out[first..]).expect("the buffer has zstd's own bound"));
    out.truncate(first + written);
}

/// Decompresses `bytes`, which must unpack to exactly `len` bytes, into `out` (cleared first).
///
/// # Errors
/// Corrupt if `len` is above `len_max` or the bytes are not that zstd frame.
pub fn decompress_into(bytes: &[u8], len: usize, len_max: usize, out: &mut Vec<u8>) -> Result<()> {
    thread_local! {
        static CONTEXT: std::cell::RefCell<zstd::bulk::Decompressor<'static>> =
            std::cell::RefCell::new(zstd::bulk::Decompressor::new().expect("zstd makes a context"));
    }
    ensure(len <= len_max, || format!("compressed text claims {len} bytes, more than {len_max}"))?;
    out.clear();
    out.resize(len, 0);
    let got = CONTEXT
        .with_borrow_mut(|c| c.decompress_to_buffer(bytes, &mut out[..]))
        .map_err(|e| Error::corrupt(format!("compressed text does not unpack: {e}")))?;
    ensure(got == len, || format!("compressed text unpacks to {got} bytes, expected {len}"))
}

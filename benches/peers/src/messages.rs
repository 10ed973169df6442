//! OTLP messages of a file: a row of length-delimited ones, or one message.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The first byte of a message: field 1, length-delimited.
const RESOURCE_SPANS: u8 = 0x0a;
/// A row of messages whose first has ten bytes begins with the same byte; its third is then a length of at most this.
const SHORT_LEN_MAX: u8 = 8;
const MESSAGE_BYTES_MAX: u64 = 1 << 30;

/// Hands each message of the file to `visit`. One message is held in memory at a time.
pub fn for_each_message(path: &Path, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let length = file.metadata()?.len();
    let mut input = BufReader::with_capacity(1 << 20, file);
    let mut first = [0; 3];
    let known = (&mut input).take(3).read(&mut first)?;
    let mut message = first[..known].to_vec();
    if is_one_message(&message) {
        ensure!(length <= MESSAGE_BYTES_MAX, "{} is one message of {length} bytes", path.display());
        input.read_to_end(&mut message)?;
        return visit(&message);
    }
    let mut input = message.as_slice().chain(input).take(length);
    let mut message = Vec::new();
    while let Some(length) = read_varint(&mut input)? {
        ensure!(length <= MESSAGE_BYTES_MAX, "a message of {length} bytes in {}", path.display());
        message.clear();
        (&mut input).take(length).read_to_end(&mut message)?;
        ensure!(message.len() as u64 == length, "{} ends within a message", path.display());
        visit(&message)?;
    }
    Ok(())
}

fn is_one_message(first: &[u8]) -> bool {
    first.first() == Some(&RESOURCE_SPANS) && first.get(2).is_none_or(|byte| *byte > SHORT_LEN_MAX)
}

/// The next varint; `None` at the end of the input.
fn read_varint(input: &mut impl Read) -> Result<Option<u64>> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        if input.read(&mut byte)? == 0 {
            ensure!(shift == 0, "the file ends within the length of a message");
            return Ok(None);
        }
        value |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            return Ok(Some(value));
        }
    }
    anyhow::bail!("this is not the length of a message")
}

/// Writes messages to a file, each preceded by its length.
pub fn write_messages(path: &Path, messages: impl Iterator<Item = Vec<u8>>) -> Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    for message in messages {
        let mut length = Vec::new();
        prost::encoding::encode_varint(message.len() as u64, &mut length);
        out.write_all(&length)?;
        out.write_all(&message)?;
    }
    Ok(out.flush()?)
}

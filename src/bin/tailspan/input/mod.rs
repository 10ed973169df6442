//! Input files: opened, decompressed, and split into messages while they are read.
//!
//! ```text
//! file or stdin -> gzip, zstd or plain -> chunks of 1 MiB -> splitter -> parcels of whole messages
//! ```
//!
//! Nothing is held whole but one message: a file of any size passes through in constant memory, and a
//! document longer than [`LONG_DOCUMENT_BYTES`] is cut between its elements. What cannot be read becomes
//! a [`Piece::Bad`] with its place, and reading goes on behind it.

mod json;
mod open;
mod protobuf;
mod sniff;

use std::io::{self, Read};
use std::ops::Range;

pub use open::{Source, check};
pub use sniff::Format;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// A document past this length is cut between two elements and handed on in parts.
const LONG_DOCUMENT_BYTES: usize = 4 << 20;
/// Bytes of one message; the library's default limit. A longer one is passed over.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// Consecutive pieces of one input, in one buffer.
#[derive(Debug, Default)]
pub struct Parcel {
    /// The bytes of the messages.
    pub bytes: Vec<u8>,
    /// The pieces, in the order of the input.
    pub pieces: Vec<Piece>,
    /// Bytes of the input file this parcel brings the reader past, as stored (compressed).
    pub read_bytes: u64,
}

/// A message, or what was found where one should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A whole message: its format, its bytes in [`Parcel::bytes`], where it began.
    Message(Format, Range<usize>, Place),
    /// Something unreadable: where, and what is wrong with it.
    Bad(Place, String),
}

/// A place in an input, for people: a line of text or an offset of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The line, from 1.
    Line(u64),
    /// The offset, decompressed.
    Byte(u64),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Byte(offset) => write!(f, "byte {offset}"),
        }
    }
}

impl Parcel {
    fn message(&mut self, format: Format, parts: &[&[u8]], place: Place) {
        let start = self.bytes.len();
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.pieces.push(Piece::Message(format, start..self.bytes.len(), place));
    }

    /// Something unreadable.
    pub fn bad(&mut self, place: Place, problem: impl Into<String>) {
        self.pieces.push(Piece::Bad(place, problem.into()));
    }
}

/// Finds messages in a stream of bytes that arrives in chunks.
trait Splitter {
    /// Bytes that the next chunk must begin with, if this splitter takes chunks whole.
    fn carried(&mut self) -> Vec<u8> {
        Vec::new()
    }
    /// Takes the next chunk and hands on the messages it completes, in the chunk itself if that saves a copy.
    fn feed(&mut self, chunk: Vec<u8>, parcel: &mut Parcel);
    /// Hands on, or complains about, what is left at the end of the input.
    fn finish(&mut self, parcel: &mut Parcel);
}

/// Reads a source to its end and passes its messages to `deliver`, parcel by parcel.
///
/// Trouble with the input itself (a truncated gzip file) is a bad piece, not an error: what came before
/// it counts.
///
/// # Errors
/// Only those of `deliver`.
pub fn read<E>(
    mut source: Source,
    format: Option<Format>,
    mut deliver: impl FnMut(Parcel) -> Result<(), E>,
) -> Result<(), E> {
    let mut splitter: Option<Box<dyn Splitter>> = None;
    let mut offset = 0;
    loop {
        let mut parcel = Parcel::default();
        let mut chunk = splitter.as_mut().map(|splitter| splitter.carried()).unwrap_or_default();
        let carried = chunk.len();
        chunk.resize(carried + CHUNK_BYTES, 0);
        let (len, problem) = fill(&mut source, chunk.get_mut(carried..).unwrap_or_default());
        chunk.truncate(carried + len);
        if !chunk.is_empty() {
            splitter.get_or_insert_with(|| splitter_for(format, &chunk)).feed(chunk, &mut parcel);
        }
        offset += len as u64;
        let at_end = problem.is_some() || len == 0;
        if at_end && let Some(splitter) = &mut splitter {
            splitter.finish(&mut parcel);
        }
        if let Some(problem) = problem {
            parcel.bad(Place::Byte(offset), format!("the rest of the file cannot be read: {problem}"));
        }
        parcel.read_bytes = source.take_read_bytes();
        deliver(parcel)?;
        if at_end {
            return Ok(());
        }
    }
}

fn splitter_for(format: Option<Format>, start: &[u8]) -> Box<dyn Splitter> {
    match format.unwrap_or_else(|| sniff::format_of(start)) {
        Format::Otlp if sniff::is_single_message(start) => Box::new(protobuf::SingleMessage::default()),
        Format::Otlp => Box::new(protobuf::Delimited::default()),
        text => Box::new(json::Documents::new(text)),
    }
}

/// Fills the chunk: to the brim from a file, with what is there from a pipe, so that a live stream is not
/// held up. Returns how much came and what went wrong after it.
fn fill(source: &mut Source, chunk: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut len = 0;
    while let Some(rest) = chunk.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return (len, Some(e)),
        }
        // The first bytes must be enough to sniff, whatever small pieces a pipe hands out.
        if source.is_live() && len >= sniff::BYTES_MIN {
            break;
        }
    }
    (len, None)
}

#[cfg(test)]
mod tests;

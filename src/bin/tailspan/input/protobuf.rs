//! OTLP protobuf: a row of length-delimited messages, or one message of any length.
//!
//! One message is a row of `resource_spans` fields, and any run of them is a message again: so a long one
//! is handed on in runs of fields without ever being held whole.

use super::sniff::Format;
use super::{LONG_DOCUMENT_BYTES, MESSAGE_BYTES_MAX, Parcel, Piece, Place, Splitter};

/// Bytes of the longest varint.
const VARINT_BYTES_MAX: usize = 10;

/// Bytes not yet handed on, and where they began.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    offset: u64,
    /// Set after something that leaves no way to find the next message.
    lost: bool,
}

impl Pending {
    fn consume(&mut self, len: usize) {
        self.bytes.drain(..len);
        self.offset += len as u64;
    }

    fn lose(&mut self, parcel: &mut Parcel, at: usize, problem: &str) {
        parcel.bad(Place::Byte(self.offset + at as u64), format!("{problem}; the rest of the file is passed over"));
        self.lost = true;
        self.bytes = Vec::new();
    }
}

/// What the bytes at some position hold.
enum Frame {
    /// A whole frame: where its body begins and ends.
    Whole { body: usize, end: usize },
    /// The rest has not arrived.
    Partial,
    /// No frame can begin so.
    Bad(&'static str),
}

/// Messages, each preceded by its length as a varint.
#[derive(Default)]
pub struct Delimited(Pending);

impl Splitter for Delimited {
    fn carried(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0.bytes)
    }

    fn feed(&mut self, mut chunk: Vec<u8>, parcel: &mut Parcel) {
        let pending = &mut self.0;
        if pending.lost {
            return;
        }
        let mut at = 0;
        loop {
            match delimited_frame(&chunk, at) {
                Frame::Whole { body, end } => {
                    if body < end {
                        let place = Place::Byte(pending.offset + at as u64);
                        parcel.pieces.push(Piece::Message(Format::Otlp, body..end, place));
                    }
                    at = end;
                }
                Frame::Partial => break,
                Frame::Bad(problem) => {
                    pending.lose(parcel, at, problem);
                    break;
                }
            }
        }
        if !pending.lost {
            // A chunk that ends no message is carried on as it is.
            pending.bytes = if at == 0 { std::mem::take(&mut chunk) } else { chunk.split_off(at) };
            pending.offset += at as u64;
        }
        parcel.bytes = chunk;
    }

    fn finish(&mut self, parcel: &mut Parcel) {
        if !self.0.bytes.is_empty() {
            let problem = "the last message is cut off";
            parcel.bad(Place::Byte(self.0.offset), problem);
        }
    }
}

/// One message, handed on in runs of its top-level fields.
#[derive(Default)]
pub struct SingleMessage(Pending);

impl Splitter for SingleMessage {
    fn feed(&mut self, chunk: Vec<u8>, parcel: &mut Parcel) {
        let pending = &mut self.0;
        if pending.lost {
            return;
        }
        pending.bytes.extend_from_slice(&chunk);
        // The scan begins anew with each chunk, but it skips from field to field.
        let mut at = 0;
        loop {
            match field_frame(&pending.bytes, at) {
                Frame::Whole { end, .. } => at = end,
                Frame::Partial => break,
                Frame::Bad(problem) => {
                    hand_on(pending, at, parcel);
                    return pending.lose(parcel, 0, problem);
                }
            }
        }
        if at >= LONG_DOCUMENT_BYTES {
            hand_on(pending, at, parcel);
        }
    }

    fn finish(&mut self, parcel: &mut Parcel) {
        let pending = &mut self.0;
        let mut at = 0;
        while let Frame::Whole { end, .. } = field_frame(&pending.bytes, at) {
            at = end;
        }
        hand_on(pending, at, parcel);
        if !pending.bytes.is_empty() {
            parcel.bad(Place::Byte(pending.offset), "the message is cut off");
        }
    }
}

fn hand_on(pending: &mut Pending, len: usize, parcel: &mut Parcel) {
    if let Some(run) = pending.bytes.get(..len).filter(|run| !run.is_empty()) {
        parcel.message(Format::Otlp, &[run], Place::Byte(pending.offset));
        pending.consume(len);
    }
}

fn delimited_frame(bytes: &[u8], at: usize) -> Frame {
    match varint(bytes, at) {
        Varint::Value(len, body) => sized_frame(bytes, body, len),
        Varint::Partial => Frame::Partial,
        Varint::Bad => Frame::Bad("this is not the length of a message"),
    }
}

/// One field of a message: its tag, and a value of the length its wire type says.
fn field_frame(bytes: &[u8], at: usize) -> Frame {
    let (tag, body) = match varint(bytes, at) {
        Varint::Value(tag, body) => (tag, body),
        Varint::Partial => return Frame::Partial,
        Varint::Bad => return Frame::Bad("this is not a protobuf message"),
    };
    match tag & 7 {
        _ if tag >> 3 == 0 => Frame::Bad("this is not an OTLP protobuf message"),
        0 => match varint(bytes, body) {
            Varint::Value(_, end) => Frame::Whole { body, end },
            Varint::Partial => Frame::Partial,
            Varint::Bad => Frame::Bad("this is not a protobuf message"),
        },
        1 => sized_frame(bytes, body, 8),
        2 => delimited_frame(bytes, body),
        5 => sized_frame(bytes, body, 4),
        _ => Frame::Bad("this is not an OTLP protobuf message"),
    }
}

fn sized_frame(bytes: &[u8], body: usize, len: u64) -> Frame {
    match usize::try_from(len) {
        Ok(len) if len > MESSAGE_BYTES_MAX => Frame::Bad("a message of more than 256 MiB, or not a message"),
        Ok(len) if len <= bytes.len().saturating_sub(body) => Frame::Whole { body, end: body + len },
        Ok(_) => Frame::Partial,
        Err(_) => Frame::Bad("a message of more than 256 MiB, or not a message"),
    }
}

enum Varint {
    /// The value and where it ends.
    Value(u64, usize),
    Partial,
    Bad,
}

fn varint(bytes: &[u8], at: usize) -> Varint {
    let mut value = 0u64;
    for (position, byte) in bytes.iter().skip(at).take(VARINT_BYTES_MAX).enumerate() {
        if position == VARINT_BYTES_MAX - 1 && *byte > 1 {
            return Varint::Bad;
        }
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return Varint::Value(value, at + position + 1);
        }
    }
    if bytes.len().saturating_sub(at) >= VARINT_BYTES_MAX { Varint::Bad } else { Varint::Partial }
}

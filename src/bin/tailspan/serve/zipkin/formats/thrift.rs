//! Version 1 as thrift: a list of structs in TBinaryProtocol, as zipkinCore.thrift defines them.
//!
//! ```text
//! list:   type of elements (12: struct) | i32 count | elements
//! struct: (type | i16 number | value)* | 0
//! string: i32 bytes | bytes            integers: big-endian
//! ```
//! The reader holds nothing but the bytes at hand, so that a length which claims more than there is costs nothing; the
//! crate of the Thrift project allocates what a length claims. Unknown fields are passed over, to a bounded depth.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::super::refusal::Refusal;
use super::v1::{V1Annotation, V1Binary, V1Span, convert};
use super::v2::{V2Endpoint, V2List};
use super::{SPAN_BYTES_MAX, malformed, no_list, too_large};

const FORMAT: &str = "THRIFT";
/// How deep lists and structs may lie in each other.
const DEPTH_MAX: usize = 16;

/// Annotations of a span: each takes more memory than bytes.
const PARTS_MAX: usize = 1 << 16;

const BOOL: u8 = 2;
const BYTE: u8 = 3;
const DOUBLE: u8 = 4;
const I16: u8 = 6;
const I32: u8 = 8;
const I64: u8 = 10;
const STRING: u8 = 11;
const STRUCT: u8 = 12;
const MAP: u8 = 13;
const SET: u8 = 14;
const LIST: u8 = 15;

/// `AnnotationType` of a binary annotation.
const TYPE_BOOL: i32 = 0;
const TYPE_I16: i32 = 2;
const TYPE_I32: i32 = 3;
const TYPE_I64: i32 = 4;
const TYPE_DOUBLE: i32 = 5;
const TYPE_STRING: i32 = 6;

/// What is wrong with the bytes.
type Parsed<T> = Result<T, &'static str>;

/// Reads a list, span by span.
pub fn read(message: &[u8], out: &mut V2List) -> Result<(), Refusal> {
    let mut bytes = Bytes(message);
    // Some old clients say that the elements are strings.
    let count = match bytes.u8() {
        Ok(STRUCT | STRING) => bytes.count().map_err(|_| no_list(FORMAT))?,
        _ => return Err(no_list(FORMAT)),
    };
    for number in 0..count {
        let left = bytes.0;
        bytes.0 = &left[..left.len().min(SPAN_BYTES_MAX)];
        let span = span(&mut bytes).map_err(|why| match left.len() > SPAN_BYTES_MAX {
            true => too_large(FORMAT, number),
            false => malformed(FORMAT, format_args!("span {number}: {why}")),
        })?;
        let taken = left.len().min(SPAN_BYTES_MAX) - bytes.0.len();
        bytes.0 = &left[taken..];
        convert(&span).iter().try_for_each(|span| out.push(span))?;
    }
    Ok(())
}

/// The bytes that are left.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn take(&mut self, len: usize) -> Parsed<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| "it ends too early")
    }

    fn u8(&mut self) -> Parsed<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn i16(&mut self) -> Parsed<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Parsed<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Parsed<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// A length: of bytes, or of elements that have a byte at least.
    fn count(&mut self) -> Parsed<usize> {
        let count = usize::try_from(self.i32()?).map_err(|_| "a length is negative")?;
        if count > self.0.len() { Err("a length is longer than the message") } else { Ok(count) }
    }

    fn bytes(&mut self) -> Parsed<&'b [u8]> {
        let len = self.count()?;
        self.take(len)
    }

    fn text(&mut self) -> Parsed<String> {
        std::str::from_utf8(self.bytes()?).map(str::to_owned).map_err(|_| "a text is not UTF-8")
    }

    /// Reads a struct: `field` is given type and number of each field, and says whether it read the value.
    fn each_field(&mut self, mut field: impl FnMut(&mut Self, u8, i16) -> Parsed<bool>) -> Parsed<()> {
        loop {
            let kind = self.u8()?;
            if kind == 0 {
                return Ok(());
            }
            let number = self.i16()?;
            if !field(self, kind, number)? {
                self.skip(kind, 0)?;
            }
        }
    }

    /// Reads a list of structs.
    fn each_struct(&mut self, mut each: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        let (kind, count) = (self.u8()?, self.count()?);
        if count > PARTS_MAX {
            return Err("it has too many annotations");
        }
        for _ in 0..count {
            if kind == STRUCT { each(self)? } else { self.skip(kind, 0)? }
        }
        Ok(())
    }

    /// Passes over a value.
    fn skip(&mut self, kind: u8, depth: usize) -> Parsed<()> {
        if depth > DEPTH_MAX {
            return Err("it is nested too deeply");
        }
        match kind {
            BOOL | BYTE => self.take(1).map(drop),
            I16 => self.take(2).map(drop),
            I32 => self.take(4).map(drop),
            I64 | DOUBLE => self.take(8).map(drop),
            STRING => self.bytes().map(drop),
            STRUCT => loop {
                let kind = self.u8()?;
                if kind == 0 {
                    return Ok(());
                }
                self.i16()?;
                self.skip(kind, depth + 1)?;
            },
            LIST | SET => {
                let kind = self.u8()?;
                let count = self.count()?;
                (0..count).try_for_each(|_| self.skip(kind, depth + 1))
            }
            MAP => {
                let (key, value) = (self.u8()?, self.u8()?);
                let count = self.count()?;
                (0..count).try_for_each(|_| {
                    self.skip(key, depth + 1)?;
                    self.skip(value, depth + 1)
                })
            }
            _ => Err("it has a field of an unknown type"),
        }
    }
}

fn span(bytes: &mut Bytes<'_>) -> Parsed<V1Span> {
    let (mut out, mut high, mut low, mut id) = (V1Span::default(), 0, 0, 0);
    bytes.each_field(|bytes, kind, number| {
        match (number, kind) {
            (1, I64) => low = bytes.i64()?,
            (3, STRING) => out.name = bytes.text()?,
            (4, I64) => id = bytes.i64()?,
            (5, I64) => out.parent_id = Some(bytes.i64()?).filter(|id| *id != 0).map(|id| format!("{id:016x}")),
            (6, LIST) => bytes.each_struct(|bytes| annotation(bytes).map(|found| out.annotations.push(found)))?,
            (8, LIST) => bytes.each_struct(|bytes| binary(bytes).map(|found| out.binary.extend(found)))?,
            (9, BOOL) => out.debug = bytes.u8()? != 0,
            (10, I64) => out.timestamp = micros(bytes.i64()?),
            (11, I64) => out.duration = micros(bytes.i64()?),
            (12, I64) => high = bytes.i64()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    out.trace_id = if high == 0 { format!("{low:016x}") } else { format!("{high:016x}{low:016x}") };
    out.id = format!("{id:016x}");
    Ok(out)
}

fn micros(time: i64) -> u64 {
    u64::try_from(time).unwrap_or(0)
}

fn annotation(bytes: &mut Bytes<'_>) -> Parsed<V1Annotation> {
    let mut out = V1Annotation::default();
    bytes.each_field(|bytes, kind, number| {
        match (number, kind) {
            (1, I64) => out.timestamp = micros(bytes.i64()?),
            (2, STRING) => out.value = bytes.text()?,
            (3, STRUCT) => out.endpoint = endpoint(bytes)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(out)
}

/// A tag or an address; bytes that are no text are passed over.
fn binary(bytes: &mut Bytes<'_>) -> Parsed<Option<V1Binary>> {
    let (mut key, mut value, mut kind_of_value, mut at) = (String::new(), &[][..], TYPE_STRING, None);
    bytes.each_field(|bytes, kind, number| {
        match (number, kind) {
            (1, STRING) => key = bytes.text()?,
            (2, STRING) => value = bytes.bytes()?,
            (3, I32) => kind_of_value = bytes.i32()?,
            (4, STRUCT) => at = endpoint(bytes)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let is_address = at.is_some() && matches!(&*key, "sa" | "ca" | "ma");
    let mut number = Bytes(value);
    let text = match kind_of_value {
        TYPE_BOOL if is_address => return Ok(Some(V1Binary { key, value: None, endpoint: at })),
        TYPE_BOOL => number.u8().map(|flag| (flag != 0).to_string()),
        TYPE_I16 => number.i16().map(|number| number.to_string()),
        TYPE_I32 => number.i32().map(|number| number.to_string()),
        TYPE_I64 => number.i64().map(|number| number.to_string()),
        TYPE_DOUBLE => number.array().map(|bits| f64::from_be_bytes(bits).to_string()),
        TYPE_STRING => std::str::from_utf8(value).map(str::to_owned).map_err(|_| "a text is not UTF-8"),
        _ => return Ok(None),
    };
    Ok(Some(V1Binary { key, value: Some(text?), endpoint: at }))
}

fn endpoint(bytes: &mut Bytes<'_>) -> Parsed<Option<V2Endpoint>> {
    let (mut name, mut ipv4, mut ipv6, mut port) = (String::new(), None, None, 0);
    bytes.each_field(|bytes, kind, number| {
        match (number, kind) {
            (1, I32) => ipv4 = Some(bytes.i32()?).filter(|ip| *ip != 0).map(|ip| Ipv4Addr::from(ip as u32)),
            (2, I16) => port = bytes.i16()? as u16,
            (3, STRING) => name = bytes.text()?,
            (4, STRING) => ipv6 = <[u8; 16]>::try_from(bytes.bytes()?).ok().map(Ipv6Addr::from),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(V2Endpoint::of(&name, ipv4, ipv6, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn field(kind: u8, number: i16, value: &[u8]) -> Vec<u8> {
        [&[kind][..], &number.to_be_bytes(), value].concat()
    }

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as i32).to_be_bytes()[..], text.as_bytes()].concat()
    }

    fn structs(each: &[Vec<u8>]) -> Vec<u8> {
        let mut out = [&[STRUCT][..], &(each.len() as i32).to_be_bytes()].concat();
        each.iter().for_each(|fields| out.extend(fields.iter().copied().chain([0])));
        out
    }

    fn host(name: &str) -> Vec<u8> {
        let ip = u32::from_be_bytes([10, 0, 0, 9]).to_be_bytes();
        [field(I32, 1, &ip), field(I16, 2, &9000i16.to_be_bytes()), field(STRING, 3, &text(name)), vec![0]].concat()
    }

    fn message() -> Vec<u8> {
        let annotation = |time: i64, value: &str| {
            [field(I64, 1, &time.to_be_bytes()), field(STRING, 2, &text(value)), field(STRUCT, 3, &host("Web"))]
                .concat()
        };
        let tag = [
            field(STRING, 1, &text("rows")),
            field(STRING, 2, &[&4i32.to_be_bytes()[..], &7i32.to_be_bytes()].concat()),
            field(I32, 3, &TYPE_I32.to_be_bytes()),
            field(STRUCT, 4, &host("Web")),
        ]
        .concat();
        let address = [
            field(STRING, 1, &text("sa")),
            field(STRING, 2, &[&1i32.to_be_bytes()[..], &[1]].concat()),
            field(I32, 3, &TYPE_BOOL.to_be_bytes()),
            field(STRUCT, 4, &host("db")),
        ]
        .concat();
        let unknown = field(MAP, 99, &[&[STRING, LIST][..], &1i32.to_be_bytes(), &text("k"), &[I16], &[0; 4]].concat());
        let span = [
            field(I64, 1, &0x22i64.to_be_bytes()),
            unknown,
            field(STRING, 3, &text("get")),
            field(I64, 4, &0x33i64.to_be_bytes()),
            field(I64, 5, &0x22i64.to_be_bytes()),
            field(LIST, 6, &structs(&[annotation(100, "cs"), annotation(150, "cr")])),
            field(LIST, 8, &structs(&[tag, address])),
            field(BOOL, 9, &[1]),
            field(I64, 12, &0x11i64.to_be_bytes()),
        ]
        .concat();
        structs(&[span])
    }

    fn read_all(message: &[u8]) -> Result<serde_json::Value, String> {
        let mut list = V2List::new(1 << 20);
        read(message, &mut list).map_err(|refusal| refusal.message)?;
        Ok(serde_json::from_slice(&list.finish()).expect("what was written is JSON"))
    }

    #[test]
    fn every_field_is_translated_and_unknown_ones_are_passed_over() {
        let expected = json!([{
            "traceId": "00000000000000110000000000000022", "parentId": "0000000000000022", "id": "0000000000000033",
            "kind": "CLIENT", "name": "get", "timestamp": 100, "duration": 50, "debug": true, "tags": {"rows": "7"},
            "localEndpoint": {"serviceName": "web", "ipv4": "10.0.0.9", "port": 9000},
            "remoteEndpoint": {"serviceName": "db", "ipv4": "10.0.0.9", "port": 9000},
        }]);
        assert_eq!(read_all(&message()), Ok(expected));
        assert_eq!(read_all(&[STRUCT, 0, 0, 0, 0]), Ok(json!([])));
    }

    #[test]
    fn what_is_no_list_is_refused_in_zipkins_words() {
        for message in [&b"[]"[..], b"{}", &[LIST], &[STRUCT, 0xff, 0, 0, 0], &[STRUCT, 0x7f, 0, 0, 0]] {
            assert_eq!(read_all(message).unwrap_err(), "Expected a THRIFT encoded list\n");
        }
    }

    #[test]
    fn every_cut_of_a_message_is_refused() {
        let whole = message();
        for len in 0..whole.len() {
            assert!(read_all(&whole[..len]).is_err(), "{len} of {}", whole.len());
        }
    }

    #[test]
    fn structs_in_structs_are_not_followed_without_end() {
        let mut span = vec![STRUCT, 0, 0, 0, 1];
        for _ in 0..1_000_000 {
            span.extend([STRUCT, 0, 77]);
        }
        let error = read_all(&span).unwrap_err();
        assert!(error.contains("nested too deeply"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_all(&[&[STRUCT, 0, 0, 0, 1][..], &bytes].concat());
        }
    }
}

//! Which format an input has, told from its first bytes.
//!
//! JSON begins with a bracket: `[` is a Zipkin list, `{` an OTLP document. All else is OTLP protobuf.
//! There a file is either one message, whose first byte is 0x0a (field 1, length-delimited), or a row of
//! messages each preceded by its length. Only a first message of exactly ten bytes makes both begin with
//! 0x0a; its third byte is then a length of at most 8, which as a field tag would be invalid.

use clap::ValueEnum;

/// A format of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// OTLP protobuf: one ExportTraceServiceRequest or TracesData, or a file of length-delimited ones
    Otlp,
    /// OTLP JSON: documents one after the other, usually one a line
    OtlpJson,
    /// Zipkin v2 JSON: one array, or one array a line
    ZipkinJson,
}

/// Bytes that are enough to decide.
pub const BYTES_MIN: usize = 16;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Tag of `ExportTraceServiceRequest.resource_spans`: field 1, wire type 2.
const TAG_RESOURCE_SPANS: u8 = 0x0a;

/// The format of an input that begins with these bytes.
pub fn format_of(start: &[u8]) -> Format {
    let text = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start).trim_ascii_start();
    match text {
        [] => Format::OtlpJson,
        [b'[', rest @ ..] if begins_list(rest) => Format::ZipkinJson,
        [b'{', rest @ ..] if begins_object(rest) => Format::OtlpJson,
        _ => Format::Otlp,
    }
}

/// True if this may follow the `[` of a list of objects. 0x5b may also be a length byte of protobuf, but
/// then a field of 0x7b bytes or more inside that length cannot follow.
fn begins_list(rest: &[u8]) -> bool {
    matches!(rest.trim_ascii_start().first(), None | Some(b'{' | b']'))
}

/// True if this may follow the `{` of an object. 0x7b may also be a length byte of protobuf, followed by
/// a line end (a tag) and a quote (a length): then comes another tag, below 0x20, where a key would be.
fn begins_object(rest: &[u8]) -> bool {
    match rest.trim_ascii_start() {
        [] | [b'}', ..] | [b'"'] => true,
        [b'"', key, ..] => *key >= 0x20,
        _ => false,
    }
}

/// True if OTLP protobuf that begins so is one message rather than length-delimited ones.
pub fn is_single_message(start: &[u8]) -> bool {
    match start {
        [TAG_RESOURCE_SPANS, TAG_RESOURCE_SPANS, third, ..] => *third > 8,
        [first, ..] => *first == TAG_RESOURCE_SPANS,
        [] => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_format() {
        assert_eq!(format_of(b" \n{\n  \"resourceSpans\""), Format::OtlpJson);
        assert_eq!(format_of(b"\xef\xbb\xbf[{\"traceId\""), Format::ZipkinJson);
        assert_eq!(format_of(b"\x0a\x7b\x0a\x10"), Format::Otlp);
        assert_eq!(format_of(b"\x7b\x0a\x79\x0a\x10"), Format::Otlp, "a delimited message of 123 = '{{' bytes");
        assert_eq!(format_of(b"\x0a\x7b\x0a\x22\x0a\x18"), Format::Otlp, "a resource of 34 = '\"' bytes");
    }

    #[test]
    fn a_length_of_ten_is_told_from_a_tag() {
        assert!(is_single_message(&[0x0a, 0x20, 0x0a]));
        assert!(is_single_message(&[0x0a, 0x0a, 0x12, 0x08]));
        assert!(!is_single_message(&[0x0a, 0x0a, 0x08, 0x12, 0x06]));
        assert!(!is_single_message(&[0xe8, 0x07, 0x0a]));
    }
}

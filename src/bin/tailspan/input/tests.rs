//! What every splitter promises: all good messages come out whole, whatever surrounds them and however
//! the bytes arrive.

use super::*;

/// Feeds the input in chunks of this many bytes and returns the messages and the places of bad pieces.
fn split(splitter: &mut dyn Splitter, input: &[u8], chunk_bytes: usize) -> (Vec<Vec<u8>>, Vec<String>) {
    let (mut messages, mut bad) = (Vec::new(), Vec::new());
    let mut take = |parcel: Parcel| {
        for piece in &parcel.pieces {
            match piece {
                Piece::Message(_, range, _) => messages.push(parcel.bytes[range.clone()].to_vec()),
                Piece::Bad(place, problem) => bad.push(format!("{place}: {problem}")),
            }
        }
    };
    for chunk in input.chunks(chunk_bytes) {
        let mut parcel = Parcel::default();
        let mut bytes = splitter.carried();
        bytes.extend_from_slice(chunk);
        splitter.feed(bytes, &mut parcel);
        take(parcel);
    }
    let mut parcel = Parcel::default();
    splitter.finish(&mut parcel);
    take(parcel);
    (messages, bad)
}

fn split_json(format: Format, input: &str) -> (Vec<String>, Vec<String>) {
    let whole = split(&mut json::Documents::new(format), input.as_bytes(), usize::MAX);
    for chunk_bytes in [1, 2, 7, 64] {
        let pieces = split(&mut json::Documents::new(format), input.as_bytes(), chunk_bytes);
        assert_eq!(pieces, whole, "in chunks of {chunk_bytes}");
    }
    (whole.0.into_iter().map(|m| String::from_utf8(m).unwrap()).collect(), whole.1)
}

#[test]
fn documents_may_be_a_line_or_many() {
    let pretty = "{\n  \"resourceSpans\": [\n    {\"a\": \"} \\\" {\"}\n  ]\n}";
    let input = format!("\u{feff}{{\"resourceSpans\":[]}}\n\n{pretty}\n{pretty}{{}}\r\n");
    let input = input.trim_start_matches('\u{feff}');
    let (messages, bad) = split_json(Format::OtlpJson, input);
    assert_eq!(messages, ["{\"resourceSpans\":[]}", pretty, pretty, "{}"]);
    assert_eq!(bad, [""; 0]);
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let (messages, bad) = split(&mut json::Documents::new(Format::OtlpJson), b"\xef\xbb\xbf{}", usize::MAX);
    assert_eq!((messages, bad.len()), (vec![b"{}".to_vec()], 0));
}

#[test]
fn a_broken_line_costs_only_itself() {
    let good = "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"name\":\"x\"}]}]}]}";
    for cut in 1..good.len() {
        let input = format!("{good}\n{}\n{good}\n{good}\n", &good[..cut]);
        let (messages, bad) = split_json(Format::OtlpJson, &input);
        assert_eq!(messages, [good; 3], "cut at {cut}");
        assert_eq!(bad.len(), 1, "cut at {cut}");
        assert!(bad[0].starts_with("line 2"), "{bad:?}");
    }
}

#[test]
fn garbage_is_reported_line_by_line() {
    let (messages, bad) = split_json(Format::OtlpJson, "hello\n{}\n{}}\nworld {}\n{}");
    assert_eq!(messages, ["{}", "{}", "{}"]);
    assert_eq!(bad.len(), 3);
    assert!(bad[0].starts_with("line 1:") && bad[1].starts_with("line 3:") && bad[2].starts_with("line 4:"));
}

#[test]
fn a_list_of_one_span_a_line_is_one_document() {
    let input = "[\n{\"id\":\"1\",\n\"tags\":\n{}},\n{\"id\":\"2\"}\n]\n";
    let (messages, bad) = split_json(Format::ZipkinJson, input);
    assert_eq!((messages.as_slice(), bad.len()), ([input.trim().to_owned()].as_slice(), 0));
}

#[test]
fn a_broken_list_costs_only_its_line() {
    for broken in ["[{\"id\":\"1\"", "[{\"id\":\"1\"},", "[", "[{\"annotations\":[", "[{\"id\":\"un"] {
        let (messages, bad) = split_json(Format::ZipkinJson, &format!("[{{}}]\n{broken}\n[{{}}]\n[]\n"));
        assert_eq!(messages, ["[{}]", "[{}]", "[]"], "{broken}");
        assert_eq!(bad.len(), 1, "{broken}");
    }
}

#[test]
fn a_document_that_never_ends_hides_no_later_one() {
    let (messages, bad) = split_json(Format::OtlpJson, "{\"a\":\n{}\n");
    assert_eq!((messages.as_slice(), bad.len()), (["{}".to_owned()].as_slice(), 1));
}

#[test]
fn a_long_list_is_cut_between_its_elements() {
    let element = format!("{{\"id\":\"{}\"}}", "x".repeat(1000));
    let count = 3 * LONG_DOCUMENT_BYTES / element.len();
    for (format, open, close) in [(Format::ZipkinJson, "[", "]"), (Format::OtlpJson, "{\"resourceSpans\" : [", "]}")] {
        let input = format!("{open}{} {close}\n", vec![element.as_str(); count].join(" ,\n"));
        let (messages, bad) = split(&mut json::Documents::new(format), input.as_bytes(), CHUNK_BYTES);
        assert_eq!(bad, [""; 0]);
        assert!(messages.len() >= 3, "{} parts", messages.len());
        let mut elements = 0;
        for message in &messages {
            let value: serde_json::Value = serde_json::from_slice(message).expect("each part is JSON");
            elements += value.as_array().or(value["resourceSpans"].as_array()).map_or(0, Vec::len);
        }
        assert_eq!(elements, count);
    }
}

#[test]
fn a_hostile_text_is_read_in_linear_time() {
    let input = "[\n".repeat(300_000);
    let (messages, bad) = split(&mut json::Documents::new(Format::OtlpJson), input.as_bytes(), CHUNK_BYTES);
    assert_eq!(messages.len(), 0);
    assert!(!bad.is_empty());
}

/// A message of `count` resource_spans fields of two bytes each.
fn message(count: usize) -> Vec<u8> {
    [0x0a, 0x02, 0x1a, 0x00].repeat(count)
}

fn delimit(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        prost::encoding::encode_varint(message.len() as u64, &mut bytes);
        bytes.extend_from_slice(message);
    }
    bytes
}

#[test]
fn length_delimited_messages_come_out_one_by_one() {
    let input = [message(1), message(200), message(0), message(3)];
    let bytes = delimit(&input);
    for chunk_bytes in [1, 3, 100, usize::MAX] {
        let (messages, bad) = split(&mut protobuf::Delimited::default(), &bytes, chunk_bytes);
        assert_eq!(messages, [message(1), message(200), message(3)], "the empty message holds nothing");
        assert_eq!(bad, [""; 0]);
    }
}

#[test]
fn a_cut_off_message_costs_only_itself() {
    let bytes = delimit(&[message(5), message(5)]);
    let (messages, bad) = split(&mut protobuf::Delimited::default(), &bytes[..bytes.len() - 1], 8);
    assert_eq!(messages, [message(5)]);
    assert_eq!(bad, ["byte 21: the last message is cut off"]);
}

#[test]
fn an_absurd_length_ends_the_file_with_a_report() {
    let mut bytes = delimit(&[message(5)]);
    bytes.extend_from_slice(&[0xff; 40]);
    let (messages, bad) = split(&mut protobuf::Delimited::default(), &bytes, 8);
    assert_eq!((messages.len(), bad.len()), (1, 1));
}

#[test]
fn one_message_is_handed_on_in_runs_of_fields() {
    let bytes = message(3 << 20);
    let (messages, bad) = split(&mut protobuf::SingleMessage::default(), &bytes, CHUNK_BYTES + 1);
    assert!(messages.len() >= 2);
    assert!(messages.iter().all(|m| m.len() % 4 == 0));
    assert_eq!((messages.concat() == bytes, bad.len()), (true, 0));
}

#[test]
fn every_format_and_compression_is_recognised() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"[{}]").unwrap();
    let gzip = gzip.finish().unwrap();
    let two_members = [gzip.clone(), gzip.clone()].concat();
    let zstd = zstd::encode_all(&b"{\"resourceSpans\":[]}"[..], 1).unwrap();
    let protobuf = delimit(&[message(2)]);
    let cases: [(&[u8], Format, usize); 5] = [
        (&gzip, Format::ZipkinJson, 1),
        (&two_members, Format::ZipkinJson, 2),
        (&zstd, Format::OtlpJson, 1),
        (&protobuf, Format::Otlp, 1),
        (b"", Format::Otlp, 0),
    ];
    for (bytes, expected, count) in cases {
        let mut formats = Vec::new();
        read(Source::of_bytes(bytes), None, |parcel| {
            formats.extend(parcel.pieces);
            Ok::<(), ()>(())
        })
        .unwrap();
        assert_eq!(formats.len(), count);
        assert!(formats.iter().all(|piece| matches!(piece, Piece::Message(format, ..) if *format == expected)));
    }
}

#[test]
fn a_cut_off_gzip_file_gives_what_came_before() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all("{\"resourceSpans\":[]}\n".repeat(1000).as_bytes()).unwrap();
    let bytes = gzip.finish().unwrap();
    let (mut messages, mut bad) = (0, 0);
    read(Source::of_bytes(&bytes[..bytes.len() / 2]), None, |parcel| {
        messages += parcel.pieces.iter().filter(|p| matches!(p, Piece::Message(..))).count();
        bad += parcel.pieces.iter().filter(|p| matches!(p, Piece::Bad(..))).count();
        Ok::<(), ()>(())
    })
    .unwrap();
    assert!(messages > 300, "{messages}");
    assert!((1..=2).contains(&bad), "the cut and the document in it, not {bad}");
}

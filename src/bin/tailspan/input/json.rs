//! JSON documents one after the other: one a line, pretty-printed over many lines, or a mixture.
//!
//! The splitter does not parse; it counts brackets outside strings, which is enough to find where a
//! document ends, and leaves judgement to the library. Its care is for broken documents, which must cost
//! only themselves. A document is broken where it can no longer be JSON:
//!
//! - a line ends inside a string,
//! - a line begins with a bracket where no value may begin, or with what only begins a document
//!   (`{"resourceSpans"`; in Zipkin's lists, a `[` inside a list).
//!
//! Reading then goes on at the next line that begins with a bracket, counted from the line the broken
//! document began in. A document longer than 4 MiB is handed on in parts, cut between the elements of
//! its list, so that even a file that is one long list passes through in constant memory.

use super::sniff::Format;
use super::{LONG_DOCUMENT_BYTES, MESSAGE_BYTES_MAX, Parcel, Place, Splitter};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How every OTLP document begins, as exporters write it.
const OTLP_START: &[u8] = b"{\"resourceSpans\"";
/// An OTLP document up to its list, without white space.
const OTLP_LIST: &[u8] = b"{\"resourceSpans\":[";
/// Bytes that may be scanned again after broken documents before the input is given the benefit of the
/// doubt no longer.
const RESCAN_BYTES_MIN: usize = 16 << 20;

/// Splits text into JSON documents.
pub struct Documents {
    format: Format,
    bytes: Vec<u8>,
    /// Start of what is not yet handed on or given up.
    head: usize,
    /// Line of `head`, from 1.
    line: u64,
    mode: Mode,
    rescan_bytes_left: usize,
}

#[derive(Clone, Copy)]
enum Mode {
    /// Before a document.
    Between,
    /// Inside one that begins at `head`.
    Inside(Scan),
    /// Passing over the rest of a line that is no document.
    SkipLine,
    /// Passing over lines until one begins with a bracket.
    SkipToBracket,
}

/// How far a document has been read.
#[derive(Clone, Copy)]
struct Scan {
    at: usize,
    depth: usize,
    string: bool,
    escaped: bool,
    /// The last byte that is not white space, outside strings.
    last: u8,
    line_start: bool,
    list: List,
}

/// The list a document may be cut in.
#[derive(Clone, Copy)]
struct List {
    /// Depth of the list's elements' surroundings; 0 while the list has not begun.
    depth: usize,
    /// End of the last whole element; 0 before it.
    element_end: usize,
    /// True once a part was handed on: `head` is then behind an element.
    cut: bool,
}

/// What a scan found.
enum Found {
    /// The document ends here.
    End(usize),
    /// It cannot be JSON from here on.
    Broken(usize),
    /// It is long, and an element ended here.
    Cut(usize),
    /// More bytes are needed.
    More,
}

impl Documents {
    /// A splitter of text in this format.
    pub fn new(format: Format) -> Self {
        Self { format, bytes: Vec::new(), head: 0, line: 1, mode: Mode::Between, rescan_bytes_left: RESCAN_BYTES_MIN }
    }

    fn run(&mut self, parcel: &mut Parcel, at_end: bool) {
        loop {
            let goes_on = match self.mode {
                Mode::Between => self.between(parcel),
                Mode::Inside(scan) => self.inside(scan, parcel, at_end),
                Mode::SkipLine => self.skip_line(),
                Mode::SkipToBracket => self.skip_to_bracket(),
            };
            if !goes_on {
                break;
            }
        }
        self.bytes.drain(..self.head);
        if let Mode::Inside(scan) = &mut self.mode {
            scan.at -= self.head;
            scan.list.element_end = scan.list.element_end.saturating_sub(self.head);
        }
        self.head = 0;
    }

    /// Moves `head`, counting lines.
    fn advance_to(&mut self, to: usize) {
        let passed = self.bytes.get(self.head..to).unwrap_or_default();
        self.line += passed.iter().filter(|b| **b == b'\n').count() as u64;
        self.head = to;
    }

    /// Passes over white space and commas to the next document. False if more bytes are needed.
    fn between(&mut self, parcel: &mut Parcel) -> bool {
        let rest = self.bytes.get(self.head..).unwrap_or_default();
        let blank = |b: &u8| b.is_ascii_whitespace() || *b == b',';
        let Some(skipped) = rest.iter().position(|b| !blank(b)) else {
            self.advance_to(self.bytes.len());
            return false;
        };
        let first = rest.get(skipped).copied();
        self.advance_to(self.head + skipped);
        self.mode = match first {
            Some(b'{' | b'[') => Mode::Inside(Scan::new(self.head)),
            _ => {
                parcel.bad(Place::Line(self.line), "this is not a JSON document");
                Mode::SkipLine
            }
        };
        true
    }

    fn inside(&mut self, mut scan: Scan, parcel: &mut Parcel, at_end: bool) -> bool {
        let found = scan.run(&self.bytes, self.head, self.format, at_end);
        match found {
            Found::End(end) => {
                self.hand_on(end, scan.list.cut, b"", parcel);
                self.mode = Mode::Between;
            }
            Found::Cut(end) => {
                let close: &[u8] = if self.format == Format::ZipkinJson { b"]" } else { b"]}" };
                self.hand_on(end, scan.list.cut, close, parcel);
                scan.list = List { element_end: 0, cut: true, ..scan.list };
                self.mode = Mode::Inside(scan);
            }
            Found::Broken(at) => self.give_up(at, "this is not a JSON document", parcel),
            Found::More if at_end => self.give_up(self.bytes.len(), "this document is cut off", parcel),
            Found::More if self.bytes.len() - self.head > MESSAGE_BYTES_MAX => {
                self.give_up(self.bytes.len(), "a document of more than 256 MiB", parcel);
                self.rescan_bytes_left = 0;
            }
            Found::More => {
                self.mode = Mode::Inside(scan);
                return false;
            }
        }
        true
    }

    /// Hands on the document up to `end`, opened again if an earlier part was cut off, closed by `close`.
    fn hand_on(&mut self, end: usize, cut: bool, close: &[u8], parcel: &mut Parcel) {
        let mut body = self.bytes.get(self.head..end).unwrap_or_default();
        let mut open: &[u8] = b"";
        let mut last: &[u8] = close;
        if cut {
            body = body.trim_ascii_start();
            body = body.strip_prefix(b",").unwrap_or(body);
            open = if self.format == Format::ZipkinJson { b"[" } else { OTLP_LIST };
        } else if self.format == Format::ZipkinJson && body.first() == Some(&b'{') {
            // A span a line, without the list around it.
            (open, last) = (b"[", b"]");
        }
        parcel.message(self.format, &[open, body, last], Place::Line(self.line));
        self.advance_to(end);
    }

    /// Reports the document at `head`, broken at `at`, and looks for the next one.
    fn give_up(&mut self, at: usize, problem: &str, parcel: &mut Parcel) {
        parcel.bad(Place::Line(self.line), problem);
        let scanned = at - self.head;
        self.mode = Mode::SkipToBracket;
        match self.rescan_bytes_left.checked_sub(scanned) {
            Some(left) => self.rescan_bytes_left = left,
            // Too much was read twice already: go on where this document broke.
            None => {
                let line_start = at > self.head && self.bytes.get(at - 1) == Some(&b'\n');
                self.advance_to(if line_start { at - 1 } else { at });
            }
        }
    }

    /// Passes the end of the line. False if it has not arrived.
    fn skip_line(&mut self) -> bool {
        let rest = self.bytes.get(self.head..).unwrap_or_default();
        match rest.iter().position(|b| *b == b'\n') {
            Some(end) => {
                self.advance_to(self.head + end + 1);
                self.mode = Mode::Between;
                true
            }
            None => {
                self.advance_to(self.bytes.len());
                false
            }
        }
    }

    /// Passes one line end and, unless a bracket follows it, stays in this mode. False if more is needed.
    fn skip_to_bracket(&mut self) -> bool {
        let rest = self.bytes.get(self.head..).unwrap_or_default();
        match rest.windows(2).position(|pair| matches!(pair, [b'\n', b'{' | b'['])) {
            Some(end) => {
                self.advance_to(self.head + end + 1);
                self.mode = Mode::Between;
                true
            }
            None => {
                // The last byte may be the line end in question.
                self.advance_to(self.bytes.len().saturating_sub(1).max(self.head));
                false
            }
        }
    }
}

impl Splitter for Documents {
    fn feed(&mut self, chunk: Vec<u8>, parcel: &mut Parcel) {
        let first = self.line == 1 && self.bytes.is_empty() && matches!(self.mode, Mode::Between);
        let bytes = if first { chunk.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&chunk) } else { &chunk[..] };
        self.bytes.extend_from_slice(bytes);
        self.rescan_bytes_left = self.rescan_bytes_left.saturating_add(bytes.len());
        self.run(parcel, false);
    }

    fn finish(&mut self, parcel: &mut Parcel) {
        self.run(parcel, true);
    }
}

impl Scan {
    fn new(at: usize) -> Self {
        let list = List { depth: 0, element_end: 0, cut: false };
        Self { at, depth: 0, string: false, escaped: false, last: 0, line_start: false, list }
    }

    /// Reads on from where the last call stopped.
    fn run(&mut self, bytes: &[u8], head: usize, format: Format, at_end: bool) -> Found {
        while let Some(byte) = bytes.get(self.at).copied() {
            if self.string {
                if byte == b'\n' {
                    return Found::Broken(self.at);
                }
                self.string_byte(byte);
                self.at += 1;
                continue;
            }
            if self.line_start && self.depth > 0 && matches!(byte, b'{' | b'[') {
                let rest = bytes.get(self.at..).unwrap_or_default();
                if rest.len() < OTLP_START.len() && !at_end {
                    return Found::More;
                }
                if self.cannot_begin_a_value(rest, format) {
                    return Found::Broken(self.at);
                }
            }
            self.at += 1;
            match self.outside_byte(byte, bytes, head, format) {
                Some(found) => return found,
                None => continue,
            }
        }
        Found::More
    }

    fn string_byte(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => {
                self.string = false;
                self.last = b'"';
            }
            _ => {}
        }
    }

    /// Takes a byte outside strings; `at` is already behind it.
    fn outside_byte(&mut self, byte: u8, bytes: &[u8], head: usize, format: Format) -> Option<Found> {
        self.line_start = byte == b'\n';
        match byte {
            b'"' => self.string = true,
            b'{' => self.depth += 1,
            b'[' => {
                self.depth += 1;
                if self.list.depth == 0 && opens_list(bytes.get(head..self.at).unwrap_or_default(), self.depth, format)
                {
                    self.list.depth = self.depth;
                }
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    return Some(Found::End(self.at));
                }
                if self.depth == self.list.depth {
                    self.list.element_end = self.at;
                    if self.at - head > LONG_DOCUMENT_BYTES {
                        self.last = byte;
                        return Some(Found::Cut(self.at));
                    }
                }
            }
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            self.last = byte;
        }
        None
    }

    /// True if a bracket here, at the start of a line, can only be that of another document.
    fn cannot_begin_a_value(&self, rest: &[u8], format: Format) -> bool {
        if !matches!(self.last, b'[' | b',' | b':') {
            return true;
        }
        match format {
            Format::ZipkinJson => rest.first() == Some(&b'[') && self.last != b':',
            _ => rest.starts_with(OTLP_START),
        }
    }
}

/// True if the document up to here, its last byte a `[`, has just begun the list it consists of.
fn opens_list(start: &[u8], depth: usize, format: Format) -> bool {
    match format {
        Format::ZipkinJson => depth == 1,
        _ => depth == 2 && start.len() < 256 && start.iter().filter(|b| !b.is_ascii_whitespace()).eq(OTLP_LIST),
    }
}

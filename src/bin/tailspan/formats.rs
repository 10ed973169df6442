//! Spans on their way out, in the formats `import` reads.

use std::io::Write;

use tailspan::Span;

use crate::input::Format;
use crate::otlp_out;

/// Writes the spans as one document: a line of JSON, or a length-delimited message.
pub fn write_spans(format: Format, spans: &[Span], out: &mut dyn Write) -> anyhow::Result<()> {
    // Into memory first: JSON is written in pieces of a few bytes, which cost a call each on their way to `out`.
    let mut text = Vec::with_capacity(spans.len() * 1024);
    match format {
        Format::Otlp => text = otlp_out::delimited(spans),
        Format::OtlpJson => tailspan::write_otlp_json(spans, &mut text)?,
        Format::ZipkinJson => tailspan::write_zipkin_json(spans, &mut text)?,
    }
    if format != Format::Otlp {
        text.push(b'\n');
    }
    Ok(out.write_all(&text)?)
}

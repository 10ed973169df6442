//! Spans on their way out, in the formats `import` reads.

use std::io::Write;

use tailspan::Span;

use crate::input::Format;
use crate::otlp_out;

/// Writes the spans as one document: a line of JSON, or a length-delimited message.
pub fn write_spans(format: Format, spans: &[Span], mut out: &mut dyn Write) -> anyhow::Result<()> {
    match format {
        Format::Otlp => out.write_all(&otlp_out::delimited(spans))?,
        Format::OtlpJson => tailspan::write_otlp_json(spans, &mut out)?,
        Format::ZipkinJson => tailspan::write_zipkin_json(spans, &mut out)?,
    }
    if format != Format::Otlp {
        out.write_all(b"\n")?;
    }
    Ok(())
}

//! The lines of the waterfall: label, kind, marks, bar, offset, duration.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};

use tailspan::{Span, SpanKind};

use super::tree::{Node, Row, rows};
use crate::output::{Look, many};
use crate::text::{clean, fit, width};
use crate::times::{human_duration, human_time};

/// The narrowest line that still shows all columns.
const COLUMNS_MIN: usize = 72;
/// Columns of the kind, such as `producer`.
const KIND_COLUMNS: usize = 8;
/// Columns of the marks: an error sign and a number of events, such as `✗ 12 ev`.
const MARK_COLUMNS: usize = 7;
/// Columns of an offset, such as `+1 min 20 s`, and of a duration.
const TIME_COLUMNS: usize = 11;
/// Errors told in words below the tree.
const ERRORS_TOLD_MAX: usize = 5;

/// Writes the trace as a waterfall. `spans` are those of one trace, in any order.
pub fn write(spans: &[Span], look: Look, out: &mut dyn Write) -> io::Result<()> {
    let rows = rows(spans);
    let axis = Axis::of(spans);
    let layout = Layout::new(spans, &rows, look);
    write_header(spans, &axis, look, out)?;
    writeln!(out, "\n{}", layout.axis_line(&axis))?;
    let mut ancestors_last = Vec::new();
    for row in &rows {
        // Only the levels that are drawn need remembering.
        ancestors_last.truncate(row.depth);
        if ancestors_last.len() == row.depth && row.depth <= layout.levels_max {
            ancestors_last.push(row.last);
        }
        let line = layout.line(spans, row, &ancestors_last, &axis);
        writeln!(out, "{}", line.trim_end())?;
    }
    write_errors(spans, look, out)
}

fn write_header(spans: &[Span], axis: &Axis, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let Some(first) = spans.first() else { return Ok(()) };
    let services: BTreeSet<Option<&str>> = spans.iter().map(Span::service).collect();
    let errors = spans.iter().filter(|span| span.is_error()).count();
    let mut parts = vec![many(spans.len() as u64, "span"), many(services.len() as u64, "service")];
    if errors > 0 {
        parts.push(paint(&many(errors as u64, "error"), RED, look));
    }
    parts.push(human_duration(axis.len));
    writeln!(out, "trace {}  {}", paint(&first.trace_id.to_string(), BOLD, look), parts.join(", "))?;
    if let Some(from) = axis.from {
        writeln!(out, "started {} UTC", human_time(from))?;
    }
    Ok(())
}

/// What the errors say of themselves: the status message, else the exception.
fn write_errors(spans: &[Span], look: Look, out: &mut dyn Write) -> io::Result<()> {
    let told: Vec<(&Span, String)> = spans.iter().filter_map(|span| Some((span, error_text(span)?))).collect();
    if told.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    for (span, text) in told.iter().take(ERRORS_TOLD_MAX) {
        let line = format!("✗ {}: {}", clean(&label(span)), clean(text));
        writeln!(out, "{}", paint(fit(&line, look.columns.max(COLUMNS_MIN)).trim_end(), RED, look))?;
    }
    if told.len() > ERRORS_TOLD_MAX {
        writeln!(out, "and {}", many((told.len() - ERRORS_TOLD_MAX) as u64, "more error"))?;
    }
    Ok(())
}

fn error_text(span: &Span) -> Option<String> {
    if !span.is_error() {
        return None;
    }
    let attribute = |attributes: &[tailspan::KeyValue], key: &str| {
        let text = attributes.iter().find(|a| a.key == key).and_then(|a| a.value.as_str());
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let status = span.status.as_ref().map(|s| s.message.clone()).filter(|message| !message.is_empty());
    let exception = || span.events.iter().find_map(|event| attribute(&event.attributes, "exception.message"));
    status.or_else(exception).or_else(|| attribute(&span.attributes, "error"))
}

/// The time all bars share.
struct Axis {
    /// The earliest start; none if no span has one.
    from: Option<u64>,
    /// Nanoseconds to the latest end.
    len: u64,
}

impl Axis {
    fn of(spans: &[Span]) -> Self {
        let from = spans.iter().filter_map(Span::start).min();
        let to = spans
            .iter()
            .filter_map(|span| Some(span.start()?.saturating_add(span.duration_nanos().unwrap_or(0))))
            .max();
        Self { from, len: to.unwrap_or(0) - from.unwrap_or(0) }
    }

    /// The eighth of a column at which this offset lies, rounded down.
    fn eighth(&self, offset: u64, columns: usize) -> usize {
        let eighths = u128::from(offset) * columns as u128 * 8 / u128::from(self.len.max(1));
        usize::try_from(eighths).unwrap_or(usize::MAX).min(columns * 8)
    }
}

/// How the columns of a line are shared out.
struct Layout {
    label_columns: usize,
    bar_columns: usize,
    /// Levels of the tree that are drawn; deeper rows show their depth as a number.
    levels_max: usize,
    colour_of: HashMap<String, u8>,
    look: Look,
}

impl Layout {
    fn new(spans: &[Span], rows: &[Row], look: Look) -> Self {
        let columns = look.columns.max(COLUMNS_MIN);
        let free = columns - KIND_COLUMNS - MARK_COLUMNS - 2 * TIME_COLUMNS - 5;
        let levels_max = free / 8;
        let wanted = rows.iter().map(|row| {
            2 * row.depth.min(levels_max)
                + match row.node {
                    Node::Span(index) => width(&label(&spans[index])),
                    Node::Missing(_) => width("(missing parent 0123456789abcdef)"),
                }
        });
        let label_columns = wanted.max().unwrap_or(0).clamp(12, free * 3 / 5);
        let mut colour_of = HashMap::new();
        for span in spans {
            let next = PALETTE[colour_of.len() % PALETTE.len()];
            if let Some(service) = span.service()
                && !colour_of.contains_key(service)
            {
                colour_of.insert(service.to_owned(), next);
            }
        }
        Self { label_columns, bar_columns: free - label_columns, levels_max, colour_of, look }
    }

    /// The line of ticks above the bars: the start, the middle, the end.
    fn axis_line(&self, axis: &Axis) -> String {
        let middle = human_duration(axis.len / 2);
        let end = human_duration(axis.len);
        let before = " ".repeat(self.label_columns + KIND_COLUMNS + MARK_COLUMNS + 3);
        let half = self.bar_columns / 2;
        let rest = (self.bar_columns - half).saturating_sub(width(&end));
        let middle = if width(&middle) < rest { middle } else { String::new() };
        let line = format!("{before}{}{}{end}", fit("0", half), fit(&middle, rest));
        paint(&line, DIM, self.look)
    }

    fn line(&self, spans: &[Span], row: &Row, ancestors_last: &[bool], axis: &Axis) -> String {
        let branch = self.branch(row, ancestors_last);
        let label_columns = self.label_columns.saturating_sub(width(&branch));
        let branch = paint(&branch, DIM, self.look);
        match row.node {
            Node::Missing(id) => {
                let text = fit(&format!("(missing parent {id})"), label_columns);
                format!("{branch}{}", paint(&text, DIM, self.look))
            }
            Node::Span(index) => {
                let span = &spans[index];
                format!("{branch}{} {}", self.label(span, label_columns), self.facts(span, axis))
            }
        }
    }

    /// The lines of the tree that lead to this row.
    fn branch(&self, row: &Row, ancestors_last: &[bool]) -> String {
        if row.depth == 0 {
            return String::new();
        }
        if row.depth > self.levels_max {
            return format!("{}⋯{} ", "  ".repeat(self.levels_max.saturating_sub(4)), row.depth);
        }
        let above = ancestors_last.get(1..row.depth).unwrap_or_default();
        let mut branch: String = above.iter().map(|last| if *last { "  " } else { "│ " }).collect();
        branch.push_str(if row.last { "└ " } else { "├ " });
        branch
    }

    fn label(&self, span: &Span, columns: usize) -> String {
        let text = fit(&label(span), columns);
        let service = span.service().map(|service| clean(service).into_owned()).unwrap_or_default();
        match (text.strip_prefix(service.as_str()), self.colour_of.get(span.service().unwrap_or_default())) {
            (Some(rest), Some(colour)) => format!("{}{rest}", paint(&service, *colour, self.look)),
            _ => text,
        }
    }

    /// Everything right of the label.
    fn facts(&self, span: &Span, axis: &Axis) -> String {
        let kind = if span.kind.0 == 0 { "" } else { span.kind.as_str() };
        let error = if span.is_error() { paint("✗", RED, self.look) } else { " ".to_owned() };
        let events = match span.events.len() {
            0 => String::new(),
            n @ 1..100 => format!("{n} ev"),
            _ => "99+ev".to_owned(),
        };
        let offset = axis.from.zip(span.start()).map(|(from, start)| start - from);
        let bar = offset.map(|offset| bar(axis, offset, span.duration_nanos().unwrap_or(0), self.bar_columns));
        let bar_colour = if span.is_error() { RED } else { CYAN };
        let bar = paint(&fit(&bar.unwrap_or_default(), self.bar_columns), bar_colour, self.look);
        let offset = offset.map_or("no start".to_owned(), |offset| format!("+{}", human_duration(offset)));
        let duration = span.duration_nanos().map_or("-".to_owned(), human_duration);
        format!(
            "{} {error} {} {bar} {offset:>TIME_COLUMNS$} {duration:>TIME_COLUMNS$}",
            fit(kind, KIND_COLUMNS),
            fit(&events, MARK_COLUMNS - 2),
        )
    }
}

/// `service: name`, and for a call out of the process `→ peer`; what is absent is left out.
fn label(span: &Span) -> String {
    let service = span.service().map(|service| format!("{service}: ")).unwrap_or_default();
    let name = if span.name.is_empty() { "(no name)" } else { &span.name };
    let calls = matches!(span.kind, SpanKind::CLIENT | SpanKind::PRODUCER);
    let peer = span.remote_service().filter(|_| calls).map(|peer| format!(" → {peer}")).unwrap_or_default();
    clean(&format!("{service}{name}{peer}")).into_owned()
}

/// Blocks from the offset on, to an eighth of a column; at least the thinnest one.
fn bar(axis: &Axis, offset: u64, duration: u64, columns: usize) -> String {
    const PARTS: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
    let from = axis.eighth(offset, columns).min((columns * 8).saturating_sub(1));
    let to = axis.eighth(offset.saturating_add(duration), columns).max(from + 1);
    let (first, last) = (from / 8, (to - 1) / 8);
    let mut bar = " ".repeat(first);
    if first == last {
        // No block begins inside a column but the right half.
        bar.push(if from % 8 >= 4 && to.is_multiple_of(8) { '▐' } else { PARTS[to - from] });
        return bar;
    }
    bar.push(if from % 8 >= 4 { '▐' } else { '█' });
    bar.extend(std::iter::repeat_n('█', last - first - 1));
    bar.push(PARTS[to - last * 8]);
    bar
}

const BOLD: u8 = 1;
const DIM: u8 = 2;
const RED: u8 = 31;
const CYAN: u8 = 36;
/// Colours of services, as they come. Red is for errors.
const PALETTE: [u8; 6] = [32, 33, 34, 35, 92, 94];

/// The text in an ANSI colour, if colours are wanted.
fn paint(text: &str, code: u8, look: Look) -> String {
    if look.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use tailspan::{SpanId, Status, StatusCode};

    use crate::demo_traffic::plain_span;

    use super::*;

    fn drawn(spans: &[Span], look: Look) -> String {
        let mut out = Vec::new();
        write(spans, look, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn span(id: u64, parent: u64, start: u64, end: u64) -> Span {
        let parent_span_id = SpanId::from_u64(parent);
        Span { parent_span_id, end_unix_nano: end, name: format!("step {id}"), ..plain_span(id, start) }
    }

    #[test]
    fn a_small_trace_looks_like_this() {
        let second = 1_000_000_000;
        let base = 1_767_225_600 * second;
        let mut spans = vec![
            span(1, 0, base, base + 4 * second),
            span(2, 1, base + second, base + 3 * second),
            span(3, 1, base + 3 * second, base + 4 * second),
            span(5, 9, base + 2 * second, 0),
        ];
        spans[1].kind = SpanKind::CLIENT;
        spans[1].status = Some(Status { code: StatusCode::ERROR, message: "card\ndeclined".to_owned() });
        let look = Look { columns: 80, colour: false };
        let expected = "\
trace 00000000000000000000000000000001  4 spans, 1 service, 1 error, 4.00 s
started 2026-01-01 00:00:00.000 UTC

                                        0         4.00 s
step 1                                  ████████████████       +0 ns      4.00 s
├ step 2               client   ✗           ████████         +1.00 s      2.00 s
└ step 3                                            ████     +3.00 s      1.00 s
(missing parent 00000…
└ step 5                                        ▏            +2.00 s           -

✗ step 2: card␊declined
";
        assert_eq!(drawn(&spans, look), expected);
    }

    #[test]
    fn every_line_keeps_to_the_width() {
        let spans: Vec<Span> = (1..60).map(|id| span(id, id - 1, 1_000 + id, 2_000 - id)).collect();
        for columns in [COLUMNS_MIN, 80, 133, 200] {
            for line in drawn(&spans, Look { columns, colour: false }).lines() {
                assert!(width(line) <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn a_bar_is_never_empty_and_never_leaves_its_columns() {
        let axis = Axis { from: Some(0), len: 1_000 };
        for offset in 0..=1_000 {
            for duration in [0, 1, 7, 500, 1_000 - offset, u64::MAX] {
                let bar = bar(&axis, offset, duration, 20);
                assert!(width(&bar) <= 20 && !bar.trim().is_empty(), "{offset} {duration} {bar:?}");
            }
        }
        assert_eq!(bar(&axis, 0, 1_000, 4), "████");
        assert_eq!(bar(&axis, 500, 250, 4), "  █");
        assert_eq!(bar(&axis, 125, 500, 4), "▐█▌");
    }

    #[test]
    fn escape_sequences_in_names_are_not_obeyed() {
        let mut hostile = span(1, 0, 5, 9);
        hostile.name = "\u{1b}[2J".to_owned();
        assert!(!drawn(&[hostile], Look::PLAIN).contains('\u{1b}'));
    }

    #[test]
    fn wild_times_do_not_panic() {
        let spans = [span(1, 0, 0, 0), span(2, 1, u64::MAX, u64::MAX), span(3, 1, 1, u64::MAX), span(4, 1, 7, 3)];
        assert!(drawn(&spans, Look::PLAIN).contains("no start"));
        drawn(&[span(1, 0, 0, 0)], Look::PLAIN);
        drawn(&[], Look::PLAIN);
    }
}

//! Every limit of the engine, in one place.

/// Rows of a page: the unit of encoding, checksum and decoding.
pub const PAGE_ROWS: usize = 1024;
/// Rows of a block by default: the unit of zone summary and of damage.
pub const BLOCK_ROWS: usize = 65_536;
/// Spans after which the head begins a new chapter of dictionaries.
pub const CHAPTER_SPANS: usize = 16_384;
/// Fields of a segment that have a column of their own; the others share one a table.
pub const COLUMNS_MAX: usize = 256;
/// Entries of a segment's dictionary of one column.
pub const DICTIONARY_ENTRIES_MAX: usize = 65_536;
/// Bytes of a segment's dictionary of one column.
pub const DICTIONARY_BYTES_MAX: usize = 1 << 20;

/// Groups of a segment's rollup, and operations of its tail lists.
pub const ROLLUP_GROUPS_MAX: usize = 4096;

/// Bytes of one trace in memory, where nothing else is said.
pub(crate) const TRACE_BYTES_MAX: usize = 1 << 30;

/// Byte and count limits that protect a process from its input and from its questions. All are inclusive.
///
/// What a limit cuts says so: an append rejects a span with a reason, `find` and the filtered lists are not
/// complete and name the limit, all else fails with [`crate::ErrorKind::TooLarge`]. `docs/QUERY.md` has a
/// table of them. Bytes of spans and names are those they take in memory, closely but not exactly.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one message or JSON text given to an append. Default 256 MiB.
    pub message_bytes_max: usize,
    /// Bytes of one span as it arrives; a larger one is rejected alone. Default 16 MiB.
    pub span_bytes_max: usize,
    /// Attributes, events and links of one span, together. Default 1,000,000.
    pub span_parts_max: usize,
    /// Nesting of arrays and lists in a value. Default 32.
    pub value_depth_max: usize,
    /// Bytes of one trace held in memory by a query. Default 1 GiB.
    pub trace_bytes_max: usize,
    /// Bytes of one answer: the summaries of `find`, the entries of a list, the spans of `traces`. Default 1 GiB.
    pub result_bytes_max: usize,
    /// Matching span ids listed per found trace. Default 100.
    pub matched_span_ids_max: usize,
    /// Traces or spans a query result may hold at once. Default 1,000,000.
    pub result_traces_max: usize,
    /// Bytes of pages one filtered list reads for columns without a dictionary. Default 512 MiB.
    pub list_read_bytes_max: usize,
    /// Groups of one answer of `latency`, `series`, `heatmap`, `compare` and `critical-path`, steps of one of
    /// `concurrency`. Default 100,000.
    pub groups_max: usize,
    /// Bytes of durations kept to find the value of a rank, and of starts and ends sorted at once to find how many spans
    /// were under way; where there are more, the samples are read again. Bytes of counts by trace that adjust for
    /// sampling; where there are more, the error is too low. Default 256 MiB.
    pub values_bytes_max: usize,
    /// Bytes of what figures of traces, stages and trees hold of traces in the head or in several parts. Default
    /// 256 MiB.
    pub loose_bytes_max: usize,
    /// Bytes of sealed spans a writer keeps at hand to compare late ones with. Default 64 MiB.
    pub cached_bytes_max: usize,
    /// Threads one question may use where it looks at many pages, its own among them; never more than the machine runs
    /// at once. Default 2.
    pub query_threads_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 256 << 20,
            span_bytes_max: 16 << 20,
            span_parts_max: 1_000_000,
            value_depth_max: 32,
            trace_bytes_max: TRACE_BYTES_MAX,
            result_bytes_max: 1 << 30,
            matched_span_ids_max: 100,
            result_traces_max: 1_000_000,
            list_read_bytes_max: 512 << 20,
            groups_max: 100_000,
            values_bytes_max: 256 << 20,
            loose_bytes_max: 256 << 20,
            cached_bytes_max: 64 << 20,
            query_threads_max: 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every limit by name. All fields are taken apart, so that a new one cannot be forgotten.
    fn defaults() -> Vec<(&'static str, usize)> {
        let Limits {
            message_bytes_max,
            span_bytes_max,
            span_parts_max,
            value_depth_max,
            trace_bytes_max,
            result_bytes_max,
            matched_span_ids_max,
            result_traces_max,
            list_read_bytes_max,
            groups_max,
            values_bytes_max,
            loose_bytes_max,
            cached_bytes_max,
            query_threads_max,
        } = Limits::default();
        vec![
            ("message_bytes_max", message_bytes_max),
            ("span_bytes_max", span_bytes_max),
            ("span_parts_max", span_parts_max),
            ("value_depth_max", value_depth_max),
            ("trace_bytes_max", trace_bytes_max),
            ("result_bytes_max", result_bytes_max),
            ("matched_span_ids_max", matched_span_ids_max),
            ("result_traces_max", result_traces_max),
            ("list_read_bytes_max", list_read_bytes_max),
            ("groups_max", groups_max),
            ("values_bytes_max", values_bytes_max),
            ("loose_bytes_max", loose_bytes_max),
            ("cached_bytes_max", cached_bytes_max),
            ("query_threads_max", query_threads_max),
        ]
    }

    fn number(text: &str) -> Option<usize> {
        let (digits, unit) = text.split_once(' ').unwrap_or((text, ""));
        let unit = match unit {
            "" => 1,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        Some(digits.replace(',', "").parse::<usize>().ok()? * unit)
    }

    #[test]
    fn the_table_of_the_documents_has_every_limit_and_its_default() {
        let text = include_str!("../docs/QUERY.md");
        let table = text.split("\n## Limits\n").nth(1).expect("a chapter on limits");
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
        let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
        let found: Vec<(String, usize)> =
            cells.map(|row| (row[0].trim_matches('`').to_owned(), number(row[1]).expect("a number"))).collect();
        let defaults: Vec<_> = defaults().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(found, defaults);
    }
}

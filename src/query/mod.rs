//! Questions about traces: what may be asked, what it means, and how an answer looks.
//!
//! A [`Query`] is a list of independent [`Criterion`]s, a scope that says which spans must meet them
//! together, a window, and an order. This layer gives it a meaning on owned spans, without any storage:
//! [`TraceMatcher`] is the reference that every faster path must equal.

mod annotation;
mod attribute_values;
mod attributes;
mod candidate;
mod chapter_pages;
mod clean_part;
mod compile;
mod each_trace;
mod evaluate;
mod explain;
mod find;
#[cfg(test)]
pub mod fixture;
mod judge_ahead;
mod list;
#[cfg(test)]
mod list_tests;
mod loose_extents;
mod mask;
mod matched_page;
mod matching;
mod names;
#[cfg(test)]
mod names_tests;
mod newest_first;
mod number;
#[cfg(test)]
mod overflow_tests;
mod page;
mod plan;
mod predicate;
pub mod rollup;
#[cfg(test)]
mod rollup_tests;
mod row_paths;
mod row_summary;
mod rows_within;
mod scan;
mod search_plan;
mod segment_pages;
mod segment_scan;
mod slow_span;
mod slowest_traces;
mod span_order;
mod step_totals;
mod structural;
mod structure;
mod summary;
mod tag;
#[cfg(test)]
mod tag_tests;
mod tail_pages;
mod tally;
mod text;
mod threads;
mod timed_rows;
mod trace_rows;
mod trace_table;
mod trees;
mod value_counts;
mod walk;
mod whole_parts;
mod whole_tails;

pub use annotation::AnnotationTerm;
pub use attribute_values::{AttributeValueCount, attribute_values};
pub use attributes::{AttributeKeyCount, attribute_keys};
pub use evaluate::TraceMatcher;
pub use explain::Explain;
pub use find::{Found, find};
pub use list::{ListFilter, Listed};
pub use matched_page::MatchedPage;
pub use matching::{Asked, MatchPart, Matching};
pub use names::{OperationCount, RemoteServiceCount, ServiceCount, operations, remote_services, services};
pub use predicate::{DurationRange, Order, Query, QueryScope};
pub use row_paths::{RowPaths, SpanLookup, SpanTimes};
pub use rows_within::{Durations, RangesOfClasses};
pub use scan::FieldOf;
pub use slow_span::{SlowSpan, SlowestSpans};
pub use step_totals::GroupTexts;
pub use structure::{Condition, Literal, Relation, SpanField, SpanSet, parents_of};
pub use summary::{TraceSummary, trace_duration};
pub use tag::{Operand, TagFilter, TagOperator, TagScope};
pub use tally::counts;
pub use text::text_of;
pub use timed_rows::TimedRows;
pub use trace_rows::MatchingTraces;
pub use trace_table::TraceTable;
pub use trees::{DURATION, ERROR, MATCHES, NO_ROW, SpanRows, Tree, TreeRows};
pub use value_counts::raw_value;
pub use walk::RawValue;
pub use whole_tails::WholeTails;

#[cfg(test)]
pub use tally::Counts;

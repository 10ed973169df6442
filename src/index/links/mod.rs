//! Links between services: from the spans of one trace to "who called whom", by Zipkin's rules.
//!
//! ```text
//! records of a trace --merge--> spans --tree--> parents --link--> (parent, child, error, which span)
//! ```
//! The rules are those of Zipkin's `Trace`, `SpanNode` and `DependencyLinker`: fragments of a span are merged, a server
//! may share its client's id, the tree beats what a span says of its peer, brokers are never skipped. One rule is
//! added for OpenTelemetry, whose spans of kind internal Zipkin does not know: a client span all of
//! whose children are such still speaks for the service that it called.
//!
//! Spans are a few numbers here, texts are codes of [`LinkNames`]: the same code links spans that are being sealed,
//! rows of a segment, and rows of the head. Work is in proportion to the spans of the trace, whatever its shape.

mod codes;
mod linker;
mod merge;
mod names;
mod rows;
mod span;
#[cfg(test)]
mod tests;
mod tree;

pub use codes::{LinkCodes, RowFacts};
pub use linker::{FoundLink, LinkKind, Linker};
pub use names::LinkNames;
pub use rows::{LinkClass, RowLink, RowLinker, are_distinct};
pub use span::LinkSpan;

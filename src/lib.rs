//! tailspan: an embedded columnar storage engine for distributed-tracing spans.

mod analytics;
mod bytes;
mod catalog;
mod column;
mod encoding;
mod error;
#[cfg(test)]
mod format_tests;
mod head;
mod index;
mod ingest;
mod interchange;
mod limits;
mod log;
mod model;
mod options;
mod os;
mod part;
mod query;
mod segment;
mod store;
mod upkeep;

pub use analytics::{
    AdjustedCounts, Comparison, Concurrency, ConcurrencyStep, CriticalPathReport, CriticalPathShare, Exemplar, Fanout,
    FanoutReport, GroupKey, HeatCell, HeatMap, KeyPairs, LatencyGroup, LatencyQuery, LatencyReport, LatencySort,
    LatencyUnit, LinkKind, LinksQuery, LinksReport, PairSpan, PairsQuery, PairsReport, PairsShow, PathPiece, Quantile,
    QuantilePair, RootCause, RootCauseReport, Series, SeriesPoint, SeriesQuery, ServiceLink, Slowest, SlowestReport,
    TracePath, ValueShare, WaitGroup, WaitKey, WaitQuery, WaitReport,
};
pub use error::{Error, ErrorKind, Result};
pub use ingest::{Appended, Damage, DeleteSummary, MergeSummary, RecoveryReport, SealSummary, Sequence, Work};
pub use interchange::{
    otlp_json_traces, otlp_to_zipkin, write_otlp_json, write_zipkin_json, zipkin_json, zipkin_to_otlp,
};
pub use limits::Limits;
pub use model::{
    Endpoint, EntityRef, Event, IdError, KeyValue, Link, Origin, RejectReason, Resource, Scope, Span, SpanId, SpanKind,
    Status, StatusCode, TimeRange, TraceId, UnixNanos, Value,
};
pub use options::{Durability, Options, WhenFull};
#[cfg(feature = "canaries")]
pub use os::defects;
pub use os::{
    Clock, CrashChoice, Directory, DirectoryEntry, Disk, Fault, FaultKind, FileBytes, LockGuard, ManualClock,
    OperationKind, SimulatedDisk, Storage, SystemClock, WritableFile,
};
pub use query::{
    AnnotationTerm, AttributeKeyCount, AttributeValueCount, Condition, DurationRange, Explain, Found, ListFilter,
    Listed, Literal, Operand, OperationCount, Order, Query, QueryScope, Relation, RemoteServiceCount, ServiceCount,
    SpanField, SpanSet, TagFilter, TagOperator, TagScope, TraceSummary, text_of,
};
pub use store::{AppendOptions, Input, Snapshot, Store, StoreBuilder, compare_stores};
pub use upkeep::{
    BackupSummary, ErasureReport, KeepRule, Leftover, RepairReport, RetainSummary, Retention, Stats, StoreDifference,
    Tail, TailCursor, TailedSpan, TimesWritten, VerifyReport,
};

/// The examples of the README, run as doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;

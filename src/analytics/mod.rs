//! Figures over many spans: exact percentiles with the spans at them, the slowest, heat maps, series, comparisons.
//!
//! ```text
//! Query --Matching--> pages of matching rows, doubled spans, traces
//!       --Feed-------> batches: group, duration, error of each sample        who is counted, and in which group
//!       --Totals-----> count, errors, sum, min, max and a histogram a group  one pass
//!       --select-----> the value of each rank, and the spans of that value   a second pass, over few values
//! ```
//! Every figure is exact. A histogram only tells in which bucket a rank lies; the value is taken from the samples
//! of that bucket. A faster source of the same figures (counts and histograms kept with a segment) can take the
//! place of the first pass for the parts it covers: [`Totals`](totals::Totals) can be added up.

mod adjusted;
mod adjusted_pass;
mod class_totals;
mod compare;
mod concurrency;
mod critical_path;
mod exact_sum;
mod fanout;
mod feed;
mod group_key;
mod grouper;
mod groups;
mod heat_counts;
mod heatmap;
mod latency;
mod links;
mod measure;
mod pairs;
mod part_tables;
mod partners;
mod quantile;
mod root_cause;
mod sampling;
mod select;
mod series;
mod slowest;
mod step_groups;
mod stepped;
mod tail_figures;
mod totals;
mod trace_feed;
mod trace_page;
mod trace_pieces;
mod trace_samples;
mod trace_states;
mod wait;

pub use adjusted::AdjustedCounts;
pub use compare::{Comparison, QuantilePair, ValueShare, compare};
pub use concurrency::{Concurrency, ConcurrencyStep, concurrency};
pub use critical_path::{
    CriticalPathReport, CriticalPathShare, PathPiece, TracePath, critical_path, critical_path_of_trace,
};
pub use fanout::{Fanout, FanoutReport, fanout};
pub use group_key::GroupKey;
pub use heatmap::{HeatCell, HeatMap, heat_map};
pub use latency::{Exemplar, LatencyGroup, LatencyQuery, LatencyReport, LatencySort, LatencyUnit, latency};
pub use links::{LinkKind, LinksQuery, LinksReport, ServiceLink, links};
pub use partners::{KeyPairs, PairSpan, PairsQuery, PairsReport, PairsShow, pairs};
pub use quantile::Quantile;
pub use root_cause::{RootCause, RootCauseReport, root_causes};
pub use series::{Series, SeriesPoint, SeriesQuery, series};
pub use slowest::{Slowest, SlowestReport, slowest_spans, slowest_traces};
pub use wait::{WaitGroup, WaitKey, WaitQuery, WaitReport, wait};

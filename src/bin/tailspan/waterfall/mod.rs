//! A trace as a person reads it: a tree of calls with bars on a common time axis.
//!
//! ```text
//! trace 4bf92f35…  5 spans, 3 services, 1 error, 1.24 s
//! 2026-01-15 10:00:00.123 UTC
//!                                              0               620 ms           1.24 s
//! shop: POST /pay              server          ████████████████████████████████         1.24 s
//! ├─ payment: authorize        client ✗  2 ev     ▐███████████████████████████         1.12 s
//! ```
//!
//! The tree is built and walked with explicit stacks, so a trace may be a million spans deep. Nothing is
//! drawn outside the axis: a child that seems to begin before its parent (clocks differ) just does.

mod draw;
mod tree;

pub use draw::write;

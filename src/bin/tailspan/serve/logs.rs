//! What the server says of itself on standard error: events with fields, as text or a JSON object a line.

use std::io::stderr;

use clap::ValueEnum;
use tailspan::RecoveryReport;
use tracing::{Level, info, warn};
use tracing_subscriber::fmt;

use super::settings::ServeArgs;

/// The form of what is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// What fails on this side.
    Error,
    /// And what someone should look after.
    Warn,
    /// And begins and ends.
    Info,
    /// And every message that is refused.
    Debug,
}

impl LogLevel {
    fn of_tracing(self) -> Level {
        match self {
            Self::Error => Level::ERROR,
            Self::Warn => Level::WARN,
            Self::Info => Level::INFO,
            Self::Debug => Level::DEBUG,
        }
    }
}

/// Starts to log.
pub fn start(args: &ServeArgs) {
    let events = fmt().with_writer(stderr).with_target(false).with_max_level(args.log_level.of_tracing());
    // A second server in one process keeps to the log of the first.
    let _ = match args.log_format {
        LogFormat::Text => tracing::subscriber::set_global_default(events.with_ansi(false).finish()),
        LogFormat::Json => tracing::subscriber::set_global_default(events.json().flatten_event(true).finish()),
    };
}

/// Tells what opening the store found.
pub fn opened(report: &RecoveryReport, seconds: f64) {
    let (spans, torn_bytes, damage) = (report.replayed_spans, report.torn_bytes, report.damage.len());
    info!(spans, torn_bytes, damage, seconds, "store opened; spans read back from the log");
    report.notes.iter().for_each(|note| info!(note, "put right"));
    report.damage.iter().for_each(|loss| warn!(loss, "damaged; tailspan verify tells more"));
}

//! Log lines, on standard error.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::flags::{LoggingFlags, LoggingFormat};

/// Starts logging as `flags` say. Only the first call has an effect.
pub fn init(flags: &LoggingFlags) {
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = match flags.logging_format {
        LoggingFormat::Text => lines.with_ansi(false).boxed(),
        LoggingFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    // A second subscriber can only come from a test.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(filter(flags.v)))
        .try_init();
}

/// The crates whose lines are ours.
const OURS: [&str; 6] = [
    "api",
    "operator",
    "node",
    "process",
    "ipam_controller",
    "ipam_node",
];

/// Libraries are quiet until asked for: what matters of their doings, our own lines say.
fn filter(v: i32) -> Targets {
    let (ours, libraries) = match v {
        ..=0 => (LevelFilter::INFO, LevelFilter::WARN),
        1..=3 => (LevelFilter::DEBUG, LevelFilter::WARN),
        4..=5 => (LevelFilter::DEBUG, LevelFilter::DEBUG),
        6.. => (LevelFilter::TRACE, LevelFilter::TRACE),
    };
    // kube logs each failed attempt, and hands the error to us; our callers say it once, with what it means.
    let kube = if v <= 3 { LevelFilter::OFF } else { libraries };
    Targets::new()
        .with_default(libraries)
        .with_targets(OURS.map(|target| (target, ours)))
        .with_targets([("kube_client", kube), ("kube_runtime", kube)])
}

//! What it costs: every figure beside what it can't cost less than, or beside a peer, measured in the same run.
//!
//! Figures in seconds say something about this machine; ratios to floors and peers, whose runs are interleaved with ours,
//! say something about the programs. Nothing here is a test: it prints, and `docs/benchmarks.md` keeps the last full run.

mod add;
mod caller;
mod document;
mod floors;
mod table;
mod times;

use anyhow::Result;
use clap::ValueEnum;

use crate::names;
use crate::progress::say;

use table::Table;

/// A benchmark, by the name that the command line has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Benchmark {
    /// The plugin, from spawn to exit, against a real daemon
    Add,
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// As docs/benchmarks.md shows it.
    Full,
    /// All of them in two minutes: fewer runs, smaller fills.
    Short,
}

impl Scale {
    /// `full` or `short`.
    fn pick<T>(self, full: T, short: T) -> T {
        match self {
            Self::Full => full,
            Self::Short => short,
        }
    }
}

impl Benchmark {
    fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
        }
    }

    async fn run(self, scale: Scale) -> Result<Vec<Table>> {
        match self {
            Self::Add => add::run(scale).await,
        }
    }
}

/// Runs `benchmarks`, or all of them if there are none, and prints their tables. Those of [`Scale::Full`] also go into
/// `docs/benchmarks.md`.
pub async fn run(benchmarks: &[Benchmark], scale: Scale) -> Result<()> {
    let chosen = if benchmarks.is_empty() {
        Benchmark::value_variants()
    } else {
        benchmarks
    };
    for benchmark in chosen {
        let tables = benchmark.run(scale).await?;
        for table in &tables {
            println!("{table}");
        }
        if scale == Scale::Full {
            let page = names::repository().join("docs/benchmarks.md");
            document::write(&page, benchmark.name(), &tables)?;
            say(format!(
                "the figures of {} are in {}",
                benchmark.name(),
                page.display()
            ));
        }
    }
    Ok(())
}

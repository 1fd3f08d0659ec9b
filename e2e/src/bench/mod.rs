//! What it costs: every figure beside what it can't cost less than, or beside a peer, measured in the same run.
//!
//! Figures in seconds say something about this machine; ratios to floors and peers, whose runs are interleaved with ours,
//! say something about the programs. Nothing here is a test: it prints, and `docs/benchmarks.md` keeps the last full run.

mod add;
mod caller;
mod container;
mod document;
mod fill;
mod floors;
mod rpc_client;
mod table;
mod times;

use anyhow::Result;
use clap::ValueEnum;

use crate::bed::Bed;
use crate::cluster::ClusterSpec;
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

    /// On a bed as it is after [`Bed::reset`].
    async fn run(self, bed: &Bed, scale: Scale) -> Result<Vec<Table>> {
        match self {
            Self::Add => add::run(bed, scale).await,
        }
    }
}

/// Runs `benchmarks`, or all of them if there are none, on a cluster with one node, and prints their tables. Those of
/// [`Scale::Full`] also go into `docs/benchmarks.md`.
pub async fn run(benchmarks: &[Benchmark], scale: Scale) -> Result<()> {
    let chosen = if benchmarks.is_empty() {
        Benchmark::value_variants()
    } else {
        benchmarks
    };
    let spec = ClusterSpec {
        nodes: vec!["host-a".to_owned()],
        ..ClusterSpec::default()
    };
    let bed = Bed::up(&spec).await?;
    let outcome = run_on(&bed, chosen, scale).await;
    let down = bed.down().await;
    outcome.and(down)
}

async fn run_on(bed: &Bed, benchmarks: &[Benchmark], scale: Scale) -> Result<()> {
    for benchmark in benchmarks {
        bed.reset().await?;
        let tables = benchmark.run(bed, scale).await?;
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

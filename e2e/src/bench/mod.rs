//! What it costs: every figure beside what it can't cost less than, or beside a peer, measured in the same run.
//!
//! Figures in seconds say something about this machine; ratios to floors and peers, whose runs are interleaved with ours,
//! say something about the programs. Nothing here is a test: it prints, and `docs/benchmarks.md` keeps the last full run.

mod add;
mod caller;
mod container;
mod controller;
mod daemon;
mod document;
mod fill;
mod floor;
mod floors;
mod host_local;
mod plan;
mod pods;
mod rpc_client;
mod rss;
mod start;
mod table;
mod times;
mod usage;

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
    /// The daemon, from exec to its first answer
    Start,
    /// The daemon's memory, and the sizes of the three programs
    Rss,
    /// The daemon alone, over gRPC, with 1, 32 and 256 operations in flight
    Daemon,
    /// The controller and pools of up to 10,000 nodes
    Controller,
    /// A hundred real pods on one node, with addresses of nv-ipam and of host-local
    Pods,
    /// The plan for pools of 100,000 nodes, without a cluster
    Plan,
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
            Self::Start => "start",
            Self::Rss => "rss",
            Self::Daemon => "daemon",
            Self::Controller => "controller",
            Self::Pods => "pods",
            Self::Plan => "plan",
        }
    }

    /// On a bed as it is after [`Bed::reset`].
    async fn run(self, bed: &Bed, scale: Scale) -> Result<Vec<Table>> {
        match self {
            Self::Add => add::run(bed, scale).await,
            Self::Start => start::run(bed, scale).await,
            Self::Rss => rss::run(bed, scale).await,
            Self::Daemon => daemon::run(bed, scale).await,
            Self::Controller => controller::run(bed, scale).await,
            Self::Pods => pods::run(bed, scale).await,
            Self::Plan => plan::run(scale).await,
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
    if chosen == [Benchmark::Plan] {
        return report(Benchmark::Plan, &plan::run(scale).await?, scale);
    }
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
        report(*benchmark, &tables, scale)?;
    }
    Ok(())
}

fn report(benchmark: Benchmark, tables: &[Table], scale: Scale) -> Result<()> {
    for table in tables {
        println!("{table}");
    }
    if scale == Scale::Full {
        let page = names::repository().join("docs/benchmarks.md");
        document::write(&page, benchmark.name(), tables)?;
        say(format!(
            "the figures of {} are in {}",
            benchmark.name(),
            page.display()
        ));
    }
    Ok(())
}

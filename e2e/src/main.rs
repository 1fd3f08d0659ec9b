//! The command line of the test cluster.

use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use e2e::bed::Bed;
use e2e::bench::{self, Benchmark, Scale};
use e2e::cluster::{Cluster, ClusterSpec};
use e2e::machine::{self, Lifetime};
use e2e::record::Turn;
use e2e::{demo, interrupt, progress, record};

/// A real Kubernetes cluster on this machine, to see nv-ipam at work and to test it.
///
/// etcd, kube-apiserver, kube-controller-manager, kube-scheduler, and two nodes with a real kubelet and a real containerd,
/// each in namespaces of its own. Needs root. The programs are built from source once (about eight minutes on two cores)
/// and kept in ~/.cache/nv-ipam-e2e; KUBEBUILDER_ASSETS is used for etcd and kube-apiserver if it is set.
#[derive(Debug, Parser)]
#[command(name = "e2e")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows nv-ipam at work, from a pool to an address in a running pod, and explains it
    ///
    /// Cleans up at the end, after a failure and after Ctrl-C too.
    Demo {
        /// Leave the cluster running, with nv-ipam and the pods in it, and say how to use it
        #[arg(long)]
        keep: bool,
    },
    /// Brings a cluster up, with nv-ipam installed but not started, and leaves it running
    Up {
        /// Only Kubernetes: no CRDs, no accounts, nothing of ours built
        #[arg(long)]
        bare: bool,
    },
    /// Runs a program on a node of a cluster that was left running
    ///
    /// For example: e2e exec host-a -- sqlite3 /var/lib/cni/nv-ipam/store 'select * from reservations'
    Exec {
        /// host-a, host-b, or control-plane
        machine: String,
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        argv: Vec<String>,
    },
    /// Takes down every cluster that was left running, and what killed runs left behind
    ///
    /// A cluster that a running test or demo uses is left alone.
    Down,
    /// Measures what everything costs, beside floors and peers, and writes it into docs/benchmarks.md
    Bench {
        /// Take two minutes, and only print
        #[arg(long)]
        short: bool,
        /// What to measure [default: everything]
        benchmarks: Vec<Benchmark>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("e2e: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    interrupt::take_down_on_signal()?;
    match arguments.command {
        Command::Exec { machine, argv } => exec(&machine, &argv),
        Command::Demo { keep } => demo::run(keep).await,
        Command::Up { bare } => up(bare).await,
        Command::Down => down().await,
        Command::Bench { short, benchmarks } => {
            bench::run(&benchmarks, if short { Scale::Short } else { Scale::Full }).await
        }
    }
}

async fn up(bare: bool) -> Result<()> {
    let spec = ClusterSpec {
        lifetime: Lifetime::UntilTakenDown,
        ..ClusterSpec::default()
    };
    if bare {
        let mut cluster = Cluster::up(&spec).await?;
        cluster.keep()?;
        announce(&cluster);
    } else {
        let mut bed = Bed::up(&spec).await?;
        bed.cluster_mut()?.keep()?;
        announce(bed.cluster()?);
    }
    Ok(())
}

fn announce(cluster: &Cluster) {
    println!("export KUBECONFIG={}", cluster.plane.admin_kubeconfig.display());
    println!("export PATH={}:$PATH", cluster.assets.cache.display());
    println!("# logs: {}", cluster.logs().display());
    println!("# to remove it: cargo run -p e2e -- down");
}

/// Becomes the program, so that a terminal and an exit code are the program's own.
fn exec(machine: &str, argv: &[String]) -> Result<()> {
    let record = record::all()?.into_iter().find(|record| record.kept);
    let record = record.context("no cluster was left running; `e2e up` or `e2e demo --keep` leave one")?;
    let Some(first) = record.machines.get(machine) else {
        let names: Vec<_> = record.machines.keys().map(String::as_str).collect();
        bail!(
            "no machine {machine} in cluster {}; there are {}",
            record.id,
            names.join(", ")
        );
    };
    let words = machine::enter(first, argv);
    let (program, arguments) = words.split_first().context("no program")?;
    let mut command = std::process::Command::new(program);
    command.args(arguments).env_clear().envs(machine::environment());
    Err(command.exec()).with_context(|| format!("could not start {program}"))
}

async fn down() -> Result<()> {
    let _turn = Turn::wait().await?;
    let records = record::all()?;
    let (free, used): (Vec<_>, Vec<_>) = records
        .iter()
        .partition(|record| record.kept || record.is_abandoned());
    for record in used {
        progress::say(format!(
            "cluster {} is in use by process {}",
            record.id, record.owner.pid
        ));
    }
    let mut failures = Vec::new();
    for record in free {
        match record.take_down().await {
            Ok(()) => progress::say(format!("cluster {} is gone", record.id)),
            // It does not keep the others.
            Err(failure) => failures.push(format!("{failure:#}")),
        }
    }
    anyhow::ensure!(failures.is_empty(), failures.join("\n"));
    Ok(())
}

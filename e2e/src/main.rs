//! The command line of the test cluster.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use e2e::cluster::{Cluster, ClusterSpec};
use e2e::machine::Lifetime;
use e2e::record;

/// A Kubernetes cluster on this machine, to try nv-ipam on.
#[derive(Debug, Parser)]
#[command(name = "e2e")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings a cluster up and leaves it running
    Up,
    /// Takes down every cluster that was left running
    Down,
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
    match arguments.command {
        Command::Up => {
            let spec = ClusterSpec {
                lifetime: Lifetime::UntilTakenDown,
                ..ClusterSpec::default()
            };
            let mut cluster = Cluster::up(&spec).await?;
            cluster.keep()?;
            println!("export KUBECONFIG={}", cluster.plane.admin_kubeconfig.display());
            Ok(())
        }
        Command::Down => {
            for record in record::all()? {
                record.take_down().await?;
            }
            Ok(())
        }
    }
}

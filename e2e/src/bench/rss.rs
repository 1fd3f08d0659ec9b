//! The daemon's memory, and the sizes of the three programs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::sleep;

use super::Scale;
use super::fill::Filled;
use super::floor::Floor;
use super::table::{Table, megabytes, times};
use super::usage::Memory;
use crate::bed::Bed;
use crate::node::Node;
use crate::ours;
use crate::progress::Step;
use crate::store;

/// The programs and the most that each may have, in bytes.
const PROGRAMS: [(&str, u64); 3] = [
    ("nv-ipam", 2_000_000),
    ("ipam-node", 12_000_000),
    ("ipam-controller", 12_000_000),
];

pub(super) async fn run(bed: &Bed, scale: Scale) -> Result<Vec<Table>> {
    let floor = Floor::start(bed).await?;
    let mut filled = Filled::start(bed).await?;
    let idle = scale.pick(Duration::from_secs(60), Duration::from_secs(3));
    let mut table = Table::new(
        "memory of ipam-node",
        &["reservations, before", "VmRSS", "VmHWM", "floor", "VmRSS x floor"],
    );
    for &fill in scale.pick(&[0, 10_000, 60_000][..], &[0, 10_000]) {
        filled.grow(fill).await?;
        measure(
            &mut table,
            format!("{fill}, made one by one"),
            &filled,
            &floor,
            idle,
        )
        .await?;
        let daemon = &filled.node.daemon;
        daemon.stop().await?;
        daemon.start().await?;
        measure(&mut table, format!("{fill}, restarted"), &filled, &floor, idle).await?;
    }
    table.remark(format!(
        "VmRSS after {} s without a call; VmHWM is the most since the daemon's start. Floor: VmRSS of a static program that \
         does nothing but answer, and the bytes of the store. Targets: under 15 MB with none, under 60 MB with 60,000.",
        idle.as_secs()
    ));
    let sizes = sizes(&bed.cluster()?.folder.join(ours::FOLDER), floor.size()?)?;
    floor.stop().await?;
    Ok(vec![table, sizes])
}

async fn measure(
    table: &mut Table,
    name: String,
    filled: &Filled<'_>,
    floor: &Floor,
    idle: Duration,
) -> Result<()> {
    let step = Step::begin(format!("leaving the daemon alone: {name}"));
    sleep(idle).await;
    step.end();
    let memory = Memory::of(&filled.node.daemon.service)?;
    let least = Memory::of(&floor.echo)?.resident * 1024 + store_size(filled.node)?;
    let resident = memory.resident * 1024;
    table.row([
        name,
        megabytes(resident),
        megabytes(memory.peak * 1024),
        megabytes(least),
        share(resident, least),
    ]);
    Ok(())
}

fn store_size(node: &Node) -> Result<u64> {
    let path = node.machine.path(store::PATH);
    let metadata = fs::metadata(&path).with_context(|| format!("no store at {}", path.display()))?;
    Ok(metadata.len())
}

fn sizes(folder: &Path, floor: u64) -> Result<Table> {
    let mut table = Table::new(
        "sizes of the programs",
        &["program", "size", "target: under", "size x target", "x floor"],
    );
    for (name, target) in PROGRAMS {
        let path = folder.join(name);
        let size = fs::metadata(&path)
            .with_context(|| format!("no program at {}", path.display()))?
            .len();
        table.row([
            name.to_owned(),
            megabytes(size),
            megabytes(target),
            share(size, target),
            share(size, floor),
        ]);
    }
    table.remark(format!(
        "Floor: a static program of Rust's standard library alone, {}.",
        megabytes(floor)
    ));
    Ok(table)
}

#[expect(clippy::cast_precision_loss, reason = "bytes, far below 2^52")]
fn share(bytes: u64, of: u64) -> String {
    times(bytes as f64, of as f64)
}

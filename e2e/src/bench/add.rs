//! The plugin, from spawn to exit.

use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::json;

use super::Scale;
use super::caller::Caller;
use super::floors;
use super::table::{Table, ratio};
use super::times::Times;
use crate::bed::Bed;
use crate::cluster::ClusterSpec;
use crate::node::Node;
use crate::ours;
use crate::progress::Step;

const POOL: &str = "bench";

/// Brings a cluster with one node up, measures, and takes it down.
pub(super) async fn run(scale: Scale) -> Result<Vec<Table>> {
    let spec = ClusterSpec {
        nodes: vec!["host-a".to_owned()],
        ..ClusterSpec::default()
    };
    let bed = Bed::up(&spec).await?;
    let outcome = measure(&bed, scale).await;
    bed.down().await?;
    outcome
}

async fn measure(bed: &Bed, scale: Scale) -> Result<Vec<Table>> {
    let node = bed.nodes().first().context("no node")?;
    prepare(bed, node).await?;
    let caller = Arc::new(Caller::new(
        bed.cluster()?.folder.join(ours::FOLDER).join("nv-ipam"),
        &node.machine,
        POOL,
    ));
    let folder = node.machine.folder.join("var/lib/cni/nv-ipam");
    let step = Step::begin("measuring single calls");
    let table = tokio::task::spawn_blocking(move || single(&caller, &folder, scale.pick(500, 100))).await??;
    step.end();
    Ok(vec![table])
}

fn single(caller: &Caller, folder: &std::path::Path, count: usize) -> Result<Table> {
    let [mut process, mut disk, mut add, mut check, mut del] = [const { Vec::new() }; 5];
    let mut flushes = floors::Flushes::new(folder)?;
    for number in 0..count {
        let container = format!("single-{number}");
        process.push(caller.call("VERSION", "none")?);
        disk.push(flushes.flush()?);
        add.push(caller.call("ADD", &container)?);
        check.push(caller.call("CHECK", &container)?);
        del.push(caller.call("DEL", &container)?);
    }
    let [process, disk, add, check, del] = [process, disk, add, check, del].map(Times::new);
    let floor = process.median() + disk.median();
    let mut table = Table::new(
        "one call at a time",
        &["call", "p50", "p99", "max", "x process + disk"],
    );
    for (name, times) in [
        ("VERSION: the process", &process),
        ("append 4 KiB, fdatasync: the disk", &disk),
        ("ADD", &add),
        ("CHECK", &check),
        ("DEL", &del),
    ] {
        let cells = times.cells().into_iter().chain([ratio(times.median(), floor)]);
        table.row(std::iter::once(name.to_owned()).chain(cells));
    }
    table.remark("process + disk is the sum of the first two medians.");
    Ok(table)
}

/// A pool with a large block, and a daemon that knows it.
async fn prepare(bed: &Bed, node: &Node) -> Result<()> {
    let pool = json!({
        "apiVersion": "nv-ipam.nvidia.com/v1alpha1",
        "kind": "IPPool",
        "metadata": { "name": POOL, "namespace": crate::names::NAMESPACE },
        "spec": { "subnet": "10.64.0.0/16", "perNodeBlockSize": 10_000 },
    });
    bed.apply(&pool.to_string()).await?;
    bed.controller().start().await?;
    bed.wait_blocks(POOL, &[&node.name]).await?;
    node.daemon.start().await?;
    node.daemon.wait_block(POOL).await
}

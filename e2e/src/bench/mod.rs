//! What ADD and DEL cost through the real plugin and the real daemon, against what they can't cost less than.
//!
//! The plugin is exec'ed from the host, so that entering a machine is not part of what is measured. Figures in seconds
//! say something about this machine; the ratios to the floors, measured in the same run on the same disk, say something
//! about the programs.

mod caller;
mod floors;
mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;

use crate::bed::Bed;
use crate::cluster::ClusterSpec;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::ours;
use crate::progress::Step;

use caller::Caller;
use report::{Load, Report, Times};

const POOL: &str = "bench";
/// Calls one after the other, for each verb.
const SEQUENTIAL: usize = 500;
/// Pairs of ADD and DEL in each run with several plugins at a time.
const PAIRS: usize = 800;
/// Plugins at a time.
const PARALLEL: [usize; 3] = [1, 8, 32];

/// Brings a cluster with one node up, measures, takes it down, and returns the table.
pub async fn run() -> Result<String> {
    let spec = ClusterSpec {
        nodes: vec!["host-a".to_owned()],
        ..ClusterSpec::default()
    };
    let bed = Bed::up(&spec).await?;
    let outcome = measure(&bed).await;
    bed.down().await?;
    Ok(outcome?.to_string())
}

async fn measure(bed: &Bed) -> Result<Report> {
    let node = bed.nodes().first().context("no node")?;
    prepare(bed, node).await?;
    let caller = Arc::new(Caller::new(
        bed.cluster()?.folder.join(ours::FOLDER).join("nv-ipam"),
        &node.machine,
        POOL,
    ));
    let step = Step::begin("measuring floors and single calls");
    let (one, folder) = (caller.clone(), node.machine.folder.join("var/lib/cni/nv-ipam"));
    let (process, disk, add, check, del) = tokio::task::spawn_blocking(move || {
        let process = Times::of(SEQUENTIAL, |_| one.call("VERSION", "none"))?;
        let disk = floors::flushes(&folder, SEQUENTIAL)?;
        let [mut add, mut check, mut del] = [const { Vec::new() }; 3];
        for number in 0..SEQUENTIAL {
            let container = format!("single-{number}");
            add.push(one.call("ADD", &container)?);
            check.push(one.call("CHECK", &container)?);
            del.push(one.call("DEL", &container)?);
        }
        anyhow::Ok((process, disk, Times::new(add), Times::new(check), Times::new(del)))
    })
    .await??;
    step.end();
    let mut loads = Vec::new();
    for plugins in PARALLEL {
        let step = Step::begin(format!(
            "{PAIRS} pairs of ADD and DEL, {plugins} plugins at a time"
        ));
        loads.push(load(node, &caller, plugins).await?);
        step.end();
    }
    Ok(Report {
        process,
        disk,
        add,
        check,
        del,
        loads,
    })
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

/// `plugins` callers, each with ADD and DEL in turn.
async fn load(node: &Node, caller: &Arc<Caller>, plugins: usize) -> Result<Load> {
    let before = node.daemon.scrape().await?;
    let began = Instant::now();
    let callers: Vec<_> = (0..plugins)
        .map(|plugin| {
            let caller = caller.clone();
            std::thread::spawn(move || pairs(&caller, plugin, PAIRS / plugins))
        })
        .collect();
    let ended = tokio::task::spawn_blocking(move || {
        let join = |thread: std::thread::JoinHandle<Result<_>>| {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a caller panicked"))
                .flatten()
        };
        callers.into_iter().map(join).collect::<Result<Vec<_>>>()
    })
    .await??;
    let took = began.elapsed();
    let (adds, dels): (Vec<_>, Vec<_>) = ended.into_iter().unzip();
    Ok(Load {
        plugins,
        took,
        add: Times::new(adds.concat()),
        del: Times::new(dels.concat()),
        batches: report::Batches::between(&before, &Metrics::scrape(node.daemon.metrics).await?),
    })
}

fn pairs(caller: &Caller, plugin: usize, count: usize) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let (mut adds, mut dels) = (Vec::new(), Vec::new());
    for number in 0..count {
        let container = format!("load-{plugin}-{number}");
        adds.push(caller.call("ADD", &container)?);
        dels.push(caller.call("DEL", &container)?);
    }
    Ok((adds, dels))
}

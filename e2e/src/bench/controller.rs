//! The controller and a pool of thousands of nodes: dealing a range to all of them, and to one more.

mod burst;
mod lone;
mod pool_watch;
mod status;

use anyhow::Result;
use serde_json::json;

use self::pool_watch::PoolWatch;
use super::Scale;
use super::table::Table;
use crate::bed::Bed;
use crate::names::NAMESPACE;
use crate::pods;
use crate::progress::Step;

const POOL: &str = "bench";
/// The label of nodes that the pool is for.
const FOR_POOL: &str = "e2e.nv-ipam.test/pool";

/// Its nodes are objects only, without machines.
pub(super) async fn run(bed: &Bed, scale: Scale) -> Result<Vec<Table>> {
    let plane = &bed.cluster()?.plane;
    // They would notice that no kubelet stands behind the nodes, and write each of them.
    plane.controller_manager.stop().await?;
    plane.scheduler.stop().await?;
    let sizes: &[usize] = scale.pick(&[1_000, 5_000, 10_000], &[1_000]);
    let mut bursts = Vec::new();
    let mut alone = Vec::new();
    for (i, &size) in sizes.iter().enumerate() {
        bed.reset().await?;
        let step = Step::begin(format!("measuring {size} nodes that come at once"));
        let mut watch = start(bed).await?;
        bursts.push(burst::measure(bed, &mut watch, size).await?);
        step.end();
        if i + 1 == sizes.len() {
            let step = Step::begin(format!("measuring one node beside {size}"));
            alone.push(lone::measure(bed, &mut watch, size, scale.pick(5, 2)).await?);
            step.end();
        }
    }
    bed.reset().await?;
    plane.controller_manager.start().await?;
    plane.scheduler.start().await?;
    Ok(std::iter::once(burst::table(&bursts)).chain(alone).collect())
}

/// A pool, a controller at work on it, and a watch that has seen it write that no node is without a range.
async fn start(bed: &Bed) -> Result<PoolWatch> {
    let pool = json!({
        "apiVersion": "nv-ipam.nvidia.com/v1alpha1",
        "kind": "IPPool",
        "metadata": { "name": POOL, "namespace": NAMESPACE },
        "spec": {
            "subnet": "10.0.0.0/8",
            "gateway": "10.0.0.1",
            "perNodeBlockSize": 256,
            "nodeSelector": { "nodeSelectorTerms": [{
                "matchExpressions": [{ "key": FOR_POOL, "operator": "In", "values": [POOL] }]
            }]},
        },
    });
    bed.apply(&pool.to_string()).await?;
    let mut watch = PoolWatch::start(bed, POOL).await?;
    bed.controller().start().await?;
    watch.wait(|seen| seen.events > 0).await?;
    Ok(watch)
}

async fn create_node(bed: &Bed, name: &str) -> Result<()> {
    pods::create_fake_node(&bed.client, name, &[(FOR_POOL, POOL)]).await
}

//! Many nodes at once.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use e2e::pods;
use e2e::progress::say;
use tokio::task::JoinSet;

use super::pool::{FOR_POOL, Pool};

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::api(
        "controller::burst::a_thousand_nodes_at_once_take_few_writes",
        thousand,
    )]
}

const NODES: usize = 1000;
/// How many clients create nodes side by side.
const CLIENTS: usize = 16;
/// Each write is sent whole to every daemon.
const WRITES: f64 = 40.0;

async fn thousand(bed: Arc<Bed>) -> Result<()> {
    let pool = Pool::create(&bed, "burst", "10.64.0.0/14", 200).await?;
    bed.controller().start().await?;
    // It is at work on this pool before the first node comes.
    pool.wait_condition("NodesAllocated", "True", "").await?;
    let mut clients = JoinSet::new();
    for first in 0..CLIENTS {
        let client = bed.client.clone();
        clients.spawn(async move {
            for number in (first..NODES).step_by(CLIENTS) {
                pods::create_fake_node(&client, &name(number), &[(FOR_POOL, "burst")]).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(created) = clients.join_next().await {
        created??;
    }
    let names: Vec<String> = (0..NODES).map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    pool.wait_nodes(&names).await?;
    pool.wait_condition("NodesAllocated", "True", "").await?;
    let metrics = bed.controller().scrape().await?;
    let writes = metrics.value("nv_ipam_controller_status_writes_total", &[("pool", "burst")])?;
    say(format!("{NODES} nodes took {writes} status writes"));
    ensure!(writes <= WRITES, "{writes} status writes for {NODES} nodes");
    Ok(())
}

fn name(number: usize) -> String {
    format!("burst-{number:04}")
}

//! The controller killed with SIGKILL in the middle of its work, again and again.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use e2e::pods;
use e2e::progress::say;
use serde_json::json;
use tokio::sync::Semaphore;

use super::extra::Extra;
use super::observer::Observer;
use super::pool::{FOR_POOL, Pool, create, create_nodes, entries, pools, selector};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::api(
            "controller::killed::while_nodes_arrive_no_entry_ever_changes",
            arriving,
        ),
        Test::api(
            "controller::killed::the_end_is_that_of_an_undisturbed_run",
            same_end,
        ),
    ]
}

/// How often it is killed while nodes arrive.
const KILLS: usize = 20;
/// How many nodes come together.
const GROUP: usize = 8;

async fn arriving(bed: Arc<Bed>) -> Result<()> {
    let pool = Pool::create(&bed, "killed", "10.64.0.0/14", 50).await?;
    let mut observer = Observer::start(bed.client.clone());
    // No election: the lease of a killed leader would first have to expire.
    let controller = Extra::alone(&bed);
    let permits = Arc::new(Semaphore::new(0));
    let arrivals = tokio::spawn(arrive(bed.client.clone(), permits.clone()));
    for round in 0..KILLS {
        controller.0.service.start().await?;
        permits.add_permits(GROUP);
        // As soon as it exists, after its first write, after its second, ...
        for _ in 0..round % 4 {
            let seen = observer.seen();
            permits.add_permits(GROUP);
            observer.wait(seen + 1).await?;
        }
        controller.0.kill().await?;
    }
    permits.close();
    let nodes = arrivals.await??;
    say(format!("killed {KILLS} times while {} nodes came", nodes.len()));
    controller.0.start().await?;
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    pool.wait_nodes(&nodes).await?;
    let ended = controller.0.stop().await?;
    ensure!(ended.success(), "{ended}");
    observer.finish().await
}

/// Creates a node for each permit until there will be no more; their names, sorted.
async fn arrive(client: kube::Client, permits: Arc<Semaphore>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    while let Ok(permit) = permits.acquire().await {
        permit.forget();
        // The later ones come first by name, so that what is dealt is not in name order.
        let name = format!("killed-{:04}", 9999 - names.len());
        pods::create_fake_node(&client, &name, &[(FOR_POOL, "killed")]).await?;
        names.push(name);
    }
    names.sort_unstable();
    Ok(names)
}

const POOLS: usize = 60;

/// Where all nodes are there before, what each pool deals does not depend on when the controller is killed.
async fn same_end(bed: Arc<Bed>) -> Result<()> {
    let nodes: Vec<String> = (0..20).map(|number| format!("end-{number:02}")).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    create_nodes(&bed, "end", &nodes).await?;
    let controller = Extra::alone(&bed);
    let undisturbed = Pool::create(&bed, "end", "10.64.0.0/14", 50).await?;
    controller.0.start().await?;
    let expected = undisturbed.wait_nodes(&nodes).await?;
    controller.0.kill().await?;

    let spec = json!({ "subnet": "10.64.0.0/14", "perNodeBlockSize": 50, "nodeSelector": selector("end") });
    for number in 0..POOLS {
        create(&bed.client, &format!("end-{number:02}"), &spec).await?;
    }
    let mut observer = Observer::start(bed.client.clone());
    observer.wait(1).await?;
    let all = POOLS + 1;
    let mut kills = 0;
    while observer.seen() < all {
        controller.0.service.start().await?;
        let more = kills % 7;
        observer.wait((observer.seen() + more).min(all)).await?;
        controller.0.kill().await?;
        kills += 1;
    }
    say(format!("killed {kills} times while {POOLS} pools were dealt"));
    ensure!(kills > 10, "killed {kills} times only");
    for pool in pools(bed.client.clone())
        .list(&kube::api::ListParams::default())
        .await?
    {
        let name = pool.metadata.name.clone().context("a pool without a name")?;
        let dealt = entries(&pool)?;
        ensure!(dealt == expected, "pool {name}: {dealt:?}");
    }
    observer.finish().await
}

//! A node whose daemon is not running.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use e2e::{pods, store, wait};

use crate::setting;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::nodes(
        "node::daemon_away::the_node_says_why_it_is_not_ready_and_lets_pods_go",
        not_ready,
    )]
}

/// The bridge network of the seed's README at the version of the specification that has STATUS.
fn network() -> String {
    include_str!("../mynet.conf").replace("0.4.0", "1.1.0")
}

async fn not_ready(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "pool1", "192.168.0.0/16", 24).await?;
    node.install_network("10-mynet.conf", &network()).await?;
    let address = pods::run(&bed.client, "leaver", &node.name).await?;

    node.daemon.stop().await?;
    let message = node.wait_not_ready(&bed.client).await?;
    setting::says(
        &message,
        &[
            "nv-ipam: ipam-node isn't answering on unix:///var/lib/cni/nv-ipam/daemon.sock",
            "check that",
        ],
    )?;
    pods::delete(&bed.client, "leaver").await?;
    let held = store::reservations(node).await?;
    ensure!(
        held.len() == 1 && held[0].address == address,
        "nobody was there to release it: {held:?}"
    );

    node.daemon.start().await?;
    wait::until(
        "the address to be free",
        wait::USUAL,
        async || match store::reservations(node).await {
            Ok(left) if left.is_empty() => wait::done(()),
            other => wait::not_yet(format!("{other:?}")),
        },
    )
    .await?;
    let journal = node
        .exec(&["ls", "/var/lib/cni/nv-ipam/released"])
        .await?
        .success()?;
    ensure!(journal.is_empty(), "left in the journal: {journal}");
    node.wait_ready(&bed.client).await
}

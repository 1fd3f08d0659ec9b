//! Addresses that are never handed out.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use e2e::{pods, wait};
use serde_json::json;

use crate::setting::{self, add, call, del};

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::nodes(
        "node::exclusions::both_kinds_overlap_on_the_first_node_and_work_on_every_node",
        overlapping,
    )]
}

/// As in the README, whose example makes the Go version refuse every ADD on the first node.
async fn overlapping(bed: Arc<Bed>) -> Result<()> {
    let pool = json!({
        "apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": "IPPool",
        "metadata": { "name": "pool1", "namespace": "kube-system" },
        "spec": {
            "subnet": "192.168.0.0/16", "perNodeBlockSize": 24, "gateway": "192.168.0.1",
            "exclusions": [{ "startIP": "192.168.0.10", "endIP": "192.168.0.20" }],
            "perNodeExclusions": [{ "startIndex": 0, "endIndex": 10 }],
        },
    });
    bed.apply(&pool.to_string()).await?;
    bed.controller().start().await?;
    bed.wait_blocks("pool1", &["host-a", "host-b"]).await?;
    let (first, second) = (&bed.nodes()[0], &bed.nodes()[1]);
    for node in [first, second] {
        setting::start_daemon(node, "pool1").await?;
    }
    for (container, address) in [
        ("a", "192.168.0.21/16"),
        ("b", "192.168.0.22/16"),
        ("c", "192.168.0.23/16"),
    ] {
        let got = add(first, container, "pool1").await?;
        ensure!(got == address, "{container} got {got}");
    }
    let got = add(second, "a", "pool1").await?;
    ensure!(got == "192.168.0.36/16", "on the second node it got {got}");

    // A pod gets the last one, and then there is none but those that are excluded.
    first
        .install_network("10-mynet.conf", include_str!("../mynet.conf"))
        .await?;
    let got = pods::run(&bed.client, "last", &first.name).await?;
    ensure!(got == "192.168.0.24", "the pod got {got}");
    let refused = call(first, "ADD", "d", "pool1").await?;
    ensure!(
        !refused.ok() && refused.stdout.contains("no free addresses"),
        "{refused:?}"
    );
    let metrics = first.daemon.scrape().await?;
    let excluded = metrics.value("nv_ipam_addresses", &[("pool", "pool1"), ("state", "excluded")])?;
    ensure!(excluded.to_string() == "20", "{excluded} are excluded");

    // An exclusion that is lifted gives its addresses to the next pods, one that comes takes none away.
    let lifted = json!({ "spec": { "perNodeExclusions": null, "exclusions": [
        { "startIP": "192.168.0.3", "endIP": "192.168.0.24" },
    ] } });
    let patch = [
        "patch",
        "ippool",
        "pool1",
        "-n",
        "kube-system",
        "--type=merge",
        "-p",
    ];
    bed.kubectl
        .run(&[&patch[..], &[&lifted.to_string()]].concat())
        .await?;
    let got = wait::until("an address that was excluded", wait::USUAL, async || {
        match add(first, "d", "pool1").await {
            Ok(address) => wait::done(address),
            Err(error) => wait::not_yet(format!("{error:#}")),
        }
    });
    let got = got.await?;
    ensure!(got == "192.168.0.2/16", "{got}");
    setting::check(first, "a", "pool1").await?;
    for container in ["a", "b", "c", "d"] {
        del(first, container, "pool1").await?;
    }
    Ok(())
}

//! CIDRPools on real nodes.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::{Bed, ROLE};
use e2e::cni::{Call, Scratch, addresses, error_code};
use e2e::harness::Test;
use e2e::node::Node;
use e2e::{pods, store, wait};
use serde_json::json;

use super::pod_network::{bridge, ensure_answers, ensure_shown};
use crate::controller::pool::Pool;
use crate::setting;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::nodes(
            "node::cidr::pods_of_the_sample_get_addresses_of_their_nodes_prefix",
            sample,
        ),
        Test::nodes(
            "node::cidr::pods_keep_working_and_others_come_whatever_happens_to_the_spec",
            edited,
        ),
        Test::nodes(
            "node::cidr::without_their_crd_the_daemon_serves_ippools_and_finds_them_when_it_comes",
            no_crd,
        ),
    ]
}

const CRDS: &str = "config/crd/nv-ipam.nvidia.com.yaml";

/// The pool's name in metrics, and in the store.
const KEY: &str = "cidrpool/pool1";

/// The sample dealt, daemons that know their prefix, and a network of it on every node.
async fn dealt(bed: &Bed) -> Result<Pool<'_>> {
    for node in bed.nodes() {
        pods::label_node(&bed.client, &node.name, ROLE, Some("worker")).await?;
    }
    bed.apply_file("config/samples/cidrpool.yaml").await?;
    bed.controller().start().await?;
    let pool = Pool::existing_cidr(bed, "pool1");
    pool.wait_nodes(&["host-a", "host-b"]).await?;
    for node in bed.nodes() {
        setting::start_daemon(node, KEY).await?;
        let network = bridge("rail", "pool1", "cidrpool").to_string();
        node.install_network("10-rail.conf", &network).await?;
    }
    Ok(pool)
}

async fn sample(bed: Arc<Bed>) -> Result<()> {
    dealt(&bed).await?;
    // Behind both kinds of exclusions, and on host-b behind its own gateway.
    for (node, pod, address, gateway) in [
        (&bed.nodes()[0], "on-a", "192.168.0.21", "192.168.0.1"),
        (&bed.nodes()[1], "on-b", "192.168.33.11", "192.168.33.10"),
    ] {
        let got = pods::run(&bed.client, pod, &node.name).await?;
        ensure!(got == address, "{pod} got {got}");
        ensure_shown(&bed, pod, &[&format!("inet {address}/24 ")], &[]).await?;
        ensure_answers(&bed, pod, gateway).await?;
        let reserved = store::reservations(node).await?;
        ensure!(
            reserved.len() == 1 && reserved[0].pool == KEY && reserved[0].address == address,
            "{reserved:?}"
        );
        pods::delete(&bed.client, pod).await?;
        ensure!(store::reservations(node).await?.is_empty());
    }
    Ok(())
}

async fn edited(bed: Arc<Bed>) -> Result<()> {
    let pool = dealt(&bed).await?;
    let before = pool.entries().await?;
    let node = &bed.nodes()[0];
    pods::run(&bed.client, "stayer", &node.name).await?;
    pods::run(&bed.client, "neighbour", &node.name).await?;
    let works = async |stage: &str| -> Result<()> {
        let entries = pool.entries().await?;
        ensure!(entries == before, "{stage}: {entries:?}");
        ensure_answers(&bed, "neighbour", "192.168.0.21").await?;
        let address = add(node, stage).await?;
        ensure!(
            address.starts_with("192.168.0.") && address.ends_with("/24"),
            "{stage}: {address}"
        );
        del(node, stage).await
    };
    works("dealt").await?;

    // What no rule of the CRD can say.
    let mark = node.daemon.service.log_length();
    let backwards = json!([{ "startIP": "192.168.0.20", "endIP": "192.168.0.10" }]);
    pool.edit(json!({ "exclusions": backwards })).await?;
    pool.wait_condition("SpecValid", "False", "exclusions[0]").await?;
    wait_says(node, mark, "pool cidrpool/pool1: its spec is invalid").await?;
    works("invalid").await?;
    node.daemon.kill().await?;
    node.daemon.start().await?;
    works("restarted").await?;

    let mark = node.daemon.service.log_length();
    let elsewhere = json!({ "cidr": "10.77.0.0/16", "exclusions": null, "staticAllocations": null });
    pool.edit(elsewhere).await?;
    wait_says(node, mark, "doesn't contain this node's prefix 192.168.0.0/24").await?;
    works("moved").await?;

    // A spec that can be followed is followed, though the prefix is not one of its own.
    let mark = node.daemon.service.log_length();
    pool.edit(json!({ "cidr": "192.168.0.0/16", "perNodeNetworkPrefix": 26, "gatewayIndex": 3 }))
        .await?;
    wait_says(
        node,
        mark,
        "pool cidrpool/pool1: this node hands out its prefix 192.168.0.0/24, without 192.168.0.1-192.168.0.10, gateway \
         192.168.0.3",
    )
    .await?;
    works("resized").await?;
    for pod in ["stayer", "neighbour"] {
        pods::delete(&bed.client, pod).await?;
    }
    let left = store::reservations(node).await?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

async fn no_crd(bed: Arc<Bed>) -> Result<()> {
    bed.kubectl
        .run(&["delete", "crd", "cidrpools.nv-ipam.nvidia.com"])
        .await?;
    let outcome = serves_the_other_kind(&bed).await;
    bed.apply_file(CRDS).await?;
    bed.kubectl.wait_established().await?;
    outcome
}

async fn serves_the_other_kind(bed: &Bed) -> Result<()> {
    let node = &bed.nodes()[0];
    let mark = node.daemon.service.log_length();
    // Ready without them.
    setting::first_node(bed, "pool1", "192.168.0.0/16", 24).await?;
    let got = setting::add(node, "of-the-other-kind", "pool1").await?;
    ensure!(got == "192.168.0.1/16", "{got}");
    let scratch = Scratch::create(node, "too-early").await?;
    let call = Call::new("ADD", "too-early", &scratch.path());
    let refused = call.run(node, "nv-ipam", &network()).await?;
    // To be tried again: whether there is such a pool nobody has said.
    ensure!(error_code(&refused)? == 11, "{refused:?}");
    setting::says(&refused.stdout, &["is not known yet"])?;
    let log = node.daemon.service.log_since(mark);
    for text in [
        "CIDRPools can't be watched",
        "is the CustomResourceDefinition installed?",
        "doesn't say which CIDRPools there are",
    ] {
        let said = log.matches(text).count();
        ensure!(said == 1, "{text:?} was said {said} times:\n{log}");
    }

    // Creation, unlike a change, is judged in full: there is no warning.
    bed.apply_file(CRDS).await?;
    bed.kubectl.wait_established().await?;
    bed.apply_file("config/samples/cidrpool.yaml").await?;
    pods::label_node(&bed.client, &node.name, ROLE, Some("worker")).await?;
    node.daemon.wait_block(KEY).await?;
    let got = add(node, "in-time").await?;
    ensure!(got == "192.168.0.21/24", "{got}");
    setting::says(
        &node.daemon.service.log_since(mark),
        &["CIDRPools can be watched again"],
    )
}

fn network() -> String {
    json!({
        "cniVersion": "1.0.0", "name": "rail", "type": "nv-ipam",
        "ipam": { "type": "nv-ipam", "poolName": "pool1", "poolType": "cidrpool" },
    })
    .to_string()
}

/// An ADD for a container of this name; its address.
async fn add(node: &Node, container: &str) -> Result<String> {
    let scratch = Scratch::create(node, container).await?;
    let call = Call::new("ADD", container, &scratch.path());
    let result = call.run(node, "nv-ipam", &network()).await?.success()?;
    Ok(addresses(&result)?.concat())
}

async fn del(node: &Node, container: &str) -> Result<()> {
    let call = Call::new("DEL", container, &format!("/run/netns/{container}"));
    call.run(node, "nv-ipam", &network()).await?.success().map(drop)
}

/// Waits until the daemon's log says this after `mark`.
async fn wait_says(node: &Node, mark: u64, text: &str) -> Result<()> {
    let what = format!("the daemon of {} to say {text:?}", node.name);
    wait::until(&what, wait::USUAL, async || {
        let log = node.daemon.service.log_since(mark);
        if log.contains(text) {
            wait::done(())
        } else {
            wait::not_yet(log)
        }
    })
    .await
}

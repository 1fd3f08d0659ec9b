//! The networks of the seed's README, called as a runtime calls them and through libcni.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::cni::{Call, Scratch, addresses, cnitool, dummy_link};
use e2e::command::Ran;
use e2e::harness::Test;
use e2e::node::Node;
use e2e::store;
use serde_json::Value;

use crate::setting;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::nodes(
            "node::networks::the_seeds_bridge_network_works_as_written",
            bridge,
        ),
        Test::nodes(
            "node::networks::the_seeds_macvlan_network_works_with_a_name",
            macvlan,
        ),
        Test::nodes("node::networks::the_seeds_networks_work_through_libcni", libcni),
    ]
}

/// The bridge network of the seed's README, word for word.
const MYNET: &str = include_str!("../mynet.conf");
/// The macvlan network of the seed's README with a `name`, which Multus would add.
const MACVLAN: &str = include_str!("macvlan.conf");
/// What carries the macvlan interfaces, by the name that the seed has.
const MASTER: &str = "enp3s0f0np0";

/// CNI_ARGS of a pod, for cnitool.
const ARGS: &str = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=tool;K8S_POD_UID=2a7bd1d8-0000-4000-8000-000000000000";

async fn bridge(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "pool1", "192.168.0.0/16", 24).await?;
    let scratch = Scratch::create(node, "bridged").await?;
    let result = add(node, &scratch, "bridge", MYNET).await?;
    let check = with_previous(MYNET, &result)?;
    called(node, &scratch, "CHECK", "bridge", &check)
        .await?
        .success()?;
    removed(
        node,
        &scratch,
        called(node, &scratch, "DEL", "bridge", MYNET).await?,
    )
    .await
}

async fn macvlan(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "my-pool", "10.56.0.0/20", 10).await?;
    dummy_link(node, MASTER).await?;
    let scratch = Scratch::create(node, "macvlan").await?;
    add(node, &scratch, "macvlan", MACVLAN).await?;
    let link = scratch
        .exec(&["ip", "-details", "link", "show", "eth0"])
        .await?
        .success()?;
    setting::says(&link, &["macvlan mode bridge"])?;
    removed(
        node,
        &scratch,
        called(node, &scratch, "DEL", "macvlan", MACVLAN).await?,
    )
    .await
}

/// Both, by way of the library that runtimes use, with its cache of results.
async fn libcni(bed: Arc<Bed>) -> Result<()> {
    setting::deal(&bed, "pool1", "192.168.0.0/16", 24).await?;
    let node = setting::first_node(&bed, "my-pool", "10.56.0.0/20", 10).await?;
    node.daemon.wait_block("pool1").await?;
    dummy_link(node, MASTER).await?;
    node.install_network("10-mynet.conf", MYNET).await?;
    node.install_network("20-macvlan.conf", MACVLAN).await?;
    let assets = &bed.cluster()?.assets;
    // The specification has CHECK from 0.4.0 on, which the seed's bridge network asks for and its macvlan one doesn't.
    for (network, has_check) in [("mynet", true), ("mymacvlan", false)] {
        let scratch = Scratch::create(node, network).await?;
        let netns = scratch.path();
        let tool = async |verb: &str| cnitool(node, assets, verb, network, &netns, ARGS).await;
        let result = tool("add").await?.success()?;
        shown(node, &scratch, &result).await?;
        let check = tool("check").await?;
        ensure!(check.ok() == has_check, "{check:?}");
        removed(node, &scratch, tool("del").await?).await?;
    }
    Ok(())
}

/// Calls a plugin as a runtime does.
async fn called(node: &Node, scratch: &Scratch<'_>, verb: &str, plugin: &str, config: &str) -> Result<Ran> {
    Call::new(verb, &scratch.name, &scratch.path())
        .run(node, plugin, config)
        .await
}

/// An ADD, and a look at what came of it. Returns the result.
async fn add(node: &Node, scratch: &Scratch<'_>, plugin: &str, config: &str) -> Result<String> {
    let result = called(node, scratch, "ADD", plugin, config).await?.success()?;
    shown(node, scratch, &result).await?;
    Ok(result)
}

/// The address of the result is in the namespace, with the pool's prefix length, and in the store.
async fn shown(node: &Node, scratch: &Scratch<'_>, result: &str) -> Result<()> {
    let all = addresses(result)?;
    ensure!(all.len() == 1, "{result}");
    let reservations = store::reservations(node).await?;
    ensure!(reservations.len() == 1, "{reservations:?}");
    let reservation = &reservations[0];
    let length = if reservation.pool == "pool1" { 16 } else { 20 };
    ensure!(
        all[0] == format!("{}/{length}", reservation.address) && reservation.interface == "eth0",
        "{result} came of {reservation:?}"
    );
    let show = ["ip", "-oneline", "address", "show", "eth0"];
    let shown = scratch.exec(&show).await?.success()?;
    setting::says(&shown, &[&format!("inet {} ", all[0])])
}

/// The DEL succeeded, and interface and reservation are gone.
async fn removed(node: &Node, scratch: &Scratch<'_>, del: Ran) -> Result<()> {
    del.success()?;
    let links = scratch.exec(&["ip", "-oneline", "link"]).await?.success()?;
    ensure!(!links.contains("eth0"), "the interface is still there: {links}");
    let left = store::reservations(node).await?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

/// The configuration of a CHECK: that of the ADD, and its result.
fn with_previous(config: &str, result: &str) -> Result<String> {
    let mut config: Value = serde_json::from_str(config)?;
    config["prevResult"] = serde_json::from_str(result)?;
    Ok(config.to_string())
}

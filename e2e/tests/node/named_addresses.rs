//! Addresses that are asked for: by name, by index, or as the gateway's.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::bed::Bed;
use e2e::cni::{Call, Scratch, addresses};
use e2e::command::Ran;
use e2e::harness::Test;
use e2e::node::Node;
use e2e::store;
use serde_json::{Value, json};

use crate::setting::{self, says};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::nodes("node::named_addresses::each_way_to_ask_for_one_works", asked_for),
        Test::nodes(
            "node::named_addresses::one_of_another_node_is_refused_and_the_node_is_named",
            of_others,
        ),
    ]
}

/// A pool of 32 addresses for each node, whose gateway is the first one of host-a, daemons that know it.
async fn dealt(bed: &Bed) -> Result<()> {
    let pool = json!({
        "apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": "IPPool",
        "metadata": { "name": "named", "namespace": "kube-system" },
        "spec": {
            "subnet": "10.80.0.0/24", "perNodeBlockSize": 32, "gateway": "10.80.0.1", "defaultGateway": true,
            "exclusions": [{ "startIP": "10.80.0.40", "endIP": "10.80.0.41" }],
        },
    });
    bed.apply(&pool.to_string()).await?;
    bed.controller().start().await?;
    bed.wait_blocks("named", &["host-a", "host-b"]).await?;
    for node in bed.nodes() {
        setting::start_daemon(node, "named").await?;
    }
    Ok(())
}

/// A network of this pool, with `more` beside its IPAM.
fn network(more: &Value) -> String {
    let mut network = json!({
        "cniVersion": "1.0.0", "name": "named", "type": "bridge", "bridge": "named0",
        "ipam": { "type": "nv-ipam" },
    });
    if let (Some(network), Some(more)) = (network.as_object_mut(), more.as_object()) {
        network.extend(more.clone());
    }
    network.to_string()
}

fn from_runtime(ip: &str) -> Value {
    json!({ "runtimeConfig": { "ips": [ip] } })
}

fn from_args(ip: &str) -> Value {
    json!({ "args": { "cni": { "ips": [ip] } } })
}

fn index(index: i64) -> Value {
    json!({ "args": { "cni": { "allocateIPWithIndex": index } } })
}

fn default_gateway() -> Value {
    json!({ "args": { "cni": { "allocateDefaultGateway": true } } })
}

/// An ADD by the bridge plugin, for a container of this name.
async fn add(node: &Node, container: &str, more: &Value, ip: Option<&str>) -> Result<Ran> {
    let scratch = Scratch::create(node, container).await?;
    let mut call = Call::new("ADD", container, &scratch.path());
    if let Some(ip) = ip {
        call.args = format!("{};IP={ip}", call.args);
    }
    call.run(node, "bridge", &network(more)).await
}

/// An ADD that gets this address; its result.
async fn gets(node: &Node, container: &str, more: &Value, ip: Option<&str>, address: &str) -> Result<Value> {
    let result = add(node, container, more, ip).await?.success()?;
    let got = addresses(&result)?;
    ensure!(
        got == [address],
        "{container} asked with {more} and {ip:?} and got {got:?}"
    );
    let link = [
        "ip", "netns", "exec", container, "ip", "-oneline", "address", "show", "eth0",
    ];
    says(&node.exec(&link).await?.success()?, &[address])?;
    serde_json::from_str(&result).context("the result is no JSON")
}

/// An ADD that is refused with these words, and leaves nothing behind.
async fn is_refused(node: &Node, more: &Value, parts: &[&str]) -> Result<()> {
    let before = store::reservations(node).await?;
    let ran = add(node, "refused", more, None).await?;
    ensure!(!ran.ok(), "{more} was not refused: {ran:?}");
    let error: Value = serde_json::from_str(&ran.stdout)?;
    says(error["msg"].as_str().unwrap_or_default(), parts)?;
    let after = store::reservations(node).await?;
    ensure!(before == after, "{more}: {after:?}");
    Ok(())
}

async fn asked_for(bed: Arc<Bed>) -> Result<()> {
    dealt(&bed).await?;
    let node = &bed.nodes()[0];
    let nothing = json!({});
    gets(
        node,
        "runtime",
        &from_runtime("10.80.0.5/24"),
        None,
        "10.80.0.5/24",
    )
    .await?;
    gets(node, "args", &from_args("10.80.0.6"), None, "10.80.0.6/24").await?;
    gets(node, "env", &nothing, Some("10.80.0.7"), "10.80.0.7/24").await?;
    let mut both = from_runtime("10.80.0.8");
    both["args"] = from_args("10.80.0.9")["args"].clone();
    gets(node, "all", &both, Some("10.80.0.10"), "10.80.0.8/24").await?;
    gets(
        node,
        "args-first",
        &from_args("10.80.0.9"),
        Some("10.80.0.10"),
        "10.80.0.9/24",
    )
    .await?;
    is_refused(
        node,
        &from_args("10.80.0.5"),
        &["code = ResourceExhausted", "already reserved"],
    )
    .await?;
    is_refused(
        node,
        &from_args("10.99.0.5"),
        &["code = InvalidArgument", "ip 10.99.0.5 has no matching Pool"],
    )
    .await?;

    gets(node, "index", &index(11), None, "10.80.0.12/24").await?;
    is_refused(
        node,
        &index(0),
        &["code = InvalidArgument", "is the actual gateway"],
    )
    .await?;
    is_refused(
        node,
        &index(32),
        &["code = InvalidArgument", "is outside of the given chunk"],
    )
    .await?;

    // On every node that asks, and without a route through itself.
    for node in bed.nodes() {
        let result = gets(node, "gateway", &default_gateway(), None, "10.80.0.1/24").await?;
        ensure!(
            result["ips"][0]["gateway"].is_null() && result["routes"].is_null(),
            "{result}"
        );
    }
    // Whoever asks for nothing gets the next one after the last that nobody asked for, with the default route.
    let result = gets(node, "any", &nothing, None, "10.80.0.2/24").await?;
    ensure!(
        result["ips"][0]["gateway"] == "10.80.0.1"
            && result["routes"] == json!([{ "dst": "0.0.0.0/0", "gw": "10.80.0.1" }]),
        "{result}"
    );
    for container in [
        "runtime",
        "args",
        "env",
        "all",
        "args-first",
        "index",
        "gateway",
        "any",
    ] {
        let call = Call::new("DEL", container, &format!("/run/netns/{container}"));
        call.run(node, "bridge", &network(&nothing)).await?.success()?;
    }
    let left = store::reservations(node).await?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

async fn of_others(bed: Arc<Bed>) -> Result<()> {
    dealt(&bed).await?;
    let (first, second) = (&bed.nodes()[0], &bed.nodes()[1]);
    let named = [
        "code = InvalidArgument",
        "requested IP 10.80.0.33 can't be allocated",
        "range of node host-b",
    ];
    is_refused(first, &from_args("10.80.0.33"), &named).await?;
    gets(second, "owner", &from_args("10.80.0.33"), None, "10.80.0.33/24").await?;
    is_refused(second, &from_runtime("10.80.0.1"), &["range of node host-a"]).await?;
    // No node hands these out by itself: one is excluded, the other in nobody's block.
    gets(first, "excluded", &from_args("10.80.0.40"), None, "10.80.0.40/24").await?;
    gets(
        first,
        "nobodys",
        &from_args("10.80.0.200"),
        None,
        "10.80.0.200/24",
    )
    .await?;

    // Who was there first keeps it when a block with it is dealt, and the log says whose it is now.
    let mark = first.daemon.service.log_length();
    for name in ["c", "d", "e", "f", "g"] {
        e2e::pods::create_fake_node(&bed.client, name, &[]).await?;
    }
    let what = "the daemon to say whose the address is now";
    e2e::wait::until(what, e2e::wait::USUAL, async || {
        let log = first.daemon.service.log_since(mark);
        if log.contains("are now in the range of node g") && log.contains("10.80.0.200") {
            e2e::wait::done(())
        } else {
            e2e::wait::not_yet(log)
        }
    })
    .await?;
    is_refused(first, &from_args("10.80.0.201"), &["range of node g"]).await?;
    Ok(())
}

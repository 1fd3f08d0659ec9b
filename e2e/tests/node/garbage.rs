//! GC: what a runtime no longer has is released, and nothing else.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::assets::Assets;
use e2e::bed::Bed;
use e2e::cni::{Call, Scratch, cnitool, error_code, libcni_gc};
use e2e::command::Ran;
use e2e::harness::Test;
use e2e::node::Node;
use e2e::{pods, store};
use rpc::v1::ipam_service_client::IpamServiceClient;
use rpc::v1::{AllocateRequest, IpamMetadata, IpamParameters};
use serde_json::{Value, json};
use tonic::transport::Endpoint;

use crate::setting;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::nodes(
            "node::garbage::a_gc_releases_what_leaked_and_nothing_else",
            leaked,
        ),
        Test::nodes(
            "node::garbage::through_libcni_bridge_gives_back_what_libcni_knows_and_nv_ipam_what_leaked",
            libcni,
        ),
        Test::nodes(
            "node::garbage::a_runtime_that_names_nothing_alive_releases_nothing_that_libcni_does_not_know",
            unnamed,
        ),
    ]
}

/// The bridge network of the seed's README, word for word.
const MYNET: &str = include_str!("../mynet.conf");

/// A network of pool1 that is nothing but its IPAM, at the version of the specification that has GC.
fn network(name: &str) -> Value {
    json!({
        "cniVersion": "1.1.0",
        "name": name,
        "type": "nv-ipam",
        "ipam": { "type": "nv-ipam", "poolName": "pool1" },
    })
}

async fn leaked(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "pool1", "192.168.0.0/16", 24).await?;
    node.install_network("10-mynet.conf", MYNET).await?;
    pods::run(&bed.client, "stayer", &node.name).await?;
    for (container, network_name) in [("leaked", "mynet"), ("live", "mynet"), ("other", "othernet")] {
        add(node, container, &network(network_name)).await?;
    }
    add_as_a_go_plugin(node, "nameless").await?;
    held(node, &["stayer", "leaked", "live", "other", "nameless"]).await?;

    let ran = gc(node, &network("mynet")).await?;
    ensure!(error_code(&ran)? == 7, "{ran:?}");
    setting::says(&ran.stdout, &["cni.dev/valid-attachments"])?;
    let mut old = listing(network("mynet"), &[]);
    old["cniVersion"] = json!("1.0.0");
    let ran = gc(node, &old).await?;
    ensure!(error_code(&ran)? == 1, "{ran:?}");
    held(node, &["stayer", "leaked", "live", "other", "nameless"]).await?;

    let mark = node.daemon.service.log_length();
    gc(node, &listing(network("mynet"), &["live"])).await?.success()?;
    held(node, &["stayer", "live", "other", "nameless"]).await?;
    setting::says(
        &node.daemon.service.log_since(mark),
        &[
            "released: the runtime doesn't list this attachment",
            "leaked",
            "pool1",
        ],
    )?;
    let counted = node
        .daemon
        .scrape()
        .await?
        .value("nv_ipam_garbage_releases_total", &[])?;
    ensure!(counted.to_string() == "1", "{counted} were counted");

    node.daemon.kill().await?;
    let none_alive = listing(network("mynet"), &[]);
    let ran = gc(node, &none_alive).await?;
    ensure!(error_code(&ran)? == 11, "{ran:?}");
    setting::start_daemon(node, "pool1").await?;
    gc(node, &none_alive).await?.success()?;
    held(node, &["stayer", "other", "nameless"]).await?;
    gc(node, &listing(network("othernet"), &[])).await?.success()?;
    held(node, &["stayer", "nameless"]).await?;
    pods::delete(&bed.client, "stayer").await?;
    held(node, &["nameless"]).await
}

/// A network list of pool1 as nodes have it: a bridge, whose IPAM is ours.
fn bridged(name: &str, bridge: &str) -> Value {
    let ipam = json!({ "type": "nv-ipam", "poolName": "pool1" });
    let plugin = json!({ "type": "bridge", "bridge": bridge, "ipam": ipam });
    json!({ "cniVersion": "1.1.0", "name": name, "plugins": [plugin] })
}

/// The network list that GC is called with for what leaked: the same name, and nv-ipam itself as its plugin.
fn bare(name: &str) -> Value {
    json!({ "cniVersion": "1.1.0", "name": name, "plugins": [network(name)] })
}

/// Where the node has that list: not among the networks of pods.
const BARE: &str = "/var/lib/cni/bare.conflist";

fn write_bare(node: &Node, name: &str) -> Result<()> {
    let path = node.machine.path(BARE);
    std::fs::write(path, bare(name).to_string()).context("could not write a network list")
}

/// libcni's cache has what it attached itself: the pod's, by containerd, and what cnitool adds.
async fn libcni(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "pool1", "192.168.0.0/16", 24).await?;
    let assets = &bed.cluster()?.assets;
    for (file, list) in [
        ("10-mynet.conflist", bridged("mynet", "br-mynet")),
        ("20-othernet.conflist", bridged("othernet", "br-othernet")),
    ] {
        node.install_network(file, &list.to_string()).await?;
    }
    pods::run(&bed.client, "stayer", &node.name).await?;
    for (container, name) in [("live", "mynet"), ("stale", "mynet"), ("other", "othernet")] {
        attach(node, assets, container, name).await?;
    }
    add(node, "leaked", &network("mynet")).await?;
    add_as_a_go_plugin(node, "nameless").await?;
    held(node, &["stayer", "live", "stale", "other", "leaked", "nameless"]).await?;
    let alive = alive(node, &["stayer", "live"]).await?;

    // libcni calls DEL for what is in its cache and not in the list. bridge takes the GC that follows and does nothing.
    let list = "/etc/cni/net.d/10-mynet.conflist";
    libcni_gc(node, assets, list, Some(&alive)).await?.success()?;
    held(node, &["stayer", "live", "other", "leaked", "nameless"]).await?;
    let stale = Scratch::existing(node, "stale");
    let links = stale.exec(&["ip", "-oneline", "link", "show"]).await?.success()?;
    ensure!(!links.contains("eth0"), "bridge left its interface: {links}");

    write_bare(node, "mynet")?;
    libcni_gc(node, assets, BARE, Some(&alive)).await?.success()?;
    held(node, &["stayer", "live", "other", "nameless"]).await?;
    // A runtime that has no attachment of a network says so with null.
    write_bare(node, "othernet")?;
    libcni_gc(node, assets, BARE, Some(&Value::Null))
        .await?
        .success()?;
    held(node, &["stayer", "live", "nameless"]).await?;

    // What was alive still is: it can be checked, and deleted as usual.
    for verb in ["check", "del"] {
        let netns = Scratch::existing(node, "live").path();
        cnitool(node, assets, verb, "mynet", &netns, &args("live"))
            .await?
            .success()?;
    }
    pods::delete(&bed.client, "stayer").await?;
    held(node, &["nameless"]).await
}

/// cnitool 1.3.1 gives libcni no list, and libcni then leaves the key out.
async fn unnamed(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "pool1", "192.168.0.0/16", 24).await?;
    let assets = &bed.cluster()?.assets;
    node.install_network("10-bare.conflist", &bare("bare").to_string())
        .await?;
    add(node, "unknown-to-libcni", &network("bare")).await?;
    let netns = Scratch::existing(node, "unknown-to-libcni").path();
    for ran in [
        cnitool(node, assets, "gc", "bare", &netns, "").await?,
        libcni_gc(node, assets, "/etc/cni/net.d/10-bare.conflist", None).await?,
    ] {
        ensure!(!ran.ok(), "{ran:?}");
        setting::says(
            &format!("{}{}", ran.stdout, ran.stderr),
            &["the network configuration has no cni.dev/valid-attachments"],
        )?;
        held(node, &["unknown-to-libcni"]).await?;
    }
    Ok(())
}

/// CNI_ARGS of a pod that the API doesn't know.
fn args(container: &str) -> String {
    Call::new("", container, "").args
}

/// Attaches a container to a network of the node, by libcni.
async fn attach(node: &Node, assets: &Assets, container: &str, name: &str) -> Result<()> {
    let netns = Scratch::create(node, container).await?.path();
    cnitool(node, assets, "add", name, &netns, &args(container))
        .await?
        .success()
        .map(drop)
}

/// The attachments of these, containers or pods, as a runtime lists them.
async fn alive(node: &Node, names: &[&str]) -> Result<Value> {
    let reservations = store::reservations(node).await?;
    let listed = reservations
        .iter()
        .filter(|r| names.contains(&r.pod_name.as_str()));
    Ok(listed
        .map(|r| json!({ "containerID": r.container, "ifname": r.interface }))
        .collect())
}

/// The configuration with what is alive, as libcni writes it: under both keys.
fn listing(mut config: Value, live: &[&str]) -> Value {
    let list: Vec<Value> = live
        .iter()
        .map(|container| json!({ "containerID": container, "ifname": "eth0" }))
        .collect();
    config["cni.dev/valid-attachments"] = json!(list);
    config["cni.dev/attachments"] = json!(list);
    config
}

async fn add(node: &Node, container: &str, config: &Value) -> Result<()> {
    let netns = Scratch::create(node, container).await?.path();
    Call::new("ADD", container, &netns)
        .run(node, "nv-ipam", &config.to_string())
        .await?
        .success()
        .map(drop)
}

/// A GC is about no container.
async fn gc(node: &Node, config: &Value) -> Result<Ran> {
    let env = [("CNI_COMMAND", "GC"), ("CNI_PATH", "/opt/cni/bin")];
    let config = config.to_string();
    node.machine
        .exec_with(&["/opt/cni/bin/nv-ipam"], &env, config.as_bytes())
        .await
}

/// An ADD as the Go plugin makes it: it doesn't say which network it is for.
async fn add_as_a_go_plugin(node: &Node, container: &str) -> Result<()> {
    let socket = node.machine.path("/var/lib/cni/nv-ipam/daemon.sock");
    let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))?;
    let mut client = IpamServiceClient::new(endpoint.connect().await.context("the daemon's socket")?);
    let parameters = IpamParameters {
        pools: vec!["pool1".to_owned()],
        cni_containerid: container.to_owned(),
        cni_ifname: "eth0".to_owned(),
        metadata: Some(IpamMetadata {
            k8s_pod_name: container.to_owned(),
            k8s_pod_namespace: "default".to_owned(),
            ..IpamMetadata::default()
        }),
        ..IpamParameters::default()
    };
    client
        .allocate(AllocateRequest {
            parameters: Some(parameters),
        })
        .await?;
    Ok(())
}

/// Insists that these, containers or pods, hold addresses, and nobody else.
async fn held(node: &Node, expected: &[&str]) -> Result<()> {
    let reservations = store::reservations(node).await?;
    let names: Vec<&str> = reservations.iter().map(|r| r.pod_name.as_str()).collect();
    ensure!(names == expected, "{reservations:?}");
    Ok(())
}

//! GC: what a runtime no longer has is released, and nothing else.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::bed::Bed;
use e2e::cni::{Call, Scratch, cnitool, error_code};
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
            "node::garbage::cnitool_names_nothing_alive_so_nothing_is_released",
            tool,
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

/// cnitool 1.3.1 gives libcni no list, and libcni then leaves the key out.
async fn tool(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "pool1", "192.168.0.0/16", 24).await?;
    let list = json!({ "cniVersion": "1.1.0", "name": "bare", "plugins": [network("bare")] });
    node.install_network("10-bare.conflist", &list.to_string())
        .await?;
    add(node, "unknown-to-libcni", &network("bare")).await?;
    let scratch = Scratch::create(node, "tool").await?;
    let assets = &bed.cluster()?.assets;
    let ran = cnitool(node, assets, "gc", "bare", &scratch.path(), "").await?;
    ensure!(!ran.ok(), "{ran:?}");
    setting::says(
        &format!("{}{}", ran.stdout, ran.stderr),
        &["the network configuration has no cni.dev/valid-attachments"],
    )?;
    held(node, &["unknown-to-libcni"]).await
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

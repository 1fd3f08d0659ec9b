//! What the installed plugin prints on a real node, byte by byte.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::cni::{Call, Scratch};
use e2e::command::Ran;
use e2e::harness::Test;
use e2e::node::Node;
use serde_json::json;

use crate::setting;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::nodes(
        "node::wire::results_and_errors_are_those_of_the_go_plugin_to_the_byte",
        bytes,
    )]
}

async fn bytes(bed: Arc<Bed>) -> Result<()> {
    for (name, subnet, gateway) in [
        ("v4", "192.168.0.0/16", "192.168.0.1"),
        ("v6", "fd52:2eb5:44::/48", "fd52:2eb5:44::1"),
    ] {
        let pool = json!({
            "apiVersion": "nv-ipam.nvidia.com/v1alpha1",
            "kind": "IPPool",
            "metadata": { "name": name, "namespace": "kube-system" },
            "spec": { "subnet": subnet, "perNodeBlockSize": 24, "gateway": gateway, "defaultGateway": true },
        });
        bed.apply(&pool.to_string()).await?;
    }
    bed.controller().start().await?;
    let names: Vec<&str> = bed.nodes().iter().map(|node| node.name.as_str()).collect();
    for pool in ["v4", "v6"] {
        bed.wait_blocks(pool, &names).await?;
    }
    let node = &bed.nodes()[0];
    setting::start_daemon(node, "v4").await?;
    node.daemon.wait_block("v6").await?;

    let ran = call(node, "ADD", "v4,v6").await?;
    let expected = r#"{
    "cniVersion": "1.0.0",
    "ips": [
        {
            "address": "192.168.0.2/16",
            "gateway": "192.168.0.1"
        },
        {
            "address": "fd52:2eb5:44::2/48",
            "gateway": "fd52:2eb5:44::1"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0",
            "gw": "192.168.0.1"
        },
        {
            "dst": "::/0",
            "gw": "fd52:2eb5:44::1"
        }
    ]
}"#;
    ensure!(ran.ok() && ran.stdout == expected, "{ran:?}");
    let ran = call(node, "ADD", "nope").await?;
    let expected = "{\n    \"code\": 999,\n    \"msg\": \"grpc call failed: rpc error: code = NotFound desc = configuration \
                    for pool \\\"nope\\\", poolType \\\"ippool\\\" not found\"\n}";
    ensure!(ran.code == Some(1) && ran.stdout == expected, "{ran:?}");
    for verb in ["CHECK", "DEL"] {
        let ran = call(node, verb, "v4,v6").await?;
        ensure!(ran.ok() && ran.stdout.is_empty(), "{ran:?}");
    }
    let ran = call(node, "CHECK", "v4,v6").await?;
    let expected = "{\n    \"code\": 999,\n    \"msg\": \"grpc call failed: rpc error: code = NotFound desc = reservation \
                    for pool \\\"v4\\\", poolType \\\"ippool\\\" not found\"\n}";
    ensure!(ran.code == Some(1) && ran.stdout == expected, "{ran:?}");
    Ok(())
}

async fn call(node: &Node, verb: &str, pools: &str) -> Result<Ran> {
    let scratch = Scratch::create(node, "bytes").await?;
    Call::new(verb, "bytes", &scratch.path())
        .run(node, "nv-ipam", &setting::network(pools))
        .await
}

//! What tests of a node begin with: a pool dealt to the nodes, a daemon that knows its block, calls of the plugin.

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::cni::{Call, Scratch, addresses};
use e2e::command::Ran;
use e2e::node::Node;
use serde_json::json;

/// Applies an IPPool for all nodes, `subnet` cut into blocks of `size`, and waits until each node has its block.
pub(crate) async fn deal(bed: &Bed, pool: &str, subnet: &str, size: u32) -> Result<()> {
    bed.apply(
        &json!({
            "apiVersion": "nv-ipam.nvidia.com/v1alpha1",
            "kind": "IPPool",
            "metadata": { "name": pool, "namespace": "kube-system" },
            "spec": { "subnet": subnet, "perNodeBlockSize": size },
        })
        .to_string(),
    )
    .await?;
    if !bed.controller().service.is_running() {
        bed.controller().start().await?;
    }
    let names: Vec<&str> = bed.nodes().iter().map(|node| node.name.as_str()).collect();
    bed.wait_blocks(pool, &names).await?;
    Ok(())
}

/// Starts the node's daemon and waits until it knows its block of the pool.
pub(crate) async fn start_daemon(node: &Node, pool: &str) -> Result<()> {
    node.daemon.start().await?;
    node.daemon.wait_block(pool).await
}

/// Deals the pool and starts the daemon of the first node, which is returned.
pub(crate) async fn first_node<'a>(bed: &'a Bed, pool: &str, subnet: &str, size: u32) -> Result<&'a Node> {
    deal(bed, pool, subnet, size).await?;
    let node = &bed.nodes()[0];
    start_daemon(node, pool).await?;
    Ok(node)
}

/// A network that is nothing but its IPAM, for calling nv-ipam itself.
pub(crate) fn network(pool: &str) -> String {
    json!({
        "cniVersion": "1.0.0",
        "name": "net",
        "type": "nv-ipam",
        "ipam": { "type": "nv-ipam", "poolName": pool },
    })
    .to_string()
}

/// Calls nv-ipam itself for a container in a namespace of its own.
pub(crate) async fn call(node: &Node, verb: &str, container: &str, pool: &str) -> Result<Ran> {
    let netns = match verb {
        "ADD" => Scratch::create(node, container).await?.path(),
        _ => format!("/run/netns/{container}"),
    };
    Call::new(verb, container, &netns)
        .run(node, "nv-ipam", &network(pool))
        .await
}

/// An ADD that must succeed; returns the address with its prefix length.
pub(crate) async fn add(node: &Node, container: &str, pool: &str) -> Result<String> {
    let result = call(node, "ADD", container, pool).await?.success()?;
    let all = addresses(&result)?;
    ensure!(all.len() == 1, "not one address: {result}");
    Ok(all.concat())
}

/// A CHECK that must succeed.
pub(crate) async fn check(node: &Node, container: &str, pool: &str) -> Result<()> {
    call(node, "CHECK", container, pool).await?.success().map(drop)
}

/// A DEL that must succeed.
pub(crate) async fn del(node: &Node, container: &str, pool: &str) -> Result<()> {
    call(node, "DEL", container, pool).await?.success().map(drop)
}

/// Starts a second daemon on the node with these flags after those of the first, and insists that it refuses to run:
/// it ends by itself with exit code 1. Returns what it printed.
pub(crate) async fn refusal(node: &Node, flags: &[&str]) -> Result<String> {
    refusal_of(node, &daemon_argv(node, flags)).await
}

/// The command line of a second daemon on the node, whose endpoints don't meet those of the first.
pub(crate) fn daemon_argv(node: &Node, flags: &[&str]) -> Vec<String> {
    let more = ["--metrics-bind-address=0", "--health-probe-bind-address=0"];
    let more = more.iter().chain(flags).map(ToString::to_string);
    node.daemon.service.argv().into_iter().chain(more).collect()
}

/// As [`refusal`], for any command line that ends as a daemon. One that runs on is killed.
pub(crate) async fn refusal_of(node: &Node, argv: &[String]) -> Result<String> {
    let limit = ["timeout", "--signal=KILL", "20"].map(str::to_owned);
    let ran = node.exec(&[&limit[..], argv].concat()).await?;
    ensure!(ran.code == Some(1), "it was not refused: {ran:?}");
    Ok(format!("{}{}", ran.stdout, ran.stderr))
}

/// Insists that a text has these parts.
pub(crate) fn says(text: &str, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(text.contains(part), "no {part:?} in: {text}");
    }
    Ok(())
}

/// The names of a folder's files on the node, each with its kind, mode and a checksum of its content, or of a link its target.
pub(crate) async fn fingerprint(node: &Node, folder: &str) -> Result<Vec<String>> {
    let script = format!(
        "cd {folder} && find . -printf '%p %y %m %l\\n' | sort && find . -type f -print0 | sort -z | xargs -0r sha256sum"
    );
    let text = node.exec(&["sh", "-ec", &script]).await?.success()?;
    Ok(text.lines().map(str::to_owned).collect())
}

//! The examples in the documentation do what it says they do. What needs no cluster is tested in the crates'
//! `tests/repository`.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::bed::Bed;
use e2e::cni::{Call, Scratch, addresses};
use e2e::harness::Test;
use e2e::names::repository;
use e2e::node::Node;
use serde_json::Value;
use tables::{Block, blocks};

#[path = "../../../docs/testing/tables.rs"]
mod tables;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::api("docs::the_api_server_takes_every_pool_of_the_pages", pools),
        Test::nodes(
            "docs::every_network_of_the_reference_gets_the_addresses_it_asks_for",
            networks,
        ),
        Test::nodes("docs::the_daemon_writes_the_file_that_the_reference_shows", file),
    ]
}

/// What the networks of the reference get on the first node, in their order: the first free address behind both kinds of
/// exclusions, or the one that they ask for.
const EXPECTED: [(&str, &[&str]); 6] = [
    ("dual", &["192.168.0.21/16", "fd52:2eb5:44::2/48"]),
    ("rail", &["10.32.0.21/24"]),
    ("static", &["192.168.200.5/16"]),
    ("static", &["192.168.200.6/16"]),
    ("router", &["192.168.0.1/16"]),
    ("tenth", &["192.168.0.10/16"]),
];

fn blocks_of(page: &str, info: &str) -> Result<Vec<Block>> {
    let path = repository().join(page);
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let found: Vec<Block> = blocks(&text)
        .into_iter()
        .filter(|block| block.info == info)
        .collect();
    ensure!(!found.is_empty(), "{page} has no block {info:?}");
    Ok(found)
}

async fn pools(bed: Arc<Bed>) -> Result<()> {
    for page in ["README.md", "docs/reference.md"] {
        for Block { text, .. } in blocks_of(page, "yaml")? {
            let create = ["create", "--dry-run=server", "--filename=-"];
            let ran = bed.kubectl.run_with(&create, &text).await?;
            ensure!(
                ran.ok() && !ran.stderr.contains("Warning"),
                "{page}: {ran:?}\n{text}"
            );
        }
    }
    Ok(())
}

async fn networks(bed: Arc<Bed>) -> Result<()> {
    let node = &bed.nodes()[0];
    for Block { text, .. } in blocks_of("docs/reference.md", "yaml")? {
        bed.apply(&text).await?;
    }
    bed.controller().start().await?;
    node.daemon.start().await?;
    for pool in ["blocks", "blocks-v6", "cidrpool/rail", "cidrpool/links"] {
        node.daemon.wait_block(pool).await?;
    }
    let networks = blocks_of("docs/reference.md", "json network")?;
    ensure!(networks.len() == EXPECTED.len(), "{} networks", networks.len());
    for (i, (Block { text, .. }, (name, expected))) in networks.iter().zip(EXPECTED).enumerate() {
        let network: Value = serde_json::from_str(text)?;
        ensure!(network["name"] == name, "network {i} is {}", network["name"]);
        let got = attach(node, &format!("docs-{i}"), text).await?;
        ensure!(got == expected, "{name} got {got:?}");
    }
    for Block { text, .. } in blocks_of("docs/reference.md", "json gc")? {
        Call::new("GC", "", "")
            .run(node, "nv-ipam", &text)
            .await?
            .success()?;
    }
    Ok(())
}

/// Attaches a container to the network, and detaches it.
async fn attach(node: &Node, container: &str, network: &str) -> Result<Vec<String>> {
    let scratch = Scratch::create(node, container).await?;
    let add = Call::new("ADD", container, &scratch.path());
    let result = add.run(node, "nv-ipam", network).await?.success()?;
    let del = Call::new("DEL", container, &scratch.path());
    del.run(node, "nv-ipam", network).await?.success()?;
    scratch.remove().await?;
    addresses(&result)
}

async fn file(bed: Arc<Bed>) -> Result<()> {
    let node = &bed.nodes()[0];
    bed.controller().start().await?;
    node.daemon.start().await?;
    let written = node
        .exec(&["cat", "/etc/cni/net.d/nv-ipam.d/nv-ipam.conf"])
        .await?
        .success()?;
    let shown = &blocks_of("docs/reference.md", "json conf")?[0].text;
    let [written, shown] = [&written, shown].map(|text| serde_json::from_str::<Value>(text));
    ensure!(
        written.as_ref().ok() == shown.as_ref().ok(),
        "{written:?} is written, {shown:?} is shown"
    );
    Ok(())
}

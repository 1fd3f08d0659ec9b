//! A node that goes from the Go version to this one, and back.

use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::bed::Bed;
use e2e::cni::{Call, Scratch};
use e2e::command::Ran;
use e2e::harness::Test;
use e2e::node::Node;
use e2e::store;
use serde_json::Value;

use crate::setting::{self, add, check, fingerprint, network, says};

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::nodes(
        "node::go_store::a_node_goes_from_the_go_version_to_this_one_and_back",
        there_and_back,
    )]
}

/// Written by a Go daemon. Of its pool `v4` (10.9.0.0/16) containers hold 10.9.0.2, 10.9.0.3 and 10.9.77.5; 10.9.0.3 was
/// given last.
const GO_STORE: &str = include_str!("../../../node/tests/vectors/store-in-use.json");

/// Who holds 10.9.0.3, on its interface net1. It holds an address of another pool too.
const HOLDER: &str = "two-pools";

async fn there_and_back(bed: Arc<Bed>) -> Result<()> {
    setting::deal(&bed, "v4", "10.9.0.0/16", 10).await?;
    let node = &bed.nodes()[0];
    node.daemon.make_folders().await?;
    let on_host = node.machine.path(store::PATH);
    fs::write(&on_host, GO_STORE).context("could not write the Go store")?;
    setting::start_daemon(node, "v4").await?;
    let held: Vec<String> = store::reservations(node)
        .await?
        .into_iter()
        .map(|reservation| format!("{} {}", reservation.pool, reservation.address))
        .collect();
    for line in [
        "v4 10.9.0.2",
        "v4 10.9.0.3",
        "v4 10.9.77.5",
        "cidrpool/rail 192.168.7.2",
    ] {
        ensure!(held.iter().any(|held| held == line), "no {line} in {held:?}");
    }

    let next = add(node, "next", "v4").await?;
    ensure!(
        next == "10.9.0.4/16",
        "{next} was given, which does not follow on 10.9.0.3"
    );
    let scratch = Scratch::create(node, HOLDER).await?;
    verb(node, "CHECK").await?.success()?;
    verb(node, "DEL").await?.success()?;
    ensure!(!verb(node, "CHECK").await?.ok(), "the DEL released nothing");
    for expected in 5..=10 {
        let address = add(node, &format!("more{expected}"), "v4").await?;
        ensure!(address == format!("10.9.0.{expected}/16"), "{address}");
    }
    let first = add(node, "first", "v4").await?;
    ensure!(first == "10.9.0.1/16", "{first}");
    let freed = add(node, "freed", "v4").await?;
    ensure!(
        freed == "10.9.0.3/16",
        "{freed} was given, but 10.9.0.3 is the only free one"
    );

    node.daemon.stop().await?;
    let program = node.daemon.service.argv().swap_remove(0);
    let export = [&program, "store", "export", "--in-place"];
    let said = node.exec(&export).await?.success()?;
    // Three that the Go daemon left in other pools, two in this one, and nine of our own.
    says(&said, &[store::PATH, "14 reservations", "store.db"])?;
    let exported = fs::read_to_string(&on_host)?;
    sound(&exported)?;
    says(
        &exported,
        &[r#""freed_eth0":{"container_id":"freed","interface_name":"eth0","ip_address":"10.9.0.3""#],
    )?;
    let files = fingerprint(node, "/var/lib/cni/nv-ipam").await?;
    for gone in ["store-wal", "store-shm", "store.reserve", "store.go.json"] {
        ensure!(!files.iter().any(|line| line.contains(gone)), "{files:?}");
    }

    // Back again, as after a time with the Go version.
    setting::start_daemon(node, "v4").await?;
    check(node, "freed", "v4").await?;
    check(node, "next", "v4").await?;
    ensure!(!verb(node, "CHECK").await?.ok(), "what was released came back");
    scratch.remove().await
}

/// A call for the interface that holds 10.9.0.3.
async fn verb(node: &Node, verb: &str) -> Result<Ran> {
    let mut call = Call::new(verb, HOLDER, &format!("/run/netns/{HOLDER}"));
    "net1".clone_into(&mut call.interface);
    call.run(node, "nv-ipam", &network("v4")).await
}

/// Checks the checksum as the Go daemon does: FNV-1a over the text with 0 in its place.
fn sound(text: &str) -> Result<()> {
    let value: Value = serde_json::from_str(text)?;
    let stated = value["checksum"].as_u64().context("no checksum")?;
    let summed = text.replacen(&format!(r#""checksum":{stated},"#), r#""checksum":0,"#, 1);
    let computed = summed.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    ensure!(
        u64::from(computed) == stated,
        "its checksum is {computed}, not {stated}: {text}"
    );
    Ok(())
}

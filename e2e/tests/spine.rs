//! From `kubectl apply` of a pool to an address in a running pod.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::bed::{Bed, ROLE};
use e2e::harness::Test;
use e2e::{pods, store};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::nodes("spine::pods_get_addresses_of_their_nodes_block", addresses),
        Test::nodes("spine::a_freed_address_is_not_the_next_one_given", next_address),
    ]
}

/// The bridge network of the seed's README, word for word.
const MYNET: &str = include_str!("mynet.conf");

/// The sample pool, dealt to both nodes; the daemons running; the seed's network as the pods' network.
async fn spine(bed: &Bed) -> Result<()> {
    for node in bed.nodes() {
        pods::label_node(&bed.client, &node.name, ROLE, Some("worker")).await?;
    }
    bed.apply_file("config/samples/pool1.yaml").await?;
    bed.controller().start().await?;
    let names: Vec<&str> = bed.nodes().iter().map(|node| node.name.as_str()).collect();
    bed.wait_blocks("pool1", &names).await?;
    for node in bed.nodes() {
        node.daemon.start().await?;
        node.daemon.wait_block("pool1").await?;
        node.install_network("10-mynet.conf", MYNET).await?;
    }
    Ok(())
}

async fn addresses(bed: Arc<Bed>) -> Result<()> {
    spine(&bed).await?;
    let blocks = bed.wait_blocks("pool1", &["host-a", "host-b"]).await?;
    ensure!(
        blocks
            == [
                (
                    "host-a".to_owned(),
                    "192.168.0.1".to_owned(),
                    "192.168.0.24".to_owned()
                ),
                (
                    "host-b".to_owned(),
                    "192.168.0.25".to_owned(),
                    "192.168.0.48".to_owned()
                ),
            ],
        "{blocks:?}"
    );
    let mut seen = BTreeSet::new();
    for (node, first, last) in &blocks {
        let block = first.parse::<Ipv4Addr>()?..=last.parse()?;
        for number in 0..2 {
            let pod = format!("{node}-{number}");
            let address: Ipv4Addr = pods::run(&bed.client, &pod, node).await?.parse()?;
            ensure!(
                block.contains(&address),
                "{pod} has {address}, outside {first}-{last}"
            );
            ensure!(
                address != Ipv4Addr::new(192, 168, 0, 1),
                "{pod} has the gateway's address"
            );
            ensure!(seen.insert(address), "{address} was given twice");
            let shown = bed
                .kubectl
                .run(&["exec", &pod, "--", "ip", "addr", "show", "eth0"])
                .await?;
            ensure!(shown.contains(&format!("{address}/16 ")), "{pod}: {shown}");
            let routes = bed.kubectl.run(&["exec", &pod, "--", "ip", "route"]).await?;
            ensure!(routes.contains("192.168.0.0/16 dev eth0"), "{pod}: {routes}");
        }
    }
    for node in bed.nodes() {
        let reserved = store::reservations(node).await?;
        ensure!(reserved.len() == 2, "{}: {reserved:?}", node.name);
        pods::delete(&bed.client, &format!("{}-0", node.name)).await?;
        pods::delete(&bed.client, &format!("{}-1", node.name)).await?;
        let left = store::reservations(node).await?;
        ensure!(left.is_empty(), "{}: {left:?}", node.name);
    }
    Ok(())
}

async fn next_address(bed: Arc<Bed>) -> Result<()> {
    spine(&bed).await?;
    let node = bed.nodes().first().context("no node")?;
    let first: Ipv4Addr = pods::run(&bed.client, "first", &node.name).await?.parse()?;
    pods::delete(&bed.client, "first").await?;
    let second: Ipv4Addr = pods::run(&bed.client, "second", &node.name).await?.parse()?;
    ensure!(
        u32::from(second) == u32::from(first) + 1,
        "{first} was freed, and then {second} given"
    );
    Ok(())
}

//! Pods with an address of each family.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use e2e::{pods, store};
use serde_json::json;

use super::pod_network::{addresses, bridge, ensure_answers, ensure_shown, ip};
use crate::controller::pool::Pool;
use crate::setting;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::nodes(
            "node::dual_stack::a_pod_of_two_ippools_has_both_addresses_and_default_routes",
            ippools,
        ),
        Test::nodes(
            "node::dual_stack::a_pod_of_two_cidrpools_has_both_addresses_and_their_routes",
            cidrpools,
        ),
        Test::nodes(
            "node::dual_stack::a_pod_gets_nothing_while_one_of_its_pools_is_full",
            all_or_nothing,
        ),
    ]
}

async fn ippools(bed: Arc<Bed>) -> Result<()> {
    bed.apply_file("config/samples/ippools_dual_stack.yaml").await?;
    bed.controller().start().await?;
    let node = &bed.nodes()[0];
    for pool in ["pool-v4", "pool-v6"] {
        bed.wait_blocks(pool, &["host-a", "host-b"]).await?;
    }
    setting::start_daemon(node, "pool-v4").await?;
    node.daemon.wait_block("pool-v6").await?;
    let network = bridge("dual", "pool-v4,pool-v6", "ippool").to_string();
    node.install_network("10-dual.conf", &network).await?;

    pods::run(&bed.client, "dual", &node.name).await?;
    let got = addresses(&bed, "dual").await?;
    ensure!(got == ["10.20.0.2", "fd52:2eb5:44::2"], "{got:?}");
    ensure_shown(
        &bed,
        "dual",
        &["inet 10.20.0.2/16 ", "inet6 fd52:2eb5:44::2/64 "],
        &[
            "default via 10.20.0.1 dev eth0",
            "default via fd52:2eb5:44::1 dev eth0",
        ],
    )
    .await?;
    for gateway in ["10.20.0.1", "fd52:2eb5:44::1"] {
        ensure_answers(&bed, "dual", gateway).await?;
    }
    let reserved: Vec<_> = store::reservations(node)
        .await?
        .into_iter()
        .map(|r| r.pool)
        .collect();
    ensure!(reserved == ["pool-v4", "pool-v6"], "{reserved:?}");
    pods::delete(&bed.client, "dual").await?;
    ensure!(store::reservations(node).await?.is_empty());
    Ok(())
}

async fn cidrpools(bed: Arc<Bed>) -> Result<()> {
    bed.apply_file("config/samples/cidrpools_dual_stack.yaml").await?;
    bed.controller().start().await?;
    // Of the second node, so that its prefixes are not the first ones.
    let node = &bed.nodes()[1];
    for pool in ["pool-v4", "pool-v6"] {
        Pool::existing_cidr(&bed, pool)
            .wait_nodes(&["host-a", "host-b"])
            .await?;
    }
    setting::start_daemon(node, "cidrpool/pool-v4").await?;
    node.daemon.wait_block("cidrpool/pool-v6").await?;
    let network = bridge("dual", "pool-v4,pool-v6", "cidrpool").to_string();
    node.install_network("10-dual.conf", &network).await?;

    pods::run(&bed.client, "dual", &node.name).await?;
    let got = addresses(&bed, "dual").await?;
    ensure!(got == ["10.30.1.2", "fd52:2eb5:45:1::2"], "{got:?}");
    ensure_shown(
        &bed,
        "dual",
        &["inet 10.30.1.2/24 ", "inet6 fd52:2eb5:45:1::2/64 "],
        &[
            "10.30.0.0/16 via 10.30.1.1 dev eth0",
            "fd52:2eb5:45::/48 via fd52:2eb5:45:1::1 dev eth0",
        ],
    )
    .await?;
    let routes = [
        ip(&bed, "dual", "route").await?,
        ip(&bed, "dual", "-6 route").await?,
    ]
    .concat();
    ensure!(
        !routes.contains("default"),
        "nobody asked for a default route: {routes}"
    );
    for gateway in ["10.30.1.1", "fd52:2eb5:45:1::1"] {
        ensure_answers(&bed, "dual", gateway).await?;
    }
    pods::delete(&bed.client, "dual").await?;
    ensure!(store::reservations(node).await?.is_empty());
    Ok(())
}

async fn all_or_nothing(bed: Arc<Bed>) -> Result<()> {
    setting::deal(&bed, "wide", "10.65.0.0/24", 8).await?;
    let node = setting::first_node(&bed, "narrow", "fd65::/120", 1).await?;
    node.daemon.wait_block("wide").await?;
    let network = json!({
        "cniVersion": "1.0.0", "name": "both", "type": "nv-ipam",
        "ipam": { "type": "nv-ipam", "poolName": "wide,narrow" },
    })
    .to_string();
    let add = async |container: &str| {
        let scratch = e2e::cni::Scratch::create(node, container).await?;
        let call = e2e::cni::Call::new("ADD", container, &scratch.path());
        call.run(node, "nv-ipam", &network).await
    };
    let result = add("first").await?.success()?;
    let got = e2e::cni::addresses(&result)?;
    ensure!(got == ["10.65.0.1/24", "fd65::1/120"], "{got:?}");
    let refused = add("second").await?;
    ensure!(
        !refused.ok()
            && refused
                .stdout
                .contains("no free addresses in the pool \\\"narrow\\\""),
        "{refused:?}"
    );
    let reserved = store::reservations(node).await?;
    ensure!(
        reserved.len() == 2 && reserved.iter().all(|r| r.container == "first"),
        "{reserved:?}"
    );
    let next = setting::add(node, "third", "wide").await?;
    ensure!(next == "10.65.0.2/24", "nothing was given in between: {next}");
    Ok(())
}

//! What the daemon knows of the pods behind its reservations, on which the cleaner's judgement rests.

use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use e2e::node::Node;
use e2e::node_config::STATIC_PODS;
use e2e::{pods, store, wait};
use serde::Deserialize;

use crate::setting;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::nodes(
            "node::pods_seen::a_pods_reservation_has_its_uid_and_says_that_it_was_seen",
            ordinary,
        ),
        Test::nodes(
            "node::pods_seen::a_static_pod_is_seen_though_the_api_has_it_under_another_uid",
            mirrored,
        ),
        Test::nodes("node::pods_seen::a_pod_that_the_api_never_had_is_not_seen", never),
    ]
}

#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    uid: String,
    seen: u8,
}

async fn rows(node: &Node) -> Result<Vec<Row>> {
    store::query(
        node,
        "SELECT pod_name AS name, pod_uid AS uid, pod_seen AS seen FROM reservations ORDER BY id",
    )
    .await
}

/// Waits until the one reservation of the node says that its pod was seen.
async fn wait_seen(node: &Node) -> Result<Row> {
    wait::until(
        "a reservation whose pod was seen",
        wait::USUAL,
        async || match rows(node).await {
            Ok(mut rows) if rows.len() == 1 && rows[0].seen == 1 => wait::done(rows.remove(0)),
            other => wait::not_yet(format!("{other:?}")),
        },
    )
    .await
}

async fn node_with_network(bed: &Bed) -> Result<&Node> {
    let node = setting::first_node(bed, "pool1", "192.168.0.0/16", 24).await?;
    node.install_network("10-mynet.conf", include_str!("../mynet.conf"))
        .await?;
    Ok(node)
}

async fn ordinary(bed: Arc<Bed>) -> Result<()> {
    let node = node_with_network(&bed).await?;
    pods::run(&bed.client, "ordinary", &node.name).await?;
    let row = wait_seen(node).await?;
    let uid = pods::api(&bed.client).get("ordinary").await?.metadata.uid;
    ensure!(
        Some(&row.uid) == uid.as_ref() && row.name == "ordinary",
        "{row:?}, and the API has {uid:?}"
    );
    Ok(())
}

async fn mirrored(bed: Arc<Bed>) -> Result<()> {
    let node = node_with_network(&bed).await?;
    let mut pod = pods::idle("fixed", &node.name);
    pod.metadata.namespace = Some(pods::NAMESPACE.to_owned());
    let manifest = node.machine.path(&format!("{STATIC_PODS}/fixed.json"));
    fs::write(&manifest, serde_json::to_vec(&pod)?).context("could not write a static pod's manifest")?;
    let name = format!("fixed-{}", node.name);
    pods::wait_running(&bed.client, &name).await?;

    let row = wait_seen(node).await?;
    let metadata = pods::api(&bed.client).get(&name).await?.metadata;
    let annotations = metadata.annotations.unwrap_or_default();
    ensure!(
        row.name == name && Some(&row.uid) == annotations.get("kubernetes.io/config.hash"),
        "{row:?}, and the mirror pod has {annotations:?}"
    );
    ensure!(
        metadata.uid.as_ref() != Some(&row.uid),
        "then this test shows nothing"
    );

    // Deleted by the kubelet, once the pod itself has ended.
    fs::remove_file(&manifest)?;
    pods::wait_gone(&bed.client, &name).await?;
    let left = rows(node).await?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

async fn never(bed: Arc<Bed>) -> Result<()> {
    let node = node_with_network(&bed).await?;
    setting::add(node, "stranger", "pool1").await?;
    // The events of a pod make the daemon look at all reservations.
    pods::run(&bed.client, "passer-by", &node.name).await?;
    let seen = wait::until(
        "the pod that runs to be seen",
        wait::USUAL,
        async || match rows(node).await {
            Ok(rows) if rows.iter().any(|row| row.seen == 1) => wait::done(rows),
            other => wait::not_yet(format!("{other:?}")),
        },
    );
    let rows = seen.await?;
    ensure!(
        rows.len() == 2 && rows[0].name == "stranger" && rows[0].seen == 0,
        "{rows:?}"
    );
    Ok(())
}

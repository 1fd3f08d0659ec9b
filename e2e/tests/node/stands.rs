//! A range that no longer fits stands: the node that has it goes on using it, its pods too, and the pool says what stands.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::app::App;
use e2e::bed::{Bed, ROLE};
use e2e::cni::Call;
use e2e::harness::Test;
use e2e::node::Node;
use e2e::{pods, store, wait};
use serde_json::json;

use super::pod_network::ensure_answers;
use crate::controller::pool::{Entries, Pool, create_nodes, span};
use crate::setting::{self, add, check, del};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::nodes(
            "node::stands::pods_keep_working_and_others_come_whatever_happens_to_label_and_spec",
            edited,
        ),
        Test::nodes("node::stands::a_deleted_node_goes_on_with_its_range", deleted),
        Test::nodes(
            "node::stands::a_live_node_that_is_deleted_and_comes_back_has_its_range_and_its_pods_their_addresses",
            comes_back,
        ),
    ]
}

/// The bridge network of the seed's README, word for word.
const MYNET: &str = include_str!("../mynet.conf");

/// host-a with two pods of its block of pool1.
struct Scene<'a> {
    bed: &'a Bed,
    node: &'a Node,
    pool: Pool<'a>,
    dealt: Entries,
    /// Of the pod `stayer`; the other one is called `neighbour`.
    address: String,
}

async fn edited(bed: Arc<Bed>) -> Result<()> {
    let scene = Scene::set(&bed).await?;
    let Scene { node, pool, .. } = &scene;
    let daemon = &node.daemon;
    scene.works("dealt").await?;

    pods::label_node(&bed.client, &node.name, ROLE, None).await?;
    scene.stands("host-a (node is no longer selected)").await?;
    scene.works("relabelled").await?;
    pods::label_node(&bed.client, &node.name, ROLE, Some("worker")).await?;
    pool.wait_condition("StaleAllocations", "False", "").await?;

    // The exclusion shows when the daemon has read the pool with this block size.
    let exclusion = json!([{ "startIP": "192.168.0.20", "endIP": "192.168.0.20" }]);
    pool.edit(json!({ "perNodeBlockSize": 10, "exclusions": exclusion }))
        .await?;
    scene
        .stands("host-a (not a block of the current perNodeBlockSize)")
        .await?;
    // The gateway is excluded anyway.
    wait_excluded(daemon, 2).await?;
    scene.works("resized").await?;

    let mark = daemon.service.log_length();
    pool.edit(json!({ "subnet": "10.77.0.0/16", "gateway": "10.77.0.1", "exclusions": null }))
        .await?;
    scene.stands("host-a (outside the subnet)").await?;
    wait_says(daemon, mark, "doesn't contain this node's range").await?;
    scene.works("moved").await?;

    let mark = daemon.service.log_length();
    // The API server can't order two addresses.
    let out_of_order = json!([{ "startIP": "10.77.9.9", "endIP": "10.77.9.8" }]);
    pool.edit(json!({ "exclusions": out_of_order })).await?;
    pool.wait_condition("SpecValid", "False", "10.77.9.9").await?;
    wait_says(daemon, mark, "its spec is invalid").await?;
    scene.works("invalid").await?;
    daemon.kill().await?;
    daemon.start().await?;
    scene.works("restarted").await?;

    let whole = json!({ "subnet": "192.168.0.0/16", "gateway": "192.168.0.1", "perNodeBlockSize": 24, "exclusions": null });
    pool.edit(whole).await?;
    pool.wait_condition("StaleAllocations", "False", "").await?;
    wait_excluded(daemon, 1).await?;
    scene.works("restored").await?;
    for pod in ["stayer", "neighbour"] {
        pods::delete(&bed.client, pod).await?;
    }
    let left = store::reservations(node).await?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

impl<'a> Scene<'a> {
    async fn set(bed: &'a Bed) -> Result<Self> {
        for node in bed.nodes() {
            pods::label_node(&bed.client, &node.name, ROLE, Some("worker")).await?;
        }
        bed.apply_file("config/samples/pool1.yaml").await?;
        bed.controller().start().await?;
        let pool = Pool::existing(bed, "pool1");
        let dealt = pool.wait_nodes(&["host-a", "host-b"]).await?;
        let node = &bed.nodes()[0];
        setting::start_daemon(node, "pool1").await?;
        node.install_network("10-mynet.conf", MYNET).await?;
        let address = pods::run(&bed.client, "stayer", &node.name).await?;
        pods::run(&bed.client, "neighbour", &node.name).await?;
        Ok(Self {
            bed,
            node,
            pool,
            dealt,
            address,
        })
    }

    /// Waits until the pool says this of what stands.
    async fn stands(&self, text: &str) -> Result<()> {
        self.pool
            .wait_condition("StaleAllocations", "True", text)
            .await
            .map(drop)
    }

    /// Every node has the range that it was dealt; the pod has its address, and can be reached at it; another container gets
    /// an address of the range, until it is deleted.
    async fn works(&self, stage: &str) -> Result<()> {
        let entries = self.pool.entries().await?;
        ensure!(entries == self.dealt, "{stage}: {entries:?}");
        let before = store::reservations(self.node).await?;
        let stayer = before
            .iter()
            .find(|reservation| reservation.pod_name == "stayer")
            .filter(|reservation| reservation.address == self.address);
        ensure!(before.len() == 2 && stayer.is_some(), "{stage}: {before:?}");
        for reservation in &before {
            Call::new("CHECK", &reservation.container, "/run/netns/of-the-pod")
                .run(self.node, "nv-ipam", MYNET)
                .await?
                .success()?;
        }
        self.pings().await?;

        let address = add(self.node, stage, "pool1").await?;
        let (host, length) = address.split_once('/').unwrap_or_default();
        let (first, last) = span(&self.dealt["host-a"])?;
        ensure!(
            (first..=last).contains(&host.parse::<Ipv4Addr>()?) && length == "16",
            "{stage}: {address} is not of {first} to {last}"
        );
        check(self.node, stage, "pool1").await?;
        del(self.node, stage, "pool1").await?;
        let after = store::reservations(self.node).await?;
        ensure!(after == before, "{stage}: {after:?}");
        Ok(())
    }

    /// The one pod reaches the other at its address.
    async fn pings(&self) -> Result<()> {
        ensure_answers(self.bed, "neighbour", &self.address).await
    }
}

/// The Node object of a live kubelet is deleted under running pods. The kubelet registers again when it starts again, before
/// the cluster takes the pods for orphans and deletes them.
async fn comes_back(bed: Arc<Bed>) -> Result<()> {
    let scene = Scene::set(&bed).await?;
    let Scene { node, pool, .. } = &scene;
    scene.works("dealt").await?;
    let before = store::reservations(node).await?;

    pods::delete_node(&bed.client, &node.name).await?;
    scene.stands("host-a (node is gone)").await?;
    // Who comes meanwhile gets another range.
    pods::create_fake_node(&bed.client, "host-c", &[(ROLE, "worker")]).await?;
    let mut after = pool.wait_nodes(&["host-a", "host-b", "host-c"]).await?;
    after.remove("host-c");
    ensure!(after == scene.dealt, "{after:?}");
    let address = add(node, "meanwhile", "pool1").await?;
    ensure!(address == "192.168.0.5/16", "{address}");
    del(node, "meanwhile", "pool1").await?;

    node.kubelet.kill().await?;
    node.kubelet.start().await?;
    node.wait_ready(&bed.client).await?;
    scene.stands("host-a (node is no longer selected)").await?;
    pods::label_node(&bed.client, &node.name, ROLE, Some("worker")).await?;
    pool.wait_condition("StaleAllocations", "False", "").await?;
    let mut after = pool.entries().await?;
    after.remove("host-c");
    ensure!(after == scene.dealt, "{after:?}");
    // The very pods run on, and the daemon, which was there all the time, has freed nothing of theirs.
    for (pod, container) in ["stayer", "neighbour"].iter().zip(&before) {
        let address = pods::wait_running(&bed.client, pod).await?;
        ensure!(
            container.address == address,
            "{pod} had {container:?} and has {address}"
        );
    }
    ensure!(
        store::reservations(node).await? == before,
        "the reservations are others"
    );
    // The API says that they run, as it did before: a kubelet that has just started knows its pods a moment later.
    let what = "the pods to be reached through the kubelet";
    wait::until(what, wait::USUAL, async || wait::from_result(scene.pings().await)).await?;
    let address = pods::run(&bed.client, "newcomer", &node.name).await?;
    ensure!(
        before.iter().all(|r| r.address != address),
        "{address} was given twice"
    );
    for pod in ["stayer", "neighbour", "newcomer"] {
        pods::delete(&bed.client, pod).await?;
    }
    let left = store::reservations(node).await?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

/// The node is one in name only, so that no kubelet is without its object: the daemon of host-a is told to be that node's.
async fn deleted(bed: Arc<Bed>) -> Result<()> {
    create_nodes(&bed, "gone", &["gone"]).await?;
    let pool = Pool::create(&bed, "gone", "10.66.0.0/16", 8).await?;
    bed.controller().start().await?;
    let dealt = pool.wait_nodes(&["gone"]).await?;
    let node = &bed.nodes()[0];
    let daemon = &node.daemon;
    daemon
        .service
        .set_argv([daemon.service.argv(), vec!["--node-name=gone".to_owned()]].concat());
    setting::start_daemon(node, "gone").await?;
    let first = add(node, "before", "gone").await?;

    pods::delete_node(&bed.client, "gone").await?;
    pool.wait_condition("StaleAllocations", "True", "gone (node is gone)")
        .await?;
    create_nodes(&bed, "gone", &["other"]).await?;
    let mut after = pool.wait_nodes(&["gone", "other"]).await?;
    after.remove("other");
    ensure!(after == dealt, "{after:?}");
    check(node, "before", "gone").await?;
    daemon.kill().await?;
    setting::start_daemon(node, "gone").await?;
    check(node, "before", "gone").await?;
    let second = add(node, "after", "gone").await?;
    ensure!(
        first == "10.66.0.1/16" && second == "10.66.0.2/16",
        "{first}, then {second}"
    );
    del(node, "before", "gone").await?;
    del(node, "after", "gone").await?;
    let left = store::reservations(node).await?;
    ensure!(left.is_empty(), "{left:?}");

    create_nodes(&bed, "gone", &["gone"]).await?;
    pool.wait_condition("StaleAllocations", "False", "").await?;
    Ok(())
}

/// Waits until so many addresses of the daemon's block of pool1 are excluded.
async fn wait_excluded(daemon: &App, count: u8) -> Result<()> {
    let what = format!("{} to exclude {count} addresses", daemon.service.name);
    let excluded = [("pool", "pool1"), ("state", "excluded")];
    wait::until(&what, wait::USUAL, async || {
        let metrics = daemon.scrape().await;
        match metrics.and_then(|metrics| metrics.value("nv_ipam_addresses", &excluded)) {
            Ok(found) if found.to_string() == count.to_string() => wait::done(()),
            other => wait::not_yet(format!("{other:?}")),
        }
    })
    .await
}

/// Waits until the daemon's log says this after `mark`.
async fn wait_says(daemon: &App, mark: u64, text: &str) -> Result<()> {
    let what = format!("{} to say {text:?}", daemon.service.name);
    wait::until(&what, wait::USUAL, async || {
        let log = daemon.service.log_since(mark);
        if log.contains(text) {
            wait::done(())
        } else {
            wait::not_yet(log)
        }
    })
    .await
}

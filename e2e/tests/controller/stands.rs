//! What stands in a status stays, whatever happens to nodes and spec, and the pool says so.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use e2e::{pods, wait};
use serde_json::json;

use super::pool::{Entries, FOR_POOL, Pool, create_nodes, ensure_disjoint, selector, span};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::api(
            "controller::stands::the_range_of_a_deleted_node_stands_until_it_is_back",
            deleted,
        ),
        Test::api(
            "controller::stands::the_range_of_a_relabelled_node_stands",
            relabelled,
        ),
        Test::api(
            "controller::stands::ranges_stand_when_the_selector_is_narrowed",
            narrowed,
        ),
        Test::api(
            "controller::stands::ranges_stand_when_the_layout_is_edited",
            layout,
        ),
        Test::api(
            "controller::stands::an_invalid_spec_keeps_the_last_good_status",
            invalid,
        ),
        Test::api(
            "controller::stands::no_room_is_said_once_and_others_are_served",
            no_room,
        ),
    ]
}

/// A pool whose blocks the nodes `e2e-a`, `e2e-b` and `e2e-c` have.
async fn dealt(bed: &Bed) -> Result<(Pool<'_>, Entries)> {
    create_nodes(bed, "stands", &["e2e-a", "e2e-b", "e2e-c"]).await?;
    let pool = Pool::create(bed, "stands", "192.168.0.0/16", 24).await?;
    bed.controller().start().await?;
    let entries = pool.wait_nodes(&["e2e-a", "e2e-b", "e2e-c"]).await?;
    pool.wait_condition("StaleAllocations", "False", "").await?;
    Ok((pool, entries))
}

/// Node `name` comes, and gets this range; every entry that was there stands.
async fn newcomer(
    bed: &Bed,
    pool: &Pool<'_>,
    before: &Entries,
    name: &str,
    range: (&str, &str),
) -> Result<()> {
    create_nodes(bed, pool.name, &[name]).await?;
    let mut nodes: Vec<&str> = before.keys().map(String::as_str).chain([name]).collect();
    nodes.sort_unstable();
    let mut after = pool.wait_nodes(&nodes).await?;
    let entry = after.remove(name).context("it has no entry")?;
    ensure!(after == *before, "{after:?}");
    ensure!(span(&entry)? == (range.0.parse()?, range.1.parse()?), "{entry}");
    Ok(())
}

async fn deleted(bed: Arc<Bed>) -> Result<()> {
    let (pool, before) = dealt(&bed).await?;
    pods::delete_node(&bed.client, "e2e-b").await?;
    let said = pool
        .wait_condition("StaleAllocations", "True", "e2e-b (node is gone)")
        .await?;
    ensure!(
        !said.message.contains("e2e-a (") && !said.message.contains("e2e-c ("),
        "{}",
        said.message
    );
    newcomer(&bed, &pool, &before, "e2e-d", ("192.168.0.73", "192.168.0.96")).await?;
    create_nodes(&bed, pool.name, &["e2e-b"]).await?;
    pool.wait_condition("StaleAllocations", "False", "").await?;
    let mut after = pool.entries().await?;
    after.remove("e2e-d");
    ensure!(after == before, "{after:?}");
    Ok(())
}

async fn relabelled(bed: Arc<Bed>) -> Result<()> {
    let (pool, before) = dealt(&bed).await?;
    pods::label_node(&bed.client, "e2e-a", FOR_POOL, Some("another")).await?;
    pool.wait_condition("StaleAllocations", "True", "e2e-a (node is no longer selected)")
        .await?;
    newcomer(&bed, &pool, &before, "e2e-d", ("192.168.0.73", "192.168.0.96")).await
}

async fn narrowed(bed: Arc<Bed>) -> Result<()> {
    let (pool, before) = dealt(&bed).await?;
    let mut narrow = selector(pool.name);
    narrow["nodeSelectorTerms"][0]["matchFields"] =
        json!([{ "key": "metadata.name", "operator": "NotIn", "values": ["e2e-b"] }]);
    pool.edit(json!({ "nodeSelector": narrow })).await?;
    let said = pool
        .wait_condition("StaleAllocations", "True", "e2e-b (node is no longer selected)")
        .await?;
    ensure!(
        !said.message.contains("e2e-a (") && !said.message.contains("e2e-c ("),
        "{}",
        said.message
    );
    newcomer(&bed, &pool, &before, "e2e-d", ("192.168.0.73", "192.168.0.96")).await
}

async fn layout(bed: Arc<Bed>) -> Result<()> {
    let (pool, before) = dealt(&bed).await?;
    pool.edit(json!({ "perNodeBlockSize": 10 })).await?;
    for node in ["e2e-a", "e2e-b", "e2e-c"] {
        let text = format!("{node} (not a block of the current perNodeBlockSize)");
        pool.wait_condition("StaleAllocations", "True", &text).await?;
    }
    // The first block of ten after 72 that shares no address with what stands.
    newcomer(&bed, &pool, &before, "e2e-d", ("192.168.0.81", "192.168.0.90")).await?;
    let before = pool.entries().await?;
    pool.edit(json!({ "subnet": "10.77.0.0/16" })).await?;
    pool.wait_condition("StaleAllocations", "True", "e2e-d (outside the subnet)")
        .await?;
    newcomer(&bed, &pool, &before, "e2e-e", ("10.77.0.1", "10.77.0.10")).await
}

async fn invalid(bed: Arc<Bed>) -> Result<()> {
    let (pool, before) = dealt(&bed).await?;
    // The API server can't order two addresses.
    let out_of_order = json!([{ "startIP": "192.168.9.9", "endIP": "192.168.9.8" }]);
    pool.edit(json!({ "exclusions": out_of_order })).await?;
    let said = pool.wait_condition("SpecValid", "False", "192.168.9.9").await?;
    ensure!(said.reason == "InvalidSpec", "{}", said.reason);
    pool.wait_event("InvalidSpec", "192.168.9.9").await?;
    create_nodes(&bed, pool.name, &["e2e-d"]).await?;
    wait::until("node d to be seen", wait::USUAL, async || {
        let waiting = bed
            .controller()
            .scrape()
            .await
            .map(|metrics| metrics.sum("nv_ipam_controller_nodes_without_range", &[("pool", pool.name)]));
        match waiting {
            Ok(count) if count > 0.0 => wait::done(()),
            other => wait::not_yet(format!("{other:?} nodes wait")),
        }
    })
    .await?;
    let during = pool.entries().await?;
    ensure!(during == before, "{during:?}");
    pool.edit(json!({ "exclusions": null })).await?;
    pool.wait_condition("SpecValid", "True", "").await?;
    let mut after = pool.wait_nodes(&["e2e-a", "e2e-b", "e2e-c", "e2e-d"]).await?;
    after.remove("e2e-d");
    ensure!(after == before, "{after:?}");
    let said = pool.events().await?;
    ensure!(said.len() == 1 && said[0].2 == 1, "{said:?}");
    Ok(())
}

async fn no_room(bed: Arc<Bed>) -> Result<()> {
    create_nodes(&bed, "full", &["e2e-a", "e2e-b", "e2e-c"]).await?;
    let pool = Pool::create(&bed, "full", "10.7.0.0/24", 100).await?;
    let controller = bed.controller();
    controller.start().await?;
    let served = pool.wait_nodes(&["e2e-a", "e2e-b"]).await?;
    let said = pool
        .wait_condition("NodesAllocated", "False", "1 node: e2e-c")
        .await?;
    ensure!(said.reason == "NoFreeRanges", "{}", said.reason);
    pool.wait_event("NoFreeRanges", "Node: e2e-c").await?;
    for mark in ["1", "2", "3"] {
        pool.touch(mark, controller).await?;
    }
    // Events are posted in turn: once d's is there, a second one of c would be, too.
    create_nodes(&bed, pool.name, &["e2e-d"]).await?;
    pool.wait_event("NoFreeRanges", "Node: e2e-d").await?;
    let ended = controller.stop().await?;
    ensure!(ended.success(), "{ended}");
    controller.start().await?;
    create_nodes(&bed, pool.name, &["e2e-e"]).await?;
    pool.wait_event("NoFreeRanges", "Node: e2e-e").await?;
    let once = |node: &str| {
        let message = format!("failed to allocate IPs on Node: {node}");
        ("NoFreeRanges".to_owned(), message, 1)
    };
    let said = pool.events().await?;
    ensure!(said == ["e2e-c", "e2e-d", "e2e-e"].map(once), "{said:?}");
    ensure!(pool.entries().await? == served, "what was dealt changed");
    pool.wait_condition("NodesAllocated", "False", "3 nodes: e2e-c, e2e-d, e2e-e")
        .await?;
    // Room comes with a larger subnet; what stands fits it, too.
    pool.edit(json!({ "subnet": "10.7.0.0/16" })).await?;
    let after = pool
        .wait_nodes(&["e2e-a", "e2e-b", "e2e-c", "e2e-d", "e2e-e"])
        .await?;
    ensure_disjoint(&after)?;
    pool.wait_condition("NodesAllocated", "True", "").await?;
    Ok(())
}

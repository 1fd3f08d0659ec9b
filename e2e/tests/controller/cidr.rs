//! CIDRPools: what is dealt of them, what stands, and what is said.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use e2e::names::NAMESPACE;
use e2e::{pods, roles};
use serde_json::{Value, json};

use super::pool::{Entries, Pool, create_nodes};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::api(
            "controller::cidr::the_example_gives_the_status_of_the_go_version",
            example,
        ),
        Test::api("controller::cidr::prefixes_stand_when_the_spec_is_edited", edited),
        Test::api(
            "controller::cidr::a_static_prefix_is_never_taken_from_the_node_that_has_it",
            statics,
        ),
        Test::api(
            "controller::cidr::no_room_is_said_once_and_others_are_served",
            no_room,
        ),
        Test::api(
            "controller::cidr::of_2_to_the_64_prefixes_the_one_that_is_not_excluded_is_dealt",
            huge,
        ),
        Test::api(
            "controller::cidr::a_pool_of_another_namespace_is_left_alone",
            elsewhere,
        ),
        Test::nodes(
            "controller::cidr::the_dual_stack_samples_give_each_node_both_families",
            dual_stack,
        ),
    ]
}

/// The status of the sample, as `kubectl get -o yaml` prints it.
const STATUS: &str = "status:
  allocations:
  - gateway: 192.168.0.1
    nodeName: host-a
    prefix: 192.168.0.0/24
  - gateway: 192.168.33.10
    nodeName: host-b
    prefix: 192.168.33.0/24
  - gateway: 192.168.3.1
    nodeName: host-c
    prefix: 192.168.3.0/24
  conditions:
";

async fn example(bed: Arc<Bed>) -> Result<()> {
    let nodes = ["host-a", "host-b", "host-c"];
    roles::only_workers(&bed.client, &nodes).await?;
    // A pool of the other kind may have the same name.
    bed.apply_file("config/samples/pool1.yaml").await?;
    bed.apply_file("config/samples/cidrpool.yaml").await?;
    bed.controller().start().await?;
    bed.wait_blocks("pool1", &nodes).await?;
    let pool = Pool::existing_cidr(&bed, "pool1");
    pool.wait_nodes(&nodes).await?;
    pool.wait_condition("NodesAllocated", "True", "").await?;
    let get = ["get", "cidrpool", "pool1", "-n", NAMESPACE];
    let shown = bed.kubectl.run(&[&get[..], &["-o", "yaml"]].concat()).await?;
    ensure!(
        shown.contains(STATUS),
        "this is not in it:\n{STATUS}\nbut this is:\n{shown}"
    );
    let shown = bed.kubectl.run(&get).await?;
    let table: Vec<Vec<&str>> = shown
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    ensure!(
        table
            == [
                // One column has two words, another four.
                vec![
                    "NAME", "CIDR", "GATEWAY", "INDEX", "PER", "NODE", "NETWORK", "PREFIX"
                ],
                vec!["pool1", "192.168.0.0/16", "1", "24"],
            ],
        "{shown}"
    );
    Ok(())
}

/// What an entry says.
fn entry(entries: &Entries, node: &str) -> Result<Value> {
    let entry = entries
        .get(node)
        .with_context(|| format!("{node} has no entry"))?;
    Ok(serde_json::from_str(entry)?)
}

fn expect(entries: &Entries, node: &str, prefix: &str, gateway: &str) -> Result<()> {
    let found = entry(entries, node)?;
    let expected = json!({ "nodeName": node, "prefix": prefix, "gateway": gateway });
    ensure!(found == expected, "{found}");
    Ok(())
}

/// The entries of these nodes are those of before.
fn ensure_stand(before: &Entries, after: &Entries) -> Result<()> {
    for (node, entry) in before {
        ensure!(after.get(node) == Some(entry), "{node} had {entry}: {after:?}");
    }
    Ok(())
}

async fn edited(bed: Arc<Bed>) -> Result<()> {
    create_nodes(&bed, "edited", &["e2e-a", "e2e-b"]).await?;
    let spec = json!({ "cidr": "10.8.0.0/16", "perNodeNetworkPrefix": 24, "gatewayIndex": 1 });
    let pool = Pool::create_cidr(&bed, "edited", spec).await?;
    bed.controller().start().await?;
    let before = pool.wait_nodes(&["e2e-a", "e2e-b"]).await?;
    expect(&before, "e2e-a", "10.8.0.0/24", "10.8.0.1")?;

    pool.edit(json!({ "gatewayIndex": 2 })).await?;
    let text = "e2e-a (its gateway is not the spec's, 10.8.0.2)";
    pool.wait_condition("StaleAllocations", "True", text).await?;
    pool.edit(json!({ "perNodeNetworkPrefix": 25 })).await?;
    let text = "e2e-a (not a prefix of the current perNodeNetworkPrefix)";
    pool.wait_condition("StaleAllocations", "True", text).await?;
    create_nodes(&bed, pool.name, &["e2e-c"]).await?;
    let after = pool.wait_nodes(&["e2e-a", "e2e-b", "e2e-c"]).await?;
    ensure_stand(&before, &after)?;
    expect(&after, "e2e-c", "10.8.2.0/25", "10.8.2.2")?;

    let before = after;
    // What no rule of the CRD can say.
    pool.edit(json!({ "exclusions": [{ "startIP": "10.8.0.9", "endIP": "10.8.0.8" }] }))
        .await?;
    pool.wait_condition(
        "SpecValid",
        "False",
        "endIP should be equal or greater than startIP",
    )
    .await?;
    pool.wait_event("InvalidSpec", "spec.exclusions[0]").await?;
    ensure!(pool.entries().await? == before, "what stood changed");

    pool.edit(json!({ "gatewayIndex": 1, "perNodeNetworkPrefix": 24, "exclusions": [] }))
        .await?;
    pool.wait_condition("StaleAllocations", "True", "1 entry no longer fit")
        .await?;
    pods::delete_node(&bed.client, "e2e-a").await?;
    pool.wait_condition("StaleAllocations", "True", "e2e-a (node is gone)")
        .await?;
    ensure!(pool.entries().await? == before, "what stood changed");
    Ok(())
}

async fn statics(bed: Arc<Bed>) -> Result<()> {
    create_nodes(&bed, "static", &["e2e-a", "e2e-b"]).await?;
    let spec = json!({ "cidr": "10.8.0.0/16", "perNodeNetworkPrefix": 24, "gatewayIndex": 1 });
    let pool = Pool::create_cidr(&bed, "static", spec).await?;
    bed.controller().start().await?;
    let before = pool.wait_nodes(&["e2e-a", "e2e-b"]).await?;

    pool.edit(json!({
        "exclusions": [{ "startIP": "10.8.9.0", "endIP": "10.8.9.255" }],
        "staticAllocations": [
            { "nodeName": "e2e-c", "prefix": "10.8.1.0/24" },
            { "nodeName": "e2e-d", "prefix": "10.8.9.0/24", "gateway": "10.8.9.9" },
            { "prefix": "10.8.2.0/24" },
        ],
    }))
    .await?;
    create_nodes(&bed, pool.name, &["e2e-c", "e2e-d", "e2e-e"]).await?;
    let after = pool.wait_nodes(&["e2e-a", "e2e-b", "e2e-d", "e2e-e"]).await?;
    ensure_stand(&before, &after)?;
    expect(&after, "e2e-d", "10.8.9.0/24", "10.8.9.9")?;
    expect(&after, "e2e-e", "10.8.3.0/24", "10.8.3.1")?;
    let said = pool
        .wait_condition("NodesAllocated", "False", "1 node: e2e-c")
        .await?;
    ensure!(said.reason == "NoFreePrefixes", "{}", said.reason);
    pool.wait_event("NoFreePrefixes", "Node: e2e-c, no free prefixes")
        .await?;
    let said = pool
        .wait_condition(
            "StaleAllocations",
            "True",
            "e2e-b (the static allocation of e2e-c)",
        )
        .await?;
    ensure!(!said.message.contains("e2e-d ("), "{}", said.message);

    // An administrator who knows that b no longer uses its prefix takes it away.
    let others: Vec<Value> = ["e2e-a", "e2e-d", "e2e-e"]
        .into_iter()
        .map(|node| entry(&after, node))
        .collect::<Result<_>>()?;
    pool.set_entries(json!(others)).await?;
    let at_last = pool
        .wait_nodes(&["e2e-a", "e2e-b", "e2e-c", "e2e-d", "e2e-e"])
        .await?;
    expect(&at_last, "e2e-c", "10.8.1.0/24", "10.8.1.1")?;
    expect(&at_last, "e2e-b", "10.8.4.0/24", "10.8.4.1")?;
    pool.wait_condition("NodesAllocated", "True", "").await?;
    pool.wait_condition("StaleAllocations", "False", "").await?;
    Ok(())
}

async fn no_room(bed: Arc<Bed>) -> Result<()> {
    create_nodes(&bed, "full", &["e2e-a", "e2e-b", "e2e-c"]).await?;
    let pool = Pool::create_cidr(
        &bed,
        "full",
        json!({ "cidr": "10.7.0.0/23", "perNodeNetworkPrefix": 24 }),
    )
    .await?;
    let controller = bed.controller();
    controller.start().await?;
    let served = pool.wait_nodes(&["e2e-a", "e2e-b"]).await?;
    pool.wait_condition("NodesAllocated", "False", "1 node: e2e-c")
        .await?;
    pool.wait_event("NoFreePrefixes", "Node: e2e-c").await?;
    for mark in ["1", "2"] {
        pool.touch(mark, controller).await?;
    }
    let ended = controller.stop().await?;
    ensure!(ended.success(), "{ended}");
    controller.start().await?;
    create_nodes(&bed, pool.name, &["e2e-d"]).await?;
    pool.wait_event("NoFreePrefixes", "Node: e2e-d").await?;
    let once = |node: &str| {
        let message = format!("failed to allocated prefix for Node: {node}, no free prefixes");
        ("NoFreePrefixes".to_owned(), message, 1)
    };
    let said = pool.events().await?;
    ensure!(said == ["e2e-c", "e2e-d"].map(once), "{said:?}");
    let about = "--field-selector=involvedObject.kind=CIDRPool,involvedObject.name=full";
    let source = "jsonpath={.items[0].type} {.items[0].source.component}";
    let shown = bed
        .kubectl
        .run(&["get", "events", "-n", NAMESPACE, about, "-o", source])
        .await?;
    ensure!(shown == "Warning CIDRPoolController", "{shown}");
    pool.edit(json!({ "cidr": "10.7.0.0/16" })).await?;
    let after = pool.wait_nodes(&["e2e-a", "e2e-b", "e2e-c", "e2e-d"]).await?;
    ensure_stand(&served, &after)
}

async fn huge(bed: Arc<Bed>) -> Result<()> {
    create_nodes(&bed, "huge", &["e2e-a"]).await?;
    let all_but_the_last =
        json!([{ "startIP": "fd52:2eb5:44::", "endIP": "fd52:2eb5:44:ffff:ffff:ffff:fffe:ffff" }]);
    let spec = json!({ "cidr": "fd52:2eb5:44::/48", "perNodeNetworkPrefix": 112, "gatewayIndex": 7,
        "exclusions": all_but_the_last });
    let pool = Pool::create_cidr(&bed, "huge", spec).await?;
    bed.controller().start().await?;
    let entries = pool.wait_nodes(&["e2e-a"]).await?;
    let last = "fd52:2eb5:44:ffff:ffff:ffff:ffff";
    expect(&entries, "e2e-a", &format!("{last}:0/112"), &format!("{last}:7"))
}

/// A pool like that of the test, but in a namespace that is not the pools'.
const ELSEWHERE: &str = r#"
{ "apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": "CIDRPool",
  "metadata": { "name": "here", "namespace": "default" },
  "spec": { "cidr": "10.8.0.0/16", "perNodeNetworkPrefix": 24 } }"#;

async fn elsewhere(bed: Arc<Bed>) -> Result<()> {
    bed.apply(ELSEWHERE).await?;
    let outcome = only_here(&bed).await;
    bed.kubectl
        .run(&["delete", "cidrpool", "here", "-n", "default"])
        .await?;
    outcome
}

async fn only_here(bed: &Bed) -> Result<()> {
    create_nodes(bed, "here", &["e2e-a"]).await?;
    let spec = json!({ "cidr": "10.8.0.0/16", "perNodeNetworkPrefix": 24 });
    let pool = Pool::create_cidr(bed, "here", spec).await?;
    let controller = bed.controller();
    controller.start().await?;
    pool.wait_nodes(&["e2e-a"]).await?;
    create_nodes(bed, "here", &["e2e-b"]).await?;
    pool.wait_nodes(&["e2e-a", "e2e-b"]).await?;
    let status = "jsonpath={.status}";
    let shown = bed
        .kubectl
        .run(&["get", "cidrpool", "here", "-n", "default", "-o", status])
        .await?;
    ensure!(shown.is_empty(), "{shown}");
    Ok(())
}

async fn dual_stack(bed: Arc<Bed>) -> Result<()> {
    bed.apply_file("config/samples/ippools_dual_stack.yaml").await?;
    bed.apply_file("config/samples/cidrpools_dual_stack.yaml").await?;
    bed.controller().start().await?;
    let nodes: Vec<&str> = bed.nodes().iter().map(|node| node.name.as_str()).collect();
    for (v4, v6, expected) in [
        (
            Pool::existing(&bed, "pool-v4"),
            Pool::existing(&bed, "pool-v6"),
            json!([
                { "nodeName": "host-a", "startIP": "10.20.0.1", "endIP": "10.20.0.100" },
                { "nodeName": "host-a", "startIP": "fd52:2eb5:44::1", "endIP": "fd52:2eb5:44::3e8" },
            ]),
        ),
        (
            Pool::existing_cidr(&bed, "pool-v4"),
            Pool::existing_cidr(&bed, "pool-v6"),
            json!([
                { "nodeName": "host-a", "prefix": "10.30.0.0/24", "gateway": "10.30.0.1" },
                { "nodeName": "host-a", "prefix": "fd52:2eb5:45::/64", "gateway": "fd52:2eb5:45::1" },
            ]),
        ),
    ] {
        let (v4, v6) = (v4.wait_nodes(&nodes).await?, v6.wait_nodes(&nodes).await?);
        let found = json!([entry(&v4, "host-a")?, entry(&v6, "host-a")?]);
        ensure!(found == expected, "{found}");
    }
    Ok(())
}

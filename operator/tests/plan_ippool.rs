//! What is planned for an IPPool, case by case.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::{allocations, condition, entry, node, plan, planned, pool, worker_selector, workers};
use operator::nodes::Nodes;
use serde_json::json;

fn seed_pool() -> api::ippool::IPPool {
    pool(&json!({
        "subnet": "192.168.0.0/16", "perNodeBlockSize": 24, "gateway": "192.168.0.1",
        "nodeSelector": worker_selector(),
    }))
}

#[test]
fn the_seeds_example_gets_the_seeds_status() {
    let mut nodes = workers(&["k8s-master", "host-c", "host-a", "host-b"]);
    nodes.insert("infra".to_owned(), node("infra", "infra").into());
    let planned = planned(&seed_pool(), &nodes);
    let status = serde_json::to_value(planned.status.as_ref().unwrap()).unwrap();
    assert_eq!(
        status["allocations"],
        json!([
            {"nodeName": "host-a", "startIP": "192.168.0.1", "endIP": "192.168.0.24"},
            {"nodeName": "host-b", "startIP": "192.168.0.25", "endIP": "192.168.0.48"},
            {"nodeName": "host-c", "startIP": "192.168.0.49", "endIP": "192.168.0.72"},
            {"nodeName": "k8s-master", "startIP": "192.168.0.73", "endIP": "192.168.0.96"},
        ])
    );
    for (type_, expected) in [
        ("SpecValid", "True"),
        ("NodesAllocated", "True"),
        ("StaleAllocations", "False"),
    ] {
        assert_eq!(condition(&planned, type_).0, expected, "{type_}");
    }
}

#[test]
fn a_new_node_gets_the_lowest_free_block_wherever_its_name_sorts() {
    let pool = planned(&seed_pool(), &workers(&["b", "d"]));
    let pool = planned(&pool, &workers(&["a", "b", "c", "d"]));
    assert_eq!(
        allocations(&pool),
        [
            entry("a", "192.168.0.49", "192.168.0.72"),
            entry("b", "192.168.0.1", "192.168.0.24"),
            entry("c", "192.168.0.73", "192.168.0.96"),
            entry("d", "192.168.0.25", "192.168.0.48"),
        ]
    );
}

#[test]
fn a_block_that_an_administrator_gave_back_is_the_next_to_be_dealt() {
    let mut pool = planned(&seed_pool(), &workers(&["a", "b", "c"]));
    pool.status
        .as_mut()
        .unwrap()
        .allocations
        .retain(|held| held.node_name != "b");
    let pool = planned(&pool, &workers(&["a", "c", "d", "e"]));
    assert_eq!(
        allocations(&pool)[2..],
        [
            entry("d", "192.168.0.25", "192.168.0.48"),
            entry("e", "192.168.0.73", "192.168.0.96"),
        ]
    );
}

/// The numbers of these addresses are those of the first block's.
#[test]
fn a_range_of_the_other_family_takes_nothing() {
    let mut pool = pool(&json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 16}));
    let held = [entry("v6", "::a00:1", "::a00:10")];
    pool.status = Some(serde_json::from_value(json!({"allocations": held})).unwrap());
    let pool = planned(&pool, &workers(&["a", "v6"]));
    assert_eq!(allocations(&pool)[0], entry("a", "10.0.0.1", "10.0.0.16"));
    assert!(
        condition(&pool, "StaleAllocations")
            .2
            .contains("v6 (outside the subnet)")
    );
}

#[test]
fn what_stands_is_kept_byte_for_byte_and_named_when_it_no_longer_fits() {
    let mut pool = pool(&json!({
        "subnet": "10.0.0.0/24", "perNodeBlockSize": 16, "gateway": "10.0.0.1", "nodeSelector": worker_selector(),
        "exclusions": [{"startIP": "10.0.0.97", "endIP": "10.0.0.112"}],
    }));
    let held = vec![
        entry("excluded", "10.0.0.97", "10.0.0.112"),
        entry("gone", "10.0.0.1", "10.0.0.16"),
        entry("off-grid", "10.0.0.18", "10.0.0.33"),
        entry("outside", "10.9.0.1", "10.9.0.16"),
        entry("over-1", "10.0.0.64", "10.0.0.80"),
        entry("over-2", "10.0.0.49", "10.0.0.64"),
        entry("over-3", "10.0.0.64", "10.0.0.64"),
        entry("twice", "10.0.0.81", "10.0.0.96"),
        entry("twice", "10.0.0.113", "10.0.0.128"),
        entry("unselected", "10.0.0.129", "10.0.0.144"),
    ];
    pool.status = Some(serde_json::from_value(json!({"allocations": held})).unwrap());
    let mut nodes: Nodes = workers(&[
        "excluded", "new", "off-grid", "outside", "over-1", "over-2", "over-3", "twice",
    ]);
    nodes.insert("unselected".to_owned(), node("unselected", "infra").into());
    let plan = plan(&pool, &nodes, None);
    assert_eq!(plan.stale, Some(9));
    let pool = planned(&pool, &nodes);
    let (kept, new): (Vec<_>, Vec<_>) = allocations(&pool)
        .iter()
        .cloned()
        .partition(|a| a.node_name != "new");
    assert_eq!(kept, held);
    assert_eq!(new, [entry("new", "10.0.0.145", "10.0.0.160")]);
    let (status, _, message) = condition(&pool, "StaleAllocations");
    assert_eq!(status, "True");
    for part in [
        "9 entries no longer fit",
        "excluded (excluded as a whole)",
        "gone (node is gone)",
        "off-grid (not a block of the current perNodeBlockSize)",
        "outside (outside the subnet)",
        "over-1 (shares addresses with the entry of over-2)",
        "over-2 (shares addresses with the entry of over-3)",
        "over-3 (shares addresses with the entry of over-2)",
        "twice (a second entry of this node)",
        "unselected (node is no longer selected)",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
}

/// The node of such an entry goes on with the range that it said before, and only the node knows which that is.
#[test]
fn nothing_is_dealt_while_an_entry_says_no_range() {
    let nodes = workers(&["a", "b", "new"]);
    let dealt = planned(&seed_pool(), &workers(&["a", "b"]));
    for (start, end) in [
        ("what", "ever"),
        ("192.168.0.1", "192.168.0.24x"),
        ("192.168.0.24", "192.168.0.1"),
        ("192.168.0.1", "fd00::1"),
        ("192.168.000.001", "192.168.0.24"),
        ("", ""),
    ] {
        let mut edited = dealt.clone();
        edited.status.as_mut().unwrap().allocations[0] = entry("a", start, end);
        let plan = plan(&edited, &nodes, None);
        assert_eq!((plan.without_range, plan.stale), (1, Some(1)));
        assert_eq!(plan.notices[0].reason, "UnreadableAllocations");
        let planned = planned(&edited, &nodes);
        assert_eq!(allocations(&planned), allocations(&edited));
        let (status, reason, message) = condition(&planned, "NodesAllocated");
        assert_eq!(
            (status.as_str(), reason.as_str()),
            ("False", "UnreadableAllocations")
        );
        assert_eq!(
            message,
            format!(
                "no range is dealt until an administrator restores or removes 1 entry without a readable range: a ({start:?} to {end:?})"
            )
        );
        assert!(
            condition(&planned, "StaleAllocations")
                .2
                .contains("a (not a range of addresses)")
        );
        let mut restored = planned;
        restored.status.as_mut().unwrap().allocations[0] = allocations(&dealt)[0].clone();
        let restored = self::planned(&restored, &nodes);
        assert_eq!(allocations(&restored).len(), 3);
        assert_eq!(condition(&restored, "NodesAllocated").0, "True");
    }
}

#[test]
fn a_block_that_is_just_the_gateway_is_not_dealt_and_stale_if_held() {
    let spec = json!({"subnet": "10.0.0.0/30", "perNodeBlockSize": 1, "gateway": "10.0.0.1"});
    let dealt = planned(&pool(&spec), &workers(&["a"]));
    assert_eq!(allocations(&dealt), [entry("a", "10.0.0.2", "10.0.0.2")]);
    let mut held = pool(&spec);
    held.status =
        Some(serde_json::from_value(json!({"allocations": [entry("a", "10.0.0.1", "10.0.0.1")]})).unwrap());
    let held = planned(&held, &workers(&["a"]));
    assert_eq!(allocations(&held), [entry("a", "10.0.0.1", "10.0.0.1")]);
    assert!(
        condition(&held, "StaleAllocations")
            .2
            .contains("a (just the gateway)")
    );
}

#[test]
fn the_gateway_of_a_larger_block_is_the_nodes_to_skip() {
    let pool = planned(
        &pool(&json!({"subnet": "10.0.0.0/30", "perNodeBlockSize": 2, "gateway": "10.0.0.1"})),
        &workers(&["a"]),
    );
    assert_eq!(allocations(&pool), [entry("a", "10.0.0.1", "10.0.0.2")]);
}

/// Contract B.7: a block is skipped only if both kinds together cover all of it; what they cover in part is dealt.
#[test]
fn a_block_that_is_excluded_as_a_whole_is_skipped() {
    let exclusion = |first: &str, last: &str| json!({"startIP": first, "endIP": last});
    let index = |first: u8, last: u8| json!({"startIndex": first, "endIndex": last});
    for (ranges, indexes, expected) in [
        // The example of the Go version's README: the first block has two addresses left.
        (
            json!([exclusion("10.0.0.10", "10.0.0.20")]),
            json!([index(0, 10)]),
            "10.0.0.1",
        ),
        (
            json!([exclusion("10.0.0.10", "10.0.0.24")]),
            json!([index(0, 10)]),
            "10.0.0.25",
        ),
        (
            json!([exclusion("10.0.0.1", "10.0.0.24")]),
            json!([]),
            "10.0.0.25",
        ),
        (json!([exclusion("10.0.0.0", "10.0.0.23")]), json!([]), "10.0.0.1"),
        (
            json!([
                exclusion("10.0.0.13", "10.0.0.24"),
                exclusion("10.0.0.1", "10.0.0.14")
            ]),
            json!([]),
            "10.0.0.25",
        ),
        (
            json!([exclusion("10.0.0.0", "10.0.0.95")]),
            json!([]),
            "10.0.0.73",
        ),
    ] {
        let spec = json!({"subnet": "10.0.0.0/16", "perNodeBlockSize": 24, "exclusions": ranges,
            "perNodeExclusions": indexes});
        let pool = planned(&pool(&spec), &workers(&["a"]));
        assert_eq!(allocations(&pool)[0].start_ip, expected, "{ranges} {indexes}");
    }
}

/// With a step for each block these would not end.
#[test]
fn pools_with_2_to_the_64_excluded_blocks_are_planned_at_once() {
    let excluded = json!([{"startIP": "fd52:2eb5:44::", "endIP": "fd52:2eb5:44:ffff:ffff:ffff:fffe:ffff"}]);
    let spec = json!({"subnet": "fd52:2eb5:44::/48", "perNodeBlockSize": 65536, "exclusions": excluded});
    let dealt = planned(&pool(&spec), &workers(&["a", "b"]));
    // Blocks begin at the first usable address, so of the last whole one a single address is left.
    assert_eq!(
        allocations(&dealt),
        [entry(
            "a",
            "fd52:2eb5:44:ffff:ffff:ffff:fffe:1",
            "fd52:2eb5:44:ffff:ffff:ffff:ffff:0"
        )]
    );
    let every_index = json!([{"startIndex": 0, "endIndex": 65535}]);
    let spec =
        json!({"subnet": "fd52:2eb5:44::/48", "perNodeBlockSize": 65536, "perNodeExclusions": every_index});
    let dealt = planned(&pool(&spec), &workers(&["a"]));
    assert_eq!(allocations(&dealt), []);
}

#[test]
fn no_room_is_said_once_for_each_node() {
    // Two blocks of 100, and a partial one that is not used.
    let pool = pool(&json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 100}));
    let nodes = workers(&["a", "b", "c", "d"]);
    let first = plan(&pool, &nodes, None);
    let said: Vec<_> = first
        .notices
        .iter()
        .map(|n| (n.reason, n.message.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            ("NoFreeRanges", "failed to allocate IPs on Node: c"),
            ("NoFreeRanges", "failed to allocate IPs on Node: d"),
        ]
    );
    assert_eq!(first.without_range, 2);
    let pool = planned(&pool, &nodes);
    assert_eq!(
        condition(&pool, "NodesAllocated"),
        (
            "False".to_owned(),
            "NoFreeRanges".to_owned(),
            "no free range for 2 nodes: c, d".to_owned()
        )
    );
    assert_eq!(plan(&pool, &nodes, Some(&first.said)).notices, []);
    assert_eq!(plan(&pool, &nodes, None).notices, [], "after a restart");
}

#[test]
fn an_invalid_spec_keeps_what_stands_and_deals_nothing() {
    let valid = planned(&seed_pool(), &workers(&["host-a"]));
    let mut invalid = valid.clone();
    invalid.spec.gateway = Some("10.0.0.1".to_owned());
    invalid.metadata.generation = Some(2);
    let nodes = workers(&["host-a", "host-b"]);
    let plan = plan(&invalid, &nodes, None);
    let text = r#"spec.gateway: Invalid value: "10.0.0.1": is not part of the subnet"#;
    assert_eq!(
        (plan.notices[0].reason, plan.notices[0].message.as_str()),
        ("InvalidSpec", text)
    );
    assert_eq!(plan.without_range, 1);
    let invalid = planned(&invalid, &nodes);
    assert_eq!(allocations(&invalid), allocations(&valid));
    assert_eq!(
        condition(&invalid, "SpecValid"),
        ("False".to_owned(), "InvalidSpec".to_owned(), text.to_owned())
    );
    assert_eq!(condition(&invalid, "NodesAllocated").0, "Unknown");
    let mut repaired = invalid.clone();
    repaired.spec.gateway = None;
    let repaired = planned(&repaired, &nodes);
    assert_eq!(allocations(&repaired).len(), 2);
    assert_eq!(condition(&repaired, "SpecValid").0, "True");
}

#[test]
fn a_node_that_the_selector_cannot_judge_is_skipped_and_keeps_what_it_has() {
    let mut pool = planned(&seed_pool(), &workers(&["a"]));
    pool.spec.node_selector = Some(
        serde_json::from_value(json!({"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "kubernetes.io/role", "operator": "Gt", "values": ["many"]}]}]}))
        .unwrap(),
    );
    let nodes = workers(&["a", "b"]);
    let plan = plan(&pool, &nodes, None);
    let (count, first, _) = plan.unjudged.unwrap();
    assert_eq!((count, first.as_str()), (2, "a"));
    assert_eq!((plan.stale, plan.without_range), (Some(0), 0));
    assert_eq!(allocations(&planned(&pool, &nodes)), allocations(&pool));
}

#[test]
fn conditions_that_are_not_kept_are_sent_only_with_what_is_written_anyway() {
    use operator::pool::{Pool, World};
    let mut pool = seed_pool();
    let plan = |pool: &api::ippool::IPPool, nodes| {
        pool.plan(&World {
            nodes,
            now: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
                k8s_openapi::jiff::Timestamp::UNIX_EPOCH,
            ),
            conditions_kept: false,
            said: None,
        })
    };
    let (none, nodes) = (Nodes::new(), workers(&["host-a"]));
    assert_eq!(plan(&pool, &none).status, None);
    let mut status = plan(&pool, &nodes).status.unwrap();
    assert_eq!((status.allocations.len(), status.conditions.len()), (1, 3));
    status.conditions.clear();
    pool.status = Some(status);
    assert_eq!(plan(&pool, &nodes).status, None);
}

/// A plan that were quadratic in nodes would take minutes here.
#[test]
fn twenty_thousand_nodes_are_planned() {
    let names: Vec<String> = (0..20_000).map(|i| format!("node-{i:05}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let nodes = workers(&names);
    let roomy = planned(
        &pool(&json!({"subnet": "10.0.0.0/8", "perNodeBlockSize": 24, "nodeSelector": worker_selector()})),
        &nodes,
    );
    assert_eq!(allocations(&roomy).len(), 20_000);
    assert_eq!(plan(&roomy, &nodes, None).status, None);
    let mut relaid = roomy.clone();
    relaid.spec.per_node_block_size = 25;
    let relaid = plan(&relaid, &workers(&names[..10_000]), None);
    assert!(relaid.stale > Some(19_000));
    let full = pool(&json!({"subnet": "10.0.0.0/16", "perNodeBlockSize": 24}));
    assert_eq!(plan(&full, &nodes, None).without_range, 20_000 - 65_534 / 24);
}

/// Somebody edited the status. The conditions name entries in the order in which they are written, not in that in which they
/// were found: else they'd be written a second time.
#[test]
fn entries_that_are_not_sorted_are_sorted_in_one_write() {
    for spec in [
        json!({"subnet": "79.0.0.0/24", "perNodeBlockSize": 16}),
        json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 16}),
    ] {
        let mut edited = pool(&spec);
        let held = [
            entry("z", "10.0.0.1", "10.0.0.16"),
            entry("y", "10.0.0.1", "10.0.0.16"),
            entry("x", "10.0.0.1", "10.0.0.16"),
            entry("a", "10.0.0.18", "10.0.0.33"),
        ];
        edited.status = Some(serde_json::from_value(json!({"allocations": held})).unwrap());
        let nodes = workers(&["a"]);
        let sorted = planned(&edited, &nodes);
        assert!(allocations(&sorted).is_sorted_by(|a, b| a.node_name <= b.node_name));
        assert_eq!(plan(&sorted, &nodes, None).status, None, "{spec}");
    }
}

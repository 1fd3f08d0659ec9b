//! What is planned for a CIDRPool, case by case: contract B.7 and B.8.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;
#[path = "plan_cidrpool/exclusions.rs"]
mod exclusions;
#[path = "plan_cidrpool/stands.rs"]
mod stands;
#[path = "plan_cidrpool/statics.rs"]
mod statics;

use api::cidrpool::{CIDRPool, CIDRPoolAllocation};
use common::{allocations, cidrpool, condition, node, plan, planned, prefix, worker_selector, workers};
use serde_json::{Value, json};

/// The example of the Go version's README, with nodes of ours.
fn readme() -> Value {
    json!({
        "cidr": "192.168.0.0/16", "gatewayIndex": 1, "perNodeNetworkPrefix": 24,
        "exclusions": [{"startIP": "192.168.0.10", "endIP": "192.168.0.20"}],
        "perNodeExclusions": [{"startIndex": 0, "endIndex": 10}],
        "staticAllocations": [
            {"nodeName": "host-b", "prefix": "192.168.33.0/24", "gateway": "192.168.33.10"},
            {"prefix": "192.168.1.0/24"}, {"prefix": "192.168.2.0/24"},
        ],
    })
}

fn with(changes: &Value) -> CIDRPool {
    let mut spec = json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 24, "gatewayIndex": 1});
    let changes = changes.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(changes);
    cidrpool(&spec)
}

/// The prefixes dealt to nodes of these names, in their order.
fn dealt(pool: &CIDRPool, names: &[&str]) -> Vec<CIDRPoolAllocation> {
    allocations(&planned(pool, &workers(names))).to_vec()
}

fn prefixes(pool: &CIDRPool, names: &[&str]) -> Vec<String> {
    dealt(pool, names).into_iter().map(|entry| entry.prefix).collect()
}

fn stale(pool: &CIDRPool) -> String {
    condition(pool, "StaleAllocations").2
}

#[test]
fn the_readmes_example_gets_the_status_of_the_go_version() {
    let mut nodes = workers(&["host-c", "host-a", "host-b"]);
    nodes.insert("infra".to_owned(), node("infra", "infra").into());
    let mut spec = readme();
    spec["nodeSelector"] = worker_selector();
    let planned = planned(&cidrpool(&spec), &nodes);
    let status = serde_json::to_value(planned.status.as_ref().unwrap()).unwrap();
    assert_eq!(
        status["allocations"],
        json!([
            {"nodeName": "host-a", "gateway": "192.168.0.1", "prefix": "192.168.0.0/24"},
            {"nodeName": "host-b", "gateway": "192.168.33.10", "prefix": "192.168.33.0/24"},
            {"nodeName": "host-c", "gateway": "192.168.3.1", "prefix": "192.168.3.0/24"},
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
fn a_new_node_gets_the_lowest_free_prefix_wherever_its_name_sorts() {
    let pool = planned(&with(&json!({})), &workers(&["b", "d"]));
    assert_eq!(
        dealt(&pool, &["a", "b", "c", "d"]),
        [
            prefix("a", "10.0.2.0/24", "10.0.2.1"),
            prefix("b", "10.0.0.0/24", "10.0.0.1"),
            prefix("c", "10.0.3.0/24", "10.0.3.1"),
            prefix("d", "10.0.1.0/24", "10.0.1.1"),
        ]
    );
}

#[test]
fn prefixes_of_every_length_and_family_have_their_gateway_at_the_index() {
    for (cidr, length, index, expected) in [
        ("10.0.0.0/30", 30, Some(2), ["10.0.0.0/30 10.0.0.2", "-"]),
        (
            "10.0.0.0/30",
            31,
            Some(0),
            ["10.0.0.0/31 10.0.0.0", "10.0.0.2/31 10.0.0.2"],
        ),
        ("10.0.0.0/30", 31, None, ["10.0.0.0/31 ", "10.0.0.2/31 "]),
        (
            "10.0.0.0/31",
            32,
            Some(0),
            ["10.0.0.0/32 10.0.0.0", "10.0.0.1/32 10.0.0.1"],
        ),
        (
            "0.0.0.0/0",
            1,
            Some(i32::MAX - 1),
            ["0.0.0.0/1 127.255.255.254", "128.0.0.0/1 255.255.255.254"],
        ),
        (
            "fd00::/126",
            127,
            Some(1),
            ["fd00::/127 fd00::1", "fd00::2/127 fd00::3"],
        ),
        (
            "fd00::/127",
            128,
            Some(0),
            ["fd00::/128 fd00::", "fd00::1/128 fd00::1"],
        ),
        (
            "fd00::/48",
            120,
            Some(255),
            ["fd00::/120 fd00::ff", "fd00::100/120 fd00::1ff"],
        ),
        ("8000::/1", 2, Some(1), ["8000::/2 8000::1", "c000::/2 c000::1"]),
        ("fd00::/48", 64, None, ["fd00::/64 ", "fd00:0:0:1::/64 "]),
    ] {
        let pool = cidrpool(&json!({"cidr": cidr, "perNodeNetworkPrefix": length, "gatewayIndex": index}));
        let entries = dealt(&pool, &["a", "b"]);
        let text = |i: usize| {
            entries
                .get(i)
                .map_or("-".to_owned(), |e| format!("{} {}", e.prefix, e.gateway))
        };
        assert_eq!([text(0), text(1)], expected, "{cidr} {length} {index:?}");
    }
}

#[test]
fn without_a_gateway_an_entry_has_no_such_field() {
    let planned = planned(&with(&json!({"gatewayIndex": null})), &workers(&["a"]));
    let status = serde_json::to_value(planned.status.unwrap()).unwrap();
    assert_eq!(
        status["allocations"],
        json!([{"nodeName": "a", "prefix": "10.0.0.0/24"}])
    );
}

#[test]
fn no_room_is_said_once_for_each_node_and_others_are_served() {
    let pool = with(&json!({"cidr": "10.0.0.0/23",
        "staticAllocations": [{"nodeName": "z", "prefix": "10.0.1.0/24"}]}));
    let nodes = workers(&["a", "b", "c", "z"]);
    let first = plan(&pool, &nodes, None);
    let said: Vec<_> = first
        .notices
        .iter()
        .map(|n| (n.reason, n.message.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            (
                "NoFreePrefixes",
                "failed to allocated prefix for Node: b, no free prefixes"
            ),
            (
                "NoFreePrefixes",
                "failed to allocated prefix for Node: c, no free prefixes"
            ),
        ]
    );
    let pool = planned(&pool, &nodes);
    assert_eq!(
        prefixes(&pool, &["a", "b", "c", "z"]),
        ["10.0.0.0/24", "10.0.1.0/24"]
    );
    assert_eq!(
        condition(&pool, "NodesAllocated"),
        (
            "False".to_owned(),
            "NoFreePrefixes".to_owned(),
            "no free range for 2 nodes: b, c".to_owned()
        )
    );
    assert_eq!(plan(&pool, &nodes, Some(&first.said)).notices, []);
    assert_eq!(plan(&pool, &nodes, None).notices, [], "after a restart");
}

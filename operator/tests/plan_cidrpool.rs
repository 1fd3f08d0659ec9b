//! What is planned for a CIDRPool, case by case: contract B.7 and B.8.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;
#[path = "plan_cidrpool/statics.rs"]
mod statics;

use api::cidrpool::{CIDRPool, CIDRPoolAllocation};
use common::{
    allocations, cidrpool, condition, node, plan, planned, prefix, with_entries, worker_selector, workers,
};
use operator::nodes::Nodes;
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

/// Contract B.7: a prefix is skipped only if both kinds together cover it from the network address to the last usable one.
#[test]
fn a_prefix_that_is_excluded_as_a_whole_is_skipped() {
    let exclusion = |first: &str, last: &str| json!({"startIP": first, "endIP": last});
    let index = |first: u8, last: u8| json!({"startIndex": first, "endIndex": last});
    for (ranges, indexes, expected) in [
        (
            json!([exclusion("10.0.0.0", "10.0.0.255")]),
            json!([]),
            "10.0.1.0/24",
        ),
        (
            json!([exclusion("10.0.0.0", "10.0.0.254")]),
            json!([]),
            "10.0.1.0/24",
        ),
        (
            json!([exclusion("10.0.0.1", "10.0.0.254")]),
            json!([]),
            "10.0.0.0/24",
        ),
        (
            json!([exclusion("10.0.0.0", "10.0.0.253")]),
            json!([]),
            "10.0.0.0/24",
        ),
        (
            json!([exclusion("10.0.0.0", "10.0.9.255")]),
            json!([]),
            "10.0.10.0/24",
        ),
        (
            json!([exclusion("10.0.0.0", "10.0.9.7")]),
            json!([]),
            "10.0.9.0/24",
        ),
        // Entries that meet or overlap count as one.
        (
            json!([
                exclusion("10.0.0.100", "10.0.0.254"),
                exclusion("10.0.0.0", "10.0.0.120")
            ]),
            json!([]),
            "10.0.1.0/24",
        ),
        (
            json!([
                exclusion("10.0.0.128", "10.0.0.254"),
                exclusion("10.0.0.0", "10.0.0.127")
            ]),
            json!([]),
            "10.0.1.0/24",
        ),
        (
            json!([exclusion("10.0.0.11", "10.0.1.255")]),
            json!([index(0, 10)]),
            "10.0.2.0/24",
        ),
        (
            json!([exclusion("10.0.0.12", "10.0.1.255")]),
            json!([index(0, 10)]),
            "10.0.0.0/24",
        ),
    ] {
        let pool = with(&json!({"exclusions": ranges, "perNodeExclusions": indexes}));
        assert_eq!(prefixes(&pool, &["a"]), [expected], "{ranges} {indexes}");
    }
    let nothing = with(&json!({"perNodeExclusions": [index(0, 254)]}));
    assert_eq!(prefixes(&nothing, &["a"]), [""; 0]);
}

/// With a step for each prefix this test would not end.
#[test]
fn pools_with_2_to_the_64_excluded_prefixes_are_planned_at_once() {
    let all = json!([{"startIP": "fd52:2eb5:44::", "endIP": "fd52:2eb5:44:ffff:ffff:ffff:ffff:ffff"}]);
    let but_one = json!([{"startIP": "fd52:2eb5:44::", "endIP": "fd52:2eb5:44:ffff:ffff:ffff:fffe:ffff"}]);
    let every_index = json!([{"startIndex": 0, "endIndex": 65535}]);
    let spec = |ranges: &Value, indexes: &Value| {
        cidrpool(
            &json!({"cidr": "fd52:2eb5:44::/48", "perNodeNetworkPrefix": 112, "exclusions": ranges,
            "perNodeExclusions": indexes,
            "staticAllocations": [{"nodeName": "own", "prefix": "fd52:2eb5:44::7:0/112"}]}),
        )
    };
    let none = json!([]);
    let own = "fd52:2eb5:44::7:0/112";
    assert_eq!(prefixes(&spec(&all, &none), &["a", "own"]), [own]);
    assert_eq!(prefixes(&spec(&none, &every_index), &["a", "own"]), [own]);
    assert_eq!(
        prefixes(&spec(&but_one, &none), &["a", "b", "own"]),
        ["fd52:2eb5:44:ffff:ffff:ffff:ffff:0/112", own]
    );
}

#[test]
fn static_prefixes_are_dealt_to_no_other_node_and_to_theirs_only_if_it_is_selected() {
    let statics = json!([{"nodeName": "d", "prefix": "10.0.0.0/24"}, {"prefix": "10.0.1.0/24"},
        {"nodeName": "infra", "prefix": "10.0.2.0/24"}, {"nodeName": "nobody", "prefix": "10.0.3.0/24"}]);
    let pool = with(&json!({"staticAllocations": statics, "nodeSelector": worker_selector()}));
    let mut nodes: Nodes = workers(&["a", "b"]);
    nodes.insert("infra".to_owned(), node("infra", "infra").into());
    let pool = planned(&pool, &nodes);
    assert_eq!(
        allocations(&pool),
        [
            prefix("a", "10.0.4.0/24", "10.0.4.1"),
            prefix("b", "10.0.5.0/24", "10.0.5.1")
        ]
    );
    nodes.extend(workers(&["d", "infra"]));
    let pool = planned(&pool, &nodes);
    assert_eq!(
        allocations(&pool)[2..],
        [
            prefix("d", "10.0.0.0/24", "10.0.0.1"),
            prefix("infra", "10.0.2.0/24", "10.0.2.1")
        ]
    );
    assert_eq!(condition(&pool, "StaleAllocations").0, "False");
}

#[test]
fn what_stands_is_kept_byte_for_byte_and_named_when_it_no_longer_fits() {
    let pool = with(&json!({
        "cidr": "fd00::/112", "perNodeNetworkPrefix": 120, "nodeSelector": worker_selector(),
        "exclusions": [{"startIP": "fd00::100", "endIP": "fd00::1ff"}],
        "staticAllocations": [
            {"nodeName": "moved", "prefix": "fd00::2200/120"}, {"nodeName": "other", "prefix": "fd00::2300/120"},
            {"prefix": "fd00::2400/120"}, {"nodeName": "own", "prefix": "fd00::2500/120", "gateway": "fd00::2577"}],
    }));
    let held = vec![
        prefix("excluded", "fd00::100/120", "fd00::101"),
        prefix("fits", "FD00:0::2000/120", "fd00:0::2001"),
        prefix("gone", "fd00::200/120", "fd00::201"),
        prefix("kept", "fd00::2400/120", "fd00::2401"),
        prefix("length", "fd00::400/121", "fd00::401"),
        prefix("moved", "fd00::500/120", "fd00::501"),
        prefix("outside", "fd01::/120", "fd01::1"),
        prefix("over", "fd00::600/120", "fd00::601"),
        prefix("over-2", "fd00::680/121", "fd00::681"),
    ];
    let also_held = vec![
        prefix("gateway", "fd00::700/120", "fd00::702"),
        prefix("no-gateway", "fd00::800/120", ""),
        prefix("own", "fd00::2500/120", "fd00::2501"),
        prefix("taken", "fd00::2300/120", "fd00::2301"),
        prefix("twice", "fd00::900/120", "fd00::901"),
        prefix("twice", "fd00::a00/120", "fd00::a01"),
        prefix("unselected", "fd00::b00/120", "fd00::b01"),
        prefix("v4", "10.0.0.0/24", "10.0.0.1"),
    ];
    let mut nodes = workers(&[
        "excluded",
        "fits",
        "gateway",
        "kept",
        "length",
        "moved",
        "new",
        "no-gateway",
        "outside",
        "over",
        "over-2",
        "own",
        "taken",
        "twice",
        "v4",
    ]);
    nodes.insert("unselected".to_owned(), node("unselected", "infra").into());
    let expected = [
        (
            &held,
            8,
            vec![
                "excluded (excluded as a whole)",
                "gone (node is gone)",
                "kept (kept from all nodes by a static allocation)",
                "length (not a prefix of the current perNodeNetworkPrefix)",
                "moved (not its static allocation fd00::2200/120)",
                "outside (outside the cidr)",
                "over (shares addresses with the entry of over-2)",
                "over-2 (shares addresses with the entry of over)",
            ],
        ),
        (
            &also_held,
            7,
            vec![
                "gateway (its gateway is not the spec's, fd00::701)",
                "no-gateway (its gateway is not the spec's, fd00::801)",
                "own (its gateway is not the spec's, fd00::2577)",
                "taken (the static allocation of other)",
                "twice (a second entry of this node)",
                "unselected (node is no longer selected)",
                "v4 (outside the cidr)",
            ],
        ),
    ];
    for (held, count, reasons) in expected {
        let pool = with_entries(pool.clone(), held);
        assert_eq!(plan(&pool, &nodes, None).stale, Some(count));
        let pool = planned(&pool, &nodes);
        let kept: Vec<_> = allocations(&pool)
            .iter()
            .filter(|entry| held.contains(entry))
            .collect();
        assert_eq!(kept, held.iter().collect::<Vec<_>>());
        for reason in reasons {
            assert!(stale(&pool).contains(reason), "{reason} in {}", stale(&pool));
        }
        assert!(!stale(&pool).contains("fits ("));
    }
    let mut without = pool.clone();
    without.spec.gateway_index = None;
    let held = [prefix("fits", "fd00::3000/120", "fd00::3001")];
    let without = planned(&with_entries(without, &held), &nodes);
    assert!(stale(&without).contains("fits (it has a gateway, and the spec says none)"));
}

/// The node of such an entry goes on with the prefix that it said before, and only the node knows which that is.
#[test]
fn nothing_is_dealt_while_an_entry_says_no_prefix() {
    let statics = json!({"staticAllocations": [{"nodeName": "own", "prefix": "10.0.9.0/24"}]});
    let nodes = workers(&["a", "b", "new", "own"]);
    let standing = planned(&with(&statics), &workers(&["a", "b"]));
    for text in [
        "what",
        "10.0.0.1/24",
        "10.0.0.0",
        "10.0.0.0/33",
        "10.0.0.0/24 ",
        "",
    ] {
        let mut edited = standing.clone();
        edited.status.as_mut().unwrap().allocations[0].prefix = text.to_owned();
        let plan = plan(&edited, &nodes, None);
        assert_eq!((plan.without_range, plan.stale), (2, Some(1)));
        assert_eq!(plan.notices[0].reason, "UnreadableAllocations");
        let planned = planned(&edited, &nodes);
        assert_eq!(allocations(&planned), allocations(&edited));
        assert_eq!(
            condition(&planned, "NodesAllocated").2,
            format!(
                "no range is dealt until an administrator restores or removes 1 entry without a readable range: a ({text:?})"
            )
        );
        assert!(stale(&planned).contains("a (not a network prefix)"));
        let restored = with_entries(planned, allocations(&standing));
        assert_eq!(dealt(&restored, &["a", "b", "new", "own"]).len(), 4);
    }
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

#[test]
fn an_invalid_spec_keeps_what_stands_and_deals_nothing() {
    let valid = planned(&with(&json!({})), &workers(&["a"]));
    let mut invalid = valid.clone();
    invalid.spec.gateway_index = Some(300);
    let nodes = workers(&["a", "b"]);
    let plan = plan(&invalid, &nodes, None);
    let text = "spec.gatewayIndex: Invalid value: 300: gateway index is outside of the node prefix";
    assert_eq!(
        (plan.notices[0].reason, plan.notices[0].message.as_str()),
        ("InvalidSpec", text)
    );
    assert_eq!((plan.without_range, plan.stale), (1, None));
    let planned = planned(&invalid, &nodes);
    assert_eq!(allocations(&planned), allocations(&valid));
    assert_eq!(condition(&planned, "SpecValid").2, text);
}

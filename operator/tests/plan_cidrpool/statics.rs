//! Prefixes that are kept for certain nodes.

use operator::nodes::Nodes;
use serde_json::{Value, json};

use crate::common::{
    allocations, condition, node, plan, planned, prefix, with_entries, worker_selector, workers,
};
use crate::{dealt, with};

/// Contract B.7.4: who names a prefix means it. What stands is not even stale, so nothing flips to and fro.
#[test]
fn a_static_prefix_is_given_although_it_is_excluded_as_a_whole() {
    let pool = with(&json!({
        "exclusions": [{"startIP": "10.0.0.0", "endIP": "10.0.9.255"}],
        "staticAllocations": [{"nodeName": "b", "prefix": "10.0.5.0/24", "gateway": "10.0.5.254"}],
    }));
    let nodes = workers(&["a", "b"]);
    let pool = planned(&pool, &nodes);
    assert_eq!(
        allocations(&pool),
        [
            prefix("a", "10.0.10.0/24", "10.0.10.1"),
            prefix("b", "10.0.5.0/24", "10.0.5.254")
        ]
    );
    let again = plan(&pool, &nodes, None);
    assert_eq!((again.stale, again.status), (Some(0), None));
}

/// The Go version would take the prefix from the node that has it.
#[test]
fn a_static_prefix_that_another_node_holds_is_given_to_nobody_else() {
    let mut pool = planned(&with(&json!({})), &workers(&["a", "gone"]));
    let held = allocations(&pool).to_vec();
    for holder in ["10.0.0.0/24", "10.0.1.0/24"] {
        pool.spec.static_allocations =
            serde_json::from_value(json!([{"nodeName": "b", "prefix": holder}])).unwrap();
        let nodes = workers(&["a", "b", "c"]);
        let plan = plan(&pool, &nodes, None);
        let said: Vec<_> = plan
            .notices
            .iter()
            .map(|n| (n.reason, n.message.as_str()))
            .collect();
        assert_eq!(
            said,
            [(
                "NoFreePrefixes",
                "failed to allocated prefix for Node: b, no free prefixes"
            )]
        );
        let planned = planned(&pool, &nodes);
        assert_eq!(
            allocations(&planned),
            [
                held[0].clone(),
                prefix("c", "10.0.2.0/24", "10.0.2.1"),
                held[1].clone()
            ]
        );
        assert_eq!(
            condition(&planned, "NodesAllocated").2,
            "no free range for 1 node: b"
        );
    }
    // Also if what is held has another length.
    let held = [prefix("a", "10.0.4.0/25", "")];
    let pool = with(&json!({"staticAllocations": [{"nodeName": "b", "prefix": "10.0.4.0/24"}]}));
    assert_eq!(dealt(&with_entries(pool, &held), &["a", "b"]), held);
}

/// A plan that were quadratic in nodes or static allocations would take minutes here.
#[test]
fn twenty_thousand_nodes_with_prefixes_of_their_own_are_planned() {
    let names: Vec<String> = (0..20_000).map(|i| format!("node-{i:05}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let nodes = workers(&names);
    let statics: Vec<Value> = (0..20_000)
        .map(|i| json!({"nodeName": names[i], "prefix": format!("10.{}.{}.0/24", i / 256, i % 256)}))
        .collect();
    let pool = with(&json!({"cidr": "10.0.0.0/8", "staticAllocations": statics}));
    let pool = planned(&pool, &nodes);
    assert_eq!(allocations(&pool).len(), 20_000);
    let again = plan(&pool, &nodes, None);
    assert_eq!((again.stale, again.status), (Some(0), None));
    let mut dynamic = pool.clone();
    dynamic.spec.static_allocations.clear();
    assert_eq!(plan(&dynamic, &nodes, None).stale, Some(0));
    let half = with(&json!({"cidr": "10.0.0.0/8", "staticAllocations": statics[10_000..]}));
    let half = planned(&half, &nodes);
    assert_eq!(allocations(&half)[9_999].prefix, "10.39.15.0/24");
    assert_eq!(condition(&half, "NodesAllocated").0, "True");
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

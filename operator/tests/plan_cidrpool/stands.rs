//! What stands in a status already, whatever became of spec and nodes.

use serde_json::json;

use crate::common::{
    allocations, condition, node, plan, planned, prefix, with_entries, worker_selector, workers,
};
use crate::{dealt, stale, with};

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

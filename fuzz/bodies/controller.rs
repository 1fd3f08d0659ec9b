//! A pool as the API server has it: what the controller plans for it, and what nodes make of that.
//!
//! Run by the fuzz targets and, over the committed corpus, by `operator/tests/repository`. The nodes are always those of
//! [`nodes`]: a file of the corpus is one pool, as `kubectl get -o json` prints it.
#![allow(dead_code, reason = "each target uses a part")]

use api::cidrpool::CIDRPool;
use api::cidrpool_config::CidrPoolConfig;
use api::ippool::IPPool;
use api::ippool_config::IpPoolConfig;
use api::node_pool::{Holder, NodeView, View, allocated_prefix, allocated_range};
use api::range::Range;
use api::selector::NodeLabels;
use api::warnings;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use operator::nodes::Nodes;
use operator::pool::{Plan, Pool, World};

/// A pool of blocks.
pub(crate) fn ippool(input: &[u8]) {
    let Ok(pool) = serde_json::from_slice::<IPPool>(input) else {
        return;
    };
    let valid = IpPoolConfig::parse(&pool);
    if let Ok(config) = &valid {
        one_line_each(&warnings::of_ippool(&pool.spec, config));
    }
    check(pool, valid.is_ok(), |status| {
        let entries = status.allocations.iter();
        entries
            .map(|entry| Entry {
                node: entry.node_name.clone(),
                range: allocated_range(entry),
                text: format!("{entry:?}"),
            })
            .collect()
    });
}

/// A pool of prefixes.
pub(crate) fn cidrpool(input: &[u8]) {
    let Ok(pool) = serde_json::from_slice::<CIDRPool>(input) else {
        return;
    };
    let valid = CidrPoolConfig::parse(&pool);
    if let Ok(config) = &valid {
        one_line_each(&warnings::of_cidrpool(config));
    }
    check(pool, valid.is_ok(), |status| {
        let entries = status.allocations.iter();
        entries
            .map(|entry| Entry {
                node: entry.node_name.clone(),
                range: allocated_prefix(entry).map(|prefix| prefix.addresses()),
                text: format!("{entry:?}"),
            })
            .collect()
    });
}

/// Clients print them as they come.
fn one_line_each(warnings: &[String]) {
    for warning in warnings {
        assert!(!warning.contains(['\n', '\r']), "{warning:?}");
    }
}

/// An entry of `status.allocations`.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    node: String,
    /// What it says, if it says a range.
    range: Option<Range>,
    /// All of it.
    text: String,
}

/// The invariants of a plan, whatever the pool.
fn check<K: Pool + NodeView>(mut pool: K, valid: bool, entries: fn(&K::Status) -> Vec<Entry>) {
    let nodes = nodes();
    let before = pool.status().map(entries).unwrap_or_default();
    let plan = planned(&pool, &nodes);
    assert_eq!(
        plan,
        planned(&pool, &nodes),
        "the same pool and nodes, another plan"
    );
    let Some(status) = plan.status else {
        return;
    };
    let dealt = dealt(&before, entries(&status));
    assert!(valid || dealt.is_empty(), "an invalid spec deals {dealt:?}");
    for (i, new) in dealt.iter().enumerate() {
        assert!(nodes.contains_key(&new.node), "{new:?} is for no node");
        let range = new.range.unwrap_or_else(|| panic!("{new:?} says no range"));
        for other in before.iter().chain(&dealt[..i]) {
            assert_ne!(new.node, other.node, "a second range for one node");
            let shared = other.range.and_then(|other| other.intersection(&range));
            assert_eq!(shared, None, "{new:?} and {other:?}");
        }
    }
    *pool.status_mut() = Some(status);
    assert_eq!(
        planned(&pool, &nodes).status,
        None,
        "what was planned is planned again"
    );
    for new in &dealt {
        look(&pool, new);
    }
}

/// What there is besides what stood before. All of that must be there still.
fn dealt(before: &[Entry], mut after: Vec<Entry>) -> Vec<Entry> {
    assert!(
        after.is_sorted_by(|a, b| a.node <= b.node),
        "not sorted: {after:?}"
    );
    for entry in before {
        let Some(at) = after.iter().position(|other| other == entry) else {
            panic!("{entry:?} stood, and is gone or changed: {after:?}");
        };
        after.remove(at);
    }
    after
}

/// The node hands out addresses of its range and no others, and never the gateway's.
fn look<K: NodeView>(pool: &K, new: &Entry) {
    let View::Current(mine) = pool.view(&new.node, None) else {
        panic!("{new:?} can't be followed: {:?}", pool.view(&new.node, None));
    };
    assert!(
        new.range.is_some_and(|range| range.contains_range(&mine.range)),
        "{mine:?}"
    );
    let neighbours = pool.neighbours(&new.node);
    for (first, last) in mine.available().iter() {
        let free = Range::from_numbers(mine.range.family(), first, last);
        assert!(free.is_some_and(|free| mine.range.contains_range(&free)));
        for ip in free.iter().flat_map(|free| [free.first(), free.last()]) {
            assert_ne!(Some(ip), mine.gateway);
            assert_eq!(neighbours.holder_of(ip), Holder::Nobody, "{ip} is another node's");
        }
    }
}

fn planned<K: Pool>(pool: &K, nodes: &Nodes) -> Plan<K::Status> {
    pool.plan(&World {
        nodes,
        now: Time(Timestamp::UNIX_EPOCH),
        conditions_kept: true,
        said: None,
    })
}

/// Three workers, one node of another role, one without any.
fn nodes() -> Nodes {
    let role = |role: &str| ("kubernetes.io/role".to_owned(), role.to_owned());
    [
        ("a", vec![role("worker"), ("gpus".to_owned(), "8".to_owned())]),
        ("b", vec![role("worker")]),
        ("c", vec![role("worker")]),
        ("infra", vec![role("infra")]),
        ("plain", vec![]),
    ]
    .into_iter()
    .map(|(name, labels)| {
        let name = name.to_owned();
        let labels = labels.into_iter().collect();
        (name.clone(), NodeLabels { name, labels }.into())
    })
    .collect()
}

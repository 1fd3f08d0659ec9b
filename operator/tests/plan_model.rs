//! The plan for an IPPool against a model that goes block by block, and the invariants under any sequence of events.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use api::ippool::{Allocation, IPPool};
use common::{allocations, node, plan, planned, pool, worker_selector};
use operator::nodes::Nodes;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Subnets and block sizes: tiny ones, point-to-point and single addresses, the ends of the address space, huge blocks.
const LAYOUTS: [(&str, i64); 18] = [
    ("10.0.0.0/27", 4),
    ("10.0.0.0/27", 7),
    ("10.0.0.0/27", 1),
    ("10.0.0.0/28", 14),
    ("10.0.0.8/30", 1),
    ("10.0.0.6/31", 1),
    ("10.0.0.6/31", 2),
    ("10.0.0.9/32", 1),
    ("255.255.255.224/27", 5),
    ("0.0.0.0/0", 1 << 30),
    ("fd00::/123", 4),
    ("fd00::/127", 1),
    ("fd00::2/127", 2),
    ("fd00::9/128", 1),
    ("fd00::/64", 1 << 62),
    ("fd00::/61", i64::MAX),
    ("fd00::/60", 1 << 62),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffe0/123", 6),
];

const NODES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// First and last address, inclusive, as integers, and whether they are IPv6.
type Span = (bool, u128, u128);

fn number(ip: IpAddr) -> (bool, u128) {
    match ip {
        IpAddr::V4(ip) => (false, u32::from(ip).into()),
        IpAddr::V6(ip) => (true, ip.into()),
    }
}

fn address(v6: bool, n: u128) -> IpAddr {
    if v6 {
        Ipv6Addr::from(n).into()
    } else {
        Ipv4Addr::from(u32::try_from(n).unwrap()).into()
    }
}

/// The addresses that hosts of a subnet can have.
fn usable(subnet: &str) -> Span {
    let (base, length) = subnet.split_once('/').unwrap();
    let (v6, base) = number(base.parse().unwrap());
    let host_bits = if v6 { 128 } else { 32 } - length.parse::<u32>().unwrap();
    let mask = if host_bits == 128 {
        u128::MAX
    } else {
        (1_u128 << host_bits) - 1
    };
    let (first, last) = (base & !mask, base | mask);
    match host_bits {
        0 | 1 => (v6, first, last),
        _ if v6 => (v6, first + 1, last),
        _ => (v6, first + 1, last - 1),
    }
}

fn span(allocation: &Allocation) -> Option<Span> {
    let (v6, first) = number(allocation.start_ip.parse().ok()?);
    let (same, last) = number(allocation.end_ip.parse().ok()?);
    (v6 == same && first <= last).then_some((v6, first, last))
}

fn intersect(a: Span, b: Span) -> bool {
    a.0 == b.0 && a.1 <= b.2 && b.1 <= a.2
}

/// Whether every address of a block is in one of `excluded`: if one isn't, then the first, or one behind an exclusion.
fn all_excluded(block: Span, excluded: &[(u128, u128)]) -> bool {
    let candidates = excluded.iter().filter_map(|(_, last)| last.checked_add(1));
    !std::iter::once(block.1)
        .chain(candidates)
        .filter(|n| (block.1..=block.2).contains(n))
        .any(|n| !excluded.iter().any(|(first, last)| (*first..=*last).contains(&n)))
}

/// What is allocated after a plan: nothing more while an entry says no range; else for each node in turn, every block from
/// the lowest on is tried.
fn model(pool: &IPPool, selected: &[&str]) -> Vec<Allocation> {
    let (v6, first, last) = usable(&pool.spec.subnet);
    let size = u128::try_from(pool.spec.per_node_block_size).unwrap();
    let gateway = pool.spec.gateway.as_ref().map(|g| number(g.parse().unwrap()));
    let mut result = allocations(pool).to_vec();
    let readable = result.iter().all(|a| span(a).is_some());
    for name in selected.iter().filter(|_| readable) {
        if result.iter().any(|a| a.node_name == *name) {
            continue;
        }
        let mut start = first;
        // The block must end inside.
        while let Some(end) = start.checked_add(size - 1).filter(|end| *end <= last) {
            let block = (v6, start, end);
            let mut excluded: Vec<(u128, u128)> = Vec::new();
            for e in &pool.spec.exclusions {
                let (from, to) = (
                    number(e.start_ip.parse().unwrap()).1,
                    number(e.end_ip.parse().unwrap()).1,
                );
                excluded.push((from, to));
            }
            for e in &pool.spec.per_node_exclusions {
                let at = |index: i32| start.saturating_add(u128::try_from(index).unwrap());
                excluded.push((at(e.start_index), at(e.end_index)));
            }
            let held = result
                .iter()
                .filter_map(span)
                .any(|other| intersect(block, other));
            let just_gateway = size == 1 && gateway == Some((v6, start));
            if !held && !just_gateway && !all_excluded(block, &excluded) {
                result.push(common::entry(
                    name,
                    &address(v6, start).to_string(),
                    &address(v6, end).to_string(),
                ));
                break;
            }
            let Some(next) = start.checked_add(size) else {
                break;
            };
            start = next;
        }
    }
    result.sort_by(|a, b| a.node_name.cmp(&b.node_name));
    result
}

fn spec() -> impl Strategy<Value = Value> {
    let offset = 0_u128..40;
    (
        prop::sample::select(&LAYOUTS[..]),
        any::<bool>(),
        prop::option::of(offset.clone()),
        prop::collection::vec((offset.clone(), offset, any::<bool>()), 0..3),
        prop::collection::vec((0_i32..8, 0_i32..8), 0..2),
    )
        .prop_map(|((subnet, size), selector, gateway, exclusions, indexes)| {
            let (v6, first, last) = usable(subnet);
            let at = |offset: u128| first.saturating_add(offset).min(last);
            let exclusions: Vec<Value> = exclusions
                .into_iter()
                .map(|(a, b, far)| {
                    let (a, b) = (at(a), if far { last - (last - first) / 3 } else { at(b) });
                    json!({"startIP": address(v6, a.min(b)), "endIP": address(v6, a.max(b))})
                })
                .collect();
            let top = i32::try_from(size - 1).unwrap_or(i32::MAX);
            let indexes: Vec<Value> = indexes
                .into_iter()
                .map(|(a, b)| json!({"startIndex": a.min(b).min(top), "endIndex": a.max(b).min(top)}))
                .collect();
            let mut spec = json!({"subnet": subnet, "perNodeBlockSize": size, "exclusions": exclusions,
                "perNodeExclusions": indexes});
            if let Some(gateway) = gateway {
                spec["gateway"] = json!(address(v6, at(gateway)));
            }
            if selector {
                spec["nodeSelector"] = worker_selector();
            }
            spec
        })
}

/// What can happen to a cluster.
#[derive(Clone, Debug)]
enum Happening {
    Node(&'static str, &'static str),
    NodeGone(&'static str),
    Spec(Value),
    InvalidSpec,
    Damage(usize, Damage),
    Repair,
}

/// How somebody who edits the status by hand makes an entry say no range.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Start,
    End,
    Both,
    Family,
}

fn happening() -> impl Strategy<Value = Happening> {
    let name = || prop::sample::select(&NODES[..]);
    prop_oneof![
        6 => (name(), prop::sample::select(&["worker", "infra"][..])).prop_map(|(n, role)| Happening::Node(n, role)),
        2 => name().prop_map(Happening::NodeGone),
        2 => spec().prop_map(Happening::Spec),
        1 => Just(Happening::InvalidSpec),
        1 => (0_usize..6, prop::sample::select(&[Damage::Start, Damage::End, Damage::Both, Damage::Family][..]))
            .prop_map(|(i, how)| Happening::Damage(i, how)),
        1 => Just(Happening::Repair),
    ]
}

struct Cluster {
    nodes: Nodes,
    pool: IPPool,
    /// Entries as they were before they were damaged, by node: the daemons go on with them.
    undamaged: BTreeMap<String, Allocation>,
}

impl Cluster {
    fn new(spec: &Value) -> Self {
        Self {
            nodes: Nodes::new(),
            pool: pool(spec),
            undamaged: BTreeMap::new(),
        }
    }

    fn happen(&mut self, happening: &Happening) {
        match happening {
            Happening::Node(name, role) => {
                self.nodes.insert((*name).to_owned(), node(name, role));
            }
            Happening::NodeGone(name) => {
                self.nodes.remove(*name);
            }
            Happening::Spec(spec) => self.pool.spec = serde_json::from_value(spec.clone()).unwrap(),
            Happening::InvalidSpec => "nonsense".clone_into(&mut self.pool.spec.subnet),
            Happening::Damage(i, how) => {
                if let Some(entry) = self.entries().get(*i).cloned() {
                    let entry = self
                        .undamaged
                        .entry(entry.node_name.clone())
                        .or_insert(entry)
                        .clone();
                    self.entries()[*i] = damaged(entry, *how);
                }
            }
            Happening::Repair => {
                let mut undamaged = std::mem::take(&mut self.undamaged);
                for entry in self.entries() {
                    if let Some(undamaged) = undamaged.remove(&entry.node_name) {
                        *entry = undamaged;
                    }
                }
            }
        }
    }

    fn entries(&mut self) -> &mut [Allocation] {
        self.pool
            .status
            .as_mut()
            .map_or(&mut [], |status| &mut status.allocations)
    }

    fn selected(&self) -> Vec<&str> {
        let all = self.pool.spec.node_selector.is_none();
        self.nodes
            .values()
            .filter(|n| all || n.labels["kubernetes.io/role"] == "worker")
            .map(|n| n.name.as_str())
            .collect()
    }
}

fn damaged(mut entry: Allocation, how: Damage) -> Allocation {
    let other_family = if entry.start_ip.contains(':') {
        "10.0.0.1"
    } else {
        "fd00::1"
    };
    let (start, end) = match how {
        Damage::Start => (Some("damaged"), None),
        Damage::End => (None, Some("10.0.0.oops")),
        Damage::Both => (Some("damaged"), Some("")),
        Damage::Family => (Some(other_family), None),
    };
    if let Some(start) = start {
        start.clone_into(&mut entry.start_ip);
    }
    if let Some(end) = end {
        end.clone_into(&mut entry.end_ip);
    }
    entry
}

/// How often each entry is there.
fn counted(allocations: &[Allocation]) -> BTreeMap<(&str, &str, &str), usize> {
    let mut counts = BTreeMap::new();
    for a in allocations {
        *counts
            .entry((a.node_name.as_str(), a.start_ip.as_str(), a.end_ip.as_str()))
            .or_default() += 1;
    }
    counts
}

fn added<'a>(before: &[Allocation], after: &'a [Allocation]) -> Vec<&'a Allocation> {
    after.iter().filter(|a| !before.contains(a)).collect()
}

proptest! {
    #[test]
    fn whatever_happens_nobody_gets_what_another_holds(
        first in spec(),
        happenings in prop::collection::vec((happening(), any::<bool>()), 1..25),
    ) {
        let mut cluster = Cluster::new(&first);
        for (happening, controller_runs) in &happenings {
            cluster.happen(happening);
            if !controller_runs {
                continue;
            }
            let before = cluster.pool.clone();
            cluster.pool = planned(&before, &cluster.nodes);
            let (held, now) = (allocations(&before), allocations(&cluster.pool));
            let (held_count, now_count) = (counted(held), counted(now));
            for (entry, count) in &held_count {
                prop_assert!(now_count.get(entry) >= Some(count), "{entry:?} is gone");
            }
            let new = added(held, now);
            prop_assert_eq!(held.len() + new.len(), now.len());
            for (i, fresh) in new.iter().enumerate() {
                let block = span(fresh).unwrap();
                let others = held.iter().chain(new[..i].iter().copied()).chain(cluster.undamaged.values());
                for other in others {
                    prop_assert!(span(other).is_none_or(|other| !intersect(block, other)), "{fresh:?} and {other:?}");
                }
            }
            prop_assert!(now.is_sorted_by(|a, b| a.node_name <= b.node_name));
            prop_assert_eq!(plan(&cluster.pool, &cluster.nodes, None).status, None, "a second plan does nothing");
            let expected = if cluster.pool.spec.subnet == "nonsense" {
                let mut kept = held.to_vec();
                kept.sort_by(|a, b| a.node_name.cmp(&b.node_name));
                kept
            } else {
                model(&before, &cluster.selected())
            };
            prop_assert_eq!(now, &expected[..]);
        }
    }

    #[test]
    fn a_controller_that_died_half_way_changes_nothing_of_the_end(
        spec in spec(),
        early in prop::collection::vec(happening(), 0..8),
        late in prop::collection::vec(happening(), 0..8),
    ) {
        let mut cluster = Cluster::new(&spec);
        for happening in &early {
            cluster.happen(happening);
        }
        cluster.pool = planned(&cluster.pool, &cluster.nodes);
        for happening in &late {
            cluster.happen(happening);
        }
        let whole = planned(&cluster.pool, &cluster.nodes);
        let held = allocations(&cluster.pool);
        let dealt = added(held, allocations(&whole));
        for done in 0..=dealt.len() {
            let mut half_way = cluster.pool.clone();
            let mut status = half_way.status.unwrap_or_default();
            status.allocations.extend(dealt[..done].iter().map(|a| (*a).clone()));
            half_way.status = Some(status);
            let end = planned(&half_way, &cluster.nodes);
            prop_assert_eq!(allocations(&end), allocations(&whole), "after {} of {}", done, dealt.len());
        }
    }
}

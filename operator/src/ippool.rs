//! Dealing blocks of an IPPool, contract B.8.

use std::collections::HashSet;

use api::interval::IntervalSet;
use api::ippool::{Allocation, IPPool, IPPoolStatus};
use api::ippool_config::IpPoolConfig;
use api::node_pool::allocated_range;
use api::pool_key::PoolKind;
use api::range::Range;
use k8s_openapi::api::core::v1::NodeSelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::findings::{Findings, Words};
use crate::misfit;
use crate::nodes::{Standing, standing};
use crate::pool::{Plan, Pool, World};

/// The words of IPPools.
pub const WORDS: Words = Words {
    no_room: "NoFreeRanges",
    no_room_event: |node| format!("failed to allocate IPs on Node: {node}"),
};

impl Pool for IPPool {
    const KIND: PoolKind = PoolKind::IpPool;
    const EVENT_SOURCE: &'static str = "IPPoolController";

    fn selector(&self) -> Option<&NodeSelector> {
        self.spec.node_selector.as_ref()
    }

    fn holds(&self, node: &str) -> bool {
        allocations(self).iter().any(|a| a.node_name == node)
    }

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |status| &status.conditions)
    }

    fn plan(&self, world: &World<'_>) -> Plan<IPPoolStatus> {
        let mut status = self.status.clone().unwrap_or_default();
        let needy = needy(self, world);
        let mut without_range = needy.nodes.len();
        let findings = match IpPoolConfig::parse(self) {
            Err(errors) => Findings::Invalid(errors.to_string()),
            Ok(config) => {
                let stale = misfit::misfits(self.selector(), world.nodes, &config, &status.allocations);
                match held(&status.allocations) {
                    Err(entries) => Findings::Unreadable { entries, stale },
                    Ok(held) => {
                        let left = deal(&mut status.allocations, &held, &needy.nodes, &config);
                        without_range = left.len();
                        Findings::Valid {
                            without_range: left,
                            stale,
                        }
                    }
                }
            }
        };
        // Stable, and by the bytes of the name as Go sorts.
        status.allocations.sort_by(|a, b| a.node_name.cmp(&b.node_name));
        let (notices, said) = findings.notices(world.said, self.conditions(), WORDS);
        findings.write(
            &mut status.conditions,
            WORDS,
            self.metadata.generation,
            &world.now,
        );
        let stands = status.allocations == allocations(self)
            && (!world.conditions_kept || status.conditions == self.conditions());
        Plan {
            status: (!stands).then_some(status),
            notices,
            said,
            without_range,
            stale: match findings {
                Findings::Valid { stale, .. } | Findings::Unreadable { stale, .. } => Some(stale.len()),
                Findings::Invalid(_) => None,
            },
            unjudged: needy.unjudged,
        }
    }
}

fn allocations(pool: &IPPool) -> &[Allocation] {
    pool.status.as_ref().map_or(&[], |status| &status.allocations)
}

/// Nodes that are to get a block, in name order.
struct Needy<'a> {
    nodes: Vec<&'a str>,
    unjudged: Option<(usize, String, api::selector::SelectorError)>,
}

fn needy<'a>(pool: &IPPool, world: &World<'a>) -> Needy<'a> {
    let served: HashSet<&str> = allocations(pool).iter().map(|a| a.node_name.as_str()).collect();
    let mut needy = Needy {
        nodes: Vec::new(),
        unjudged: None,
    };
    for (name, node) in world.nodes {
        match standing(pool.selector(), Some(node)) {
            Standing::Selected if !served.contains(name.as_str()) => needy.nodes.push(name),
            Standing::Unknown(error) => {
                needy.unjudged.get_or_insert_with(|| (0, name.clone(), error)).0 += 1;
            }
            Standing::Selected | Standing::NotSelected | Standing::Gone => {}
        }
    }
    needy
}

/// The ranges that entries hold. `Err` names the entries that say none, because somebody edited them: their nodes go on with
/// what they said before (`api::node_pool::view`), and that can't be known here.
fn held(allocations: &[Allocation]) -> Result<Vec<Range>, Vec<String>> {
    let mut ranges = Vec::with_capacity(allocations.len());
    let mut unreadable = Vec::new();
    for allocation in allocations {
        match allocated_range(allocation) {
            Some(range) => ranges.push(range),
            None => unreadable.push(format!(
                "{} ({:?} to {:?})",
                allocation.node_name, allocation.start_ip, allocation.end_ip
            )),
        }
    }
    if unreadable.is_empty() {
        Ok(ranges)
    } else {
        Err(unreadable)
    }
}

/// Gives each of `nodes` the lowest free block. Returns those that none was left for.
fn deal(
    allocations: &mut Vec<Allocation>,
    held: &[Range],
    nodes: &[&str],
    config: &IpPoolConfig,
) -> Vec<String> {
    let family = config.subnet.family();
    let held: IntervalSet = held
        .iter()
        .filter(|range| range.family() == family)
        .map(Range::numbers)
        .collect();
    let mut free = config
        .layout
        .free_blocks(&held, &config.exclusions, config.gateway);
    let mut left = Vec::new();
    for node in nodes {
        match free.next() {
            Some(block) => allocations.push(Allocation {
                node_name: (*node).to_owned(),
                start_ip: block.first().to_string(),
                end_ip: block.last().to_string(),
            }),
            None => left.push((*node).to_owned()),
        }
    }
    left
}

//! Which entries of an IPPool's status no longer fit, and why. They stand nevertheless: pods may be using them.

use std::collections::HashSet;
use std::fmt;

use api::ippool::Allocation;
use api::ippool_config::IpPoolConfig;
use api::node_pool::allocated_range;
use api::range::Range;
use k8s_openapi::api::core::v1::NodeSelector;

use crate::nodes::{Nodes, Standing, standing};

/// Why an entry doesn't fit. If there are several reasons, the first in this order is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit<'a> {
    /// Its text says no range.
    NoRange,
    /// It shares addresses with the entry of this node.
    Intersects(&'a str),
    /// An earlier entry of the same node is the one that counts.
    Second,
    NodeGone,
    NotSelected,
    OutsideSubnet,
    OffGrid,
    JustTheGateway,
    Excluded,
}

impl fmt::Display for Misfit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRange => "not a range of addresses",
            Self::Intersects(other) => return write!(f, "shares addresses with the entry of {other}"),
            Self::Second => "a second entry of this node",
            Self::NodeGone => "node is gone",
            Self::NotSelected => "node is no longer selected",
            Self::OutsideSubnet => "outside the subnet",
            Self::OffGrid => "not a block of the current perNodeBlockSize",
            Self::JustTheGateway => "just the gateway",
            Self::Excluded => "excluded as a whole",
        })
    }
}

/// Every entry that doesn't fit, in the order of the status: name of its node, and why.
pub(crate) fn misfits(
    selector: Option<&NodeSelector>,
    nodes: &Nodes,
    config: &IpPoolConfig,
    allocations: &[Allocation],
) -> Vec<(String, String)> {
    let ranges: Vec<Option<Range>> = allocations.iter().map(allocated_range).collect();
    let neighbours = neighbours(&ranges);
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for (i, allocation) in allocations.iter().enumerate() {
        let node = allocation.node_name.as_str();
        let first = seen.insert(node);
        let misfit = match (ranges[i], neighbours[i]) {
            (None, _) => Some(Misfit::NoRange),
            (Some(_), Some(other)) => Some(Misfit::Intersects(&allocations[other].node_name)),
            (Some(_), None) if !first => Some(Misfit::Second),
            (Some(range), None) => match standing(selector, nodes.get(node)) {
                Standing::Gone => Some(Misfit::NodeGone),
                Standing::NotSelected => Some(Misfit::NotSelected),
                Standing::Selected | Standing::Unknown(_) => misfit_of_range(&range, config),
            },
        };
        found.extend(misfit.map(|misfit| (node.to_owned(), misfit.to_string())));
    }
    found
}

fn misfit_of_range(range: &Range, config: &IpPoolConfig) -> Option<Misfit<'static>> {
    if !config.subnet.usable().contains_range(range) {
        Some(Misfit::OutsideSubnet)
    } else if config.layout.ordinal_of(range).is_none() {
        Some(Misfit::OffGrid)
    } else if range.size() == 1 && config.gateway == Some(range.first()) {
        Some(Misfit::JustTheGateway)
    } else if config.layout.is_excluded(range, &config.exclusions) {
        Some(Misfit::Excluded)
    } else {
        None
    }
}

/// For each range one that it intersects, by index.
fn neighbours(ranges: &[Option<Range>]) -> Vec<Option<usize>> {
    let mut found = vec![None; ranges.len()];
    let mut ordered: Vec<(Range, usize)> = ranges
        .iter()
        .enumerate()
        .filter_map(|(i, range)| range.map(|range| (range, i)))
        .collect();
    // By family, then by first address: whatever a range intersects before it also reaches the range that reaches furthest.
    ordered.sort_unstable();
    let mut furthest: Option<(Range, usize)> = None;
    for (range, i) in ordered {
        if let Some((before, j)) = furthest
            && before.intersection(&range).is_some()
        {
            found[i] = Some(j);
            found[j].get_or_insert(i);
        }
        let reaches_further = furthest.is_none_or(|(before, _)| {
            before.family() != range.family() || before.numbers().1 < range.numbers().1
        });
        if reaches_further {
            furthest = Some((range, i));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use api::range::Family;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exactly_the_ranges_that_intersect_another_have_a_neighbour(
            spans in prop::collection::vec((any::<bool>(), 0_u128..60, 0_u128..9), 0..12),
        ) {
            let ranges: Vec<Option<Range>> = spans
                .iter()
                .map(|(v6, first, size)| {
                    let family = if *v6 { Family::V6 } else { Family::V4 };
                    Range::from_numbers(family, *first, first + size)
                })
                .collect();
            for (i, neighbour) in neighbours(&ranges).into_iter().enumerate() {
                let intersects = |j: usize| i != j && ranges[i].unwrap().intersection(&ranges[j].unwrap()).is_some();
                match neighbour {
                    Some(j) => prop_assert!(intersects(j)),
                    None => prop_assert!(!(0..ranges.len()).any(intersects)),
                }
            }
        }
    }
}

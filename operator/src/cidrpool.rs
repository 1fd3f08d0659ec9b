//! CIDRPools: prefixes of one network, each a subnet with a gateway of its own, some of them kept for certain nodes.

use std::net::IpAddr;

use api::cidrpool::{CIDRPool, CIDRPoolAllocation, CIDRPoolStatus};
use api::cidrpool_config::{CidrPoolConfig, prefix_of};
use api::interval::IntervalSet;
use api::node_pool::allocated_prefix;
use api::pool_key::PoolKind;
use api::range::{Family, Range, parse_address};
use api::subnet::Subnet;
use api::validate::FieldErrors;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::NodeSelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::findings::Words;
use crate::pool::{Entry, Pool, Rules};

impl Pool for CIDRPool {
    const KIND: PoolKind = PoolKind::CidrPool;
    const EVENT_SOURCE: &'static str = "CIDRPoolController";
    const WORDS: Words = Words {
        no_range: "not a network prefix",
        no_room: "NoFreePrefixes",
        no_room_event: |node| format!("failed to allocated prefix for Node: {node}, no free prefixes"),
    };

    type Entry = CIDRPoolAllocation;
    type Rules = CidrPoolConfig;

    fn rules(&self) -> Result<CidrPoolConfig, FieldErrors> {
        CidrPoolConfig::parse(self)
    }

    fn network(&self) -> Option<IpNet> {
        Subnet::parse(&self.spec.cidr).map(|cidr| cidr.net())
    }

    fn selector(&self) -> Option<&NodeSelector> {
        self.spec.node_selector.as_ref()
    }

    fn entries(&self) -> &[CIDRPoolAllocation] {
        self.status.as_ref().map_or(&[], |status| &status.allocations)
    }

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |status| &status.conditions)
    }

    fn status_of(allocations: Vec<CIDRPoolAllocation>, conditions: Vec<Condition>) -> CIDRPoolStatus {
        CIDRPoolStatus {
            allocations,
            conditions,
        }
    }
}

impl Entry for CIDRPoolAllocation {
    fn node(&self) -> &str {
        &self.node_name
    }

    /// All of the prefix, the addresses included that no host can have: they are part of the node's subnet.
    fn range(&self) -> Option<Range> {
        allocated_prefix(self).map(|prefix| prefix.addresses())
    }

    fn text(&self) -> String {
        format!("{:?}", self.prefix)
    }
}

impl Rules<CIDRPoolAllocation> for CidrPoolConfig {
    fn family(&self) -> Family {
        self.cidr.family()
    }

    fn kept(&self) -> impl Iterator<Item = Range> {
        self.static_allocations
            .iter()
            .map(|allocation| allocation.prefix.addresses())
    }

    fn kept_for(&self, node: &str) -> Option<Range> {
        self.static_allocation_of(node)
            .map(|allocation| allocation.prefix.addresses())
    }

    fn free<'a>(&'a self, taken: &'a IntervalSet) -> impl Iterator<Item = Range> + 'a {
        self.layout.free_blocks(taken, &self.exclusions, None)
    }

    fn entry(&self, node: &str, range: &Range) -> Option<CIDRPoolAllocation> {
        let prefix = prefix_of(range, self.prefix_length)?;
        let gateway = self.gateway_of(node, &prefix);
        Some(CIDRPoolAllocation {
            node_name: node.to_owned(),
            gateway: gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
            prefix: prefix.to_string(),
        })
    }

    fn misfit(&self, entry: &CIDRPoolAllocation, range: &Range) -> Option<String> {
        if !self.cidr.addresses().contains_range(range) {
            return Some("outside the cidr".to_owned());
        }
        let Some(prefix) = prefix_of(range, self.prefix_length) else {
            return Some("not a prefix of the current perNodeNetworkPrefix".to_owned());
        };
        let misplaced = match self.static_allocation_of(entry.node()) {
            Some(own) if own.prefix != prefix => Some(format!("not its static allocation {}", own.prefix)),
            // Exclusions don't concern who is given a prefix by name (contract B.7.4).
            Some(_) => None,
            None => not_for_just_any_node(self, &prefix),
        };
        misplaced.or_else(|| gateway_misfit(&entry.gateway, self.gateway_of(entry.node(), &prefix)))
    }
}

/// Why a node without a static allocation is not to have `prefix`.
fn not_for_just_any_node(config: &CidrPoolConfig, prefix: &Subnet) -> Option<String> {
    match config.static_allocation_at(prefix) {
        Some(other) => Some(match &other.node {
            Some(node) => format!("the static allocation of {node}"),
            None => "kept from all nodes by a static allocation".to_owned(),
        }),
        None => config
            .layout
            .is_excluded(&prefix.addresses(), &config.exclusions)
            .then(|| "excluded as a whole".to_owned()),
    }
}

/// What is wrong with the gateway `text` of an entry, where the spec says `gateway`.
fn gateway_misfit(text: &str, gateway: Option<IpAddr>) -> Option<String> {
    match gateway {
        Some(gateway) => (parse_address(text) != Some(gateway))
            .then(|| format!("its gateway is not the spec's, {gateway}")),
        None => (!text.is_empty()).then(|| "it has a gateway, and the spec says none".to_owned()),
    }
}

//! IPPools: blocks of one subnet.

use api::interval::IntervalSet;
use api::ippool::{Allocation, IPPool, IPPoolStatus};
use api::ippool_config::IpPoolConfig;
use api::node_pool::allocated_range;
use api::pool_key::PoolKind;
use api::range::{Family, Range};
use api::subnet::Subnet;
use api::validate::FieldErrors;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::NodeSelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::findings::Words;
use crate::pool::{Entry, Pool, Rules};

impl Pool for IPPool {
    const KIND: PoolKind = PoolKind::IpPool;
    const EVENT_SOURCE: &'static str = "IPPoolController";
    const WORDS: Words = Words {
        no_range: "not a range of addresses",
        no_room: "NoFreeRanges",
        no_room_event: |node| format!("failed to allocate IPs on Node: {node}"),
    };

    type Entry = Allocation;
    type Rules = IpPoolConfig;

    fn rules(&self) -> Result<IpPoolConfig, FieldErrors> {
        IpPoolConfig::parse(self)
    }

    fn network(&self) -> Option<IpNet> {
        Subnet::parse(&self.spec.subnet).map(|subnet| subnet.net())
    }

    fn selector(&self) -> Option<&NodeSelector> {
        self.spec.node_selector.as_ref()
    }

    fn entries(&self) -> &[Allocation] {
        self.status.as_ref().map_or(&[], |status| &status.allocations)
    }

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |status| &status.conditions)
    }

    fn status_of(allocations: Vec<Allocation>, conditions: Vec<Condition>) -> IPPoolStatus {
        IPPoolStatus {
            allocations,
            conditions,
        }
    }
}

impl Entry for Allocation {
    fn node(&self) -> &str {
        &self.node_name
    }

    fn range(&self) -> Option<Range> {
        allocated_range(self)
    }

    fn text(&self) -> String {
        format!("{:?} to {:?}", self.start_ip, self.end_ip)
    }
}

impl Rules<Allocation> for IpPoolConfig {
    fn family(&self) -> Family {
        self.subnet.family()
    }

    fn kept(&self) -> impl Iterator<Item = Range> {
        std::iter::empty()
    }

    fn kept_for(&self, _: &str) -> Option<Range> {
        None
    }

    fn free<'a>(&'a self, taken: &'a IntervalSet) -> impl Iterator<Item = Range> + 'a {
        self.layout.free_blocks(taken, &self.exclusions, self.gateway)
    }

    fn entry(&self, node: &str, block: &Range) -> Option<Allocation> {
        Some(Allocation {
            node_name: node.to_owned(),
            start_ip: block.first().to_string(),
            end_ip: block.last().to_string(),
        })
    }

    fn misfit(&self, _: &Allocation, range: &Range) -> Option<String> {
        let reason = if !self.subnet.usable().contains_range(range) {
            "outside the subnet"
        } else if self.layout.ordinal_of(range).is_none() {
            "not a block of the current perNodeBlockSize"
        } else if range.size() == 1 && self.gateway == Some(range.first()) {
            "just the gateway"
        } else if self.layout.is_excluded(range, &self.exclusions) {
            "excluded as a whole"
        } else {
            return None;
        };
        Some(reason.to_owned())
    }
}

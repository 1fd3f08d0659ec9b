//! One pool of the ledger: what is reserved of it, and what is free.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use api::interval::IntervalSet;
use api::node_pool::{Holder, Neighbours, NodePool};
use api::pool_key::PoolKind;
use api::range::{Family, number};

use super::snapshot;
use crate::reservation::RowId;

/// How many addresses of this node's range of a pool are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// They can be handed out.
    pub free: u128,
    /// They are reserved, in the range or outside of it.
    pub used: u128,
    /// They are in the range, but never handed out: exclusions and the gateway.
    pub excluded: u128,
}

/// Whose an address of a pool's subnet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// This node's alone.
    Ours,
    /// In the range of that node.
    Of(&'a str),
    /// In no node's range, or excluded there.
    Nobodys,
    /// Not this node's. Perhaps that node's, whose entry in the pool's status can't be read.
    PerhapsOf(&'a str),
    /// Not this node's. Whose else isn't known.
    Unknown,
}

/// One pool, configured or only remembered.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// `None`: the API gives this node nothing of it (any more), but there are reservations.
    pub(super) config: Option<NodePool>,
    /// `config` as the Go daemon writes it.
    pub(super) snapshot: String,
    /// Who else hands out of it. `None`: not known.
    pub(super) neighbours: Option<Arc<Neighbours>>,
    /// What the configuration lets hand out.
    available: IntervalSet,
    /// `available` without what is reserved.
    pub(super) free: IntervalSet,
    pub(super) reserved: HashMap<IpAddr, RowId>,
    /// The last address that was handed out to somebody who asked for any.
    pub(super) last: Option<IpAddr>,
}

impl Pool {
    fn family(&self) -> Option<Family> {
        self.config.as_ref().map(|config| config.range.family())
    }

    pub(super) fn configure(&mut self, config: Option<NodePool>, neighbours: Option<Arc<Neighbours>>) {
        self.available = config.as_ref().map(NodePool::available).unwrap_or_default();
        self.snapshot = config.as_ref().map(snapshot::pool_config).unwrap_or_default();
        self.config = config;
        self.neighbours = neighbours;
        self.free = self.available.clone();
        let family = self.family();
        for &address in self.reserved.keys().filter(|&&a| Some(Family::of(a)) == family) {
            self.free.remove(number(address), number(address));
        }
    }

    pub(super) fn take(&mut self, address: IpAddr, id: RowId) {
        self.reserved.insert(address, id);
        if self.family() == Some(Family::of(address)) {
            self.free.remove(number(address), number(address));
        }
    }

    pub(super) fn give_back(&mut self, address: IpAddr) {
        self.reserved.remove(&address);
        let n = number(address);
        if self.family() == Some(Family::of(address)) && self.available.contains(n) {
            self.free.insert(n, n);
        }
    }

    /// Whose `ip` is, which lies in the subnet of `config`, this pool's. Exclusions, the gateway and the addresses of network
    /// and broadcast don't matter: who asks for one of those by name gets it (contract B.4.3).
    pub(super) fn place_of(&self, config: &NodePool, ip: IpAddr) -> Place<'_> {
        // A prefix is this node's as a whole, though its range doesn't have all addresses.
        if config.key.kind() == PoolKind::CidrPool || config.range.contains(ip) {
            return Place::Ours;
        }
        let Some(neighbours) = &self.neighbours else {
            return Place::Unknown;
        };
        match neighbours.holder_of(ip) {
            Holder::Nobody => Place::Nobodys,
            Holder::Node(node) => Place::Of(node),
            Holder::Unread(node) => Place::PerhapsOf(node),
        }
    }

    /// Where `ip` lies, which is reserved. `None`: where it should.
    pub(super) fn outside(&self, ip: IpAddr) -> Option<Outside> {
        let Some(config) = self.config.as_ref().filter(|config| config.subnet.contains(&ip)) else {
            return Some(Outside::Unknown);
        };
        // Every node that asks for the gateway's address gets it.
        if config.gateway == Some(ip) {
            return None;
        }
        match self.place_of(config, ip) {
            Place::Ours => None,
            Place::Of(node) => Some(Outside::OfNode(node.into())),
            Place::Nobodys => Some(Outside::Nobodys),
            Place::PerhapsOf(_) | Place::Unknown => Some(Outside::Unknown),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let size = self.config.as_ref().map_or(0, |config| config.range.size());
        Counts {
            free: self.free.len(),
            used: self.reserved.len() as u128,
            excluded: size - self.available.len(),
        }
    }
}

/// Where a reserved address lies that isn't in this node's range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outside {
    /// In the range of that node.
    OfNode(Box<str>),
    /// In no node's range.
    Nobodys,
    /// The pool has no range for this node, or not in this subnet, or not all other nodes' ranges are known.
    Unknown,
}

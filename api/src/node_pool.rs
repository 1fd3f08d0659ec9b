//! What one node needs to know of a pool to hand out addresses.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::interval::IntervalSet;
use crate::layout;
use crate::pool_key::{PoolKey, PoolKind};
use crate::range::{Range, number};

pub(crate) mod cidrpool;
mod ippool;

pub use cidrpool::allocated_prefix;
pub use ippool::allocated_range;

/// A pool as one node sees it: the node's range, and how addresses of it are handed out.
///
/// It can be stored and read again: the daemon goes on from what it stored while the API server is away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePool {
    /// Kind and name of the pool.
    pub key: PoolKey,
    /// UID of the pool object; a pool re-created under the same name has another one.
    pub uid: String,
    /// The subnet whose prefix length pods get, and in which static addresses must lie: an IPPool's subnet, or the node's
    /// prefix of a CIDRPool. Without host bits.
    pub subnet: IpNet,
    /// The addresses that are this node's alone.
    pub range: Range,
    /// Gateway of the subnet, never handed out.
    pub gateway: Option<IpAddr>,
    /// Excluded addresses of the range, ascending and disjoint.
    pub exclusions: Vec<Range>,
    /// Whether pods get a default route through the gateway.
    pub default_gateway: bool,
    /// Destinations that pods reach through the gateway, in the order of the spec.
    pub routes: Vec<IpNet>,
}

impl NodePool {
    /// The addresses that can be handed out to whoever asks for any: the range without exclusions and gateway.
    #[must_use]
    pub fn available(&self) -> IntervalSet {
        let excluded = self.exclusions.iter().map(Range::numbers).collect();
        layout::available(&self.range, &excluded, self.gateway)
    }
}

/// What a node makes of a pool object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// The pool has no range for this node.
    NotHere,
    /// The pool as its object says.
    Current(NodePool),
    /// The object can't be followed, for the reason said; the configuration that was in force stays.
    Kept(NodePool, String),
    /// The object can't be followed, for the reason said, and no configuration was in force before.
    Unusable(String),
}

/// A kind of pool, as a node looks at it.
pub trait NodeView {
    /// Which kind it is.
    const KIND: PoolKind;

    /// What `node` makes of it, where `previous` is what was in force until now.
    ///
    /// An invalid spec, or one that does not contain the range that the node has, never changes what was in force: pods run
    /// with it. Gateway, exclusions and routes follow as soon as the spec is valid again and contains the range.
    fn view(&self, node: &str, previous: Option<&NodePool>) -> View;

    /// Who else hands out addresses of the subnet that `node` hands out of.
    fn neighbours(&self, node: &str) -> Neighbours;
}

/// The ranges that other nodes have in the subnet of this node's range: addresses in them are not this node's to give,
/// even to those who ask for them by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// By range, with the node's name.
    ranges: Vec<(Range, Box<str>)>,
    /// A node whose entry says no range that can be read. It may be handing out any address.
    unread: Option<Box<str>>,
    /// Addresses that no node hands out to those who ask for any, by `spec.exclusions`.
    excluded: IntervalSet,
}

/// Which other node hands out an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder<'a> {
    /// None: it is in no other node's range, or excluded there.
    Nobody,
    /// This one.
    Node(&'a str),
    /// Perhaps this one, whose entry in the pool's status can't be read.
    Unread(&'a str),
}

impl<'a> Holder<'a> {
    /// The node that certainly hands it out.
    #[must_use]
    pub fn node(self) -> Option<&'a str> {
        match self {
            Self::Node(node) => Some(node),
            Self::Nobody | Self::Unread(_) => None,
        }
    }
}

impl Neighbours {
    /// The node in whose range `ip` lies.
    #[must_use]
    pub fn holder_of(&self, ip: IpAddr) -> Holder<'_> {
        if self.excluded.contains(number(ip)) {
            return Holder::Nobody;
        }
        // Ranges may intersect after an edit by hand, one may even lie around later ones: then any of the holders will do.
        // Looking at each costs microseconds with thousands of nodes.
        let holder = self.ranges.iter().rev().find(|(range, _)| range.contains(ip));
        match (holder, &self.unread) {
            (Some((_, node)), _) => Holder::Node(node),
            (None, Some(node)) => Holder::Unread(node),
            (None, None) => Holder::Nobody,
        }
    }
}

/// What becomes of a pool object that can't be followed because of `reason`: what was in force stays, if it was made of
/// this very pool and of the range that the object still says, if it says one.
fn refused(previous: Option<&NodePool>, uid: Option<String>, range: Option<Range>, reason: String) -> View {
    match previous {
        Some(previous)
            if range.is_none_or(|range| range == previous.range)
                && previous.uid == uid.unwrap_or_default() =>
        {
            View::Kept(previous.clone(), reason)
        }
        _ => View::Unusable(reason),
    }
}

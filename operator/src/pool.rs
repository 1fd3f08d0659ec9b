//! What the controller needs of a kind of pool. Everything else is the same for all kinds.

use std::fmt::Debug;

use api::interval::IntervalSet;
use api::pool_key::{PoolKey, PoolKind};
use api::range::{Family, Range};
use api::selector::SelectorError;
use api::validate::FieldErrors;
use ipnet::IpNet;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::NodeSelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::core::object::HasStatus;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deal;
use crate::findings::{Notice, Said, Words};
use crate::nodes::Nodes;

/// A kind of pool that ranges are dealt of.
pub trait Pool:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + HasStatus<Status: Clone + Debug + Default + PartialEq + Serialize + Send + Sync>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    /// Which kind it is.
    const KIND: PoolKind;
    /// Component that its events come from, as in the Go version.
    const EVENT_SOURCE: &'static str;
    /// What is said of it.
    const WORDS: Words;

    /// An entry of its status.
    type Entry: Entry;
    /// What its spec says, if that is valid.
    type Rules: Rules<Self::Entry>;

    /// What its spec says, or every rule that it breaks.
    fn rules(&self) -> Result<Self::Rules, FieldErrors>;

    /// Its network, if its spec says one, valid or not in other respects.
    fn network(&self) -> Option<IpNet>;

    /// Which nodes it is for.
    fn selector(&self) -> Option<&NodeSelector>;

    /// The entries of its status.
    fn entries(&self) -> &[Self::Entry];

    /// The conditions of its status.
    fn conditions(&self) -> &[Condition];

    /// A status of these.
    fn status_of(entries: Vec<Self::Entry>, conditions: Vec<Condition>) -> Self::Status;

    /// Whether its status has an entry for `node`.
    fn holds(&self, node: &str) -> bool {
        self.entries().iter().any(|entry| entry.node() == node)
    }

    /// What is to be done for it. Total and deterministic: the same pool and world give the same plan.
    ///
    /// No entry of the status is ever removed or changed, and no entry that is added intersects one that stands, whatever
    /// became of node, selector and spec (docs/architecture.md, what must always hold, 1 and 4).
    fn plan(&self, world: &World<'_>) -> Plan<Self::Status> {
        deal::plan(self, world)
    }

    /// Its name in logs and metrics.
    fn key(&self) -> PoolKey {
        PoolKey::new(Self::KIND, &self.name_any())
    }
}

/// An entry of a status: which node has which range.
pub trait Entry: Clone + Debug + PartialEq {
    /// Name of the node.
    fn node(&self) -> &str;

    /// The addresses that are that node's. `None` if its text says none.
    fn range(&self) -> Option<Range>;

    /// What it says instead of a range, for people.
    fn text(&self) -> String;
}

/// A valid spec: which ranges can be dealt, and which entries fit it.
pub trait Rules<E> {
    /// The family of every range.
    fn family(&self) -> Family;

    /// Ranges that are not dealt to just any node, each by itself on the grid.
    fn kept(&self) -> impl Iterator<Item = Range>;

    /// The one of them that this node is to get, and no other.
    fn kept_for(&self, node: &str) -> Option<Range>;

    /// The ranges that can be dealt to just any node and share no address with `taken`, lowest first. Each step costs as
    /// much as there are intervals to skip.
    fn free<'a>(&'a self, taken: &'a IntervalSet) -> impl Iterator<Item = Range> + 'a;

    /// The entry that says that `node` has `range`. `None` if no entry can say that.
    fn entry(&self, node: &str, range: &Range) -> Option<E>;

    /// Why `entry`, whose range is `range`, doesn't fit, though its node is to have one.
    fn misfit(&self, entry: &E, range: &Range) -> Option<String>;
}

/// What a plan depends on besides the pool.
#[derive(Clone, Debug)]
pub struct World<'a> {
    /// Every node of the cluster.
    pub nodes: &'a Nodes,
    /// The time that conditions get.
    pub now: Time,
    /// Whether the API server keeps conditions. A CRD of the Go version drops them: then they are sent with what is written
    /// anyway, but nothing is written for their sake.
    pub conditions_kept: bool,
    /// What this process has said of the pool. `None` before it has said anything.
    pub said: Option<&'a Said>,
}

/// What is to be done for a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<S> {
    /// The status to write; `None` if what stands is right.
    pub status: Option<S>,
    /// The events to say once the status is written, or couldn't be.
    pub notices: Vec<Notice>,
    /// What has been said then.
    pub said: Said,
    /// Nodes that are selected and have no range.
    pub without_range: usize,
    /// Entries that stand and no longer fit. `None` if that can't be said, because the spec is invalid.
    pub stale: Option<usize>,
    /// Nodes on which the selector can't be evaluated: how many, and why on the first.
    pub unjudged: Option<(usize, String, SelectorError)>,
}

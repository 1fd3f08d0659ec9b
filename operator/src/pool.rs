//! What the controller needs of a kind of pool. Everything else is the same for all kinds.

use std::fmt::Debug;

use api::pool_key::{PoolKey, PoolKind};
use api::selector::SelectorError;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::NodeSelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::core::object::HasStatus;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::findings::{Notice, Said};
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

    /// Which nodes it is for.
    fn selector(&self) -> Option<&NodeSelector>;

    /// Whether its status has an entry for `node`.
    fn holds(&self, node: &str) -> bool;

    /// The conditions of its status.
    fn conditions(&self) -> &[Condition];

    /// What is to be done for it. Total and deterministic: the same pool and world give the same plan.
    ///
    /// No entry of the status is ever removed or changed, and no entry that is added intersects one that stands, whatever
    /// became of node, selector and spec (design.md, invariants 1 and 4).
    fn plan(&self, world: &World<'_>) -> Plan<Self::Status>;

    /// Its name in logs and metrics.
    fn key(&self) -> PoolKey {
        PoolKey::new(Self::KIND, &self.name_any())
    }
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

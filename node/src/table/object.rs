//! Pool objects, reduced to what one node needs of them.

use std::fmt::Debug;
use std::sync::Arc;

use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use api::node_pool::{Neighbours, NodePool, NodeView, View};
use api::pool_key::PoolKey;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

/// A kind of pool objects that a node follows.
pub trait PoolResource:
    NodeView
    + Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Drops what `node` does not need and what grows with the cluster. Says whether an allocation of `node` is left.
    fn reduce_to(&mut self, node: &str) -> bool;
}

impl PoolResource for IPPool {
    fn reduce_to(&mut self, node: &str) -> bool {
        self.meta_mut().managed_fields = None;
        self.status.as_mut().is_some_and(|status| {
            status.conditions = Vec::new();
            keep(&mut status.allocations, |allocation| allocation.node_name == node)
        })
    }
}

impl PoolResource for CIDRPool {
    fn reduce_to(&mut self, node: &str) -> bool {
        self.meta_mut().managed_fields = None;
        self.status.as_mut().is_some_and(|status| {
            status.conditions = Vec::new();
            keep(&mut status.allocations, |allocation| allocation.node_name == node)
        })
    }
}

fn keep<T>(list: &mut Vec<T>, is_kept: impl FnMut(&T) -> bool) -> bool {
    list.retain(is_kept);
    list.shrink_to_fit();
    !list.is_empty()
}

/// A pool object, or what could be read of it: one that can't be read must not hide the others, nor look deleted. Of the
/// other nodes' ranges only the compact form is kept, and only if this node hands out of the same pool.
#[derive(Clone, Debug)]
pub struct PoolObject<K> {
    object: DeserializeGuard<K>,
    neighbours: Option<Arc<Neighbours>>,
}

impl<K: PoolResource> PoolObject<K> {
    /// What `node` needs of `object`.
    #[must_use]
    pub fn new(mut object: DeserializeGuard<K>, node: &str) -> Self {
        let neighbours = object.0.as_mut().ok().and_then(|pool| {
            let neighbours = pool.neighbours(node);
            pool.reduce_to(node).then(|| Arc::new(neighbours))
        });
        Self { object, neighbours }
    }

    /// The same, with the neighbours of `before` if they are equal: who holds those already holds them once.
    #[must_use]
    pub fn succeeding(mut self, before: Option<&Self>) -> Self {
        if let Some(before) = before
            && before.neighbours == self.neighbours
        {
            self.neighbours.clone_from(&before.neighbours);
        }
        self
    }

    /// Name of the pool.
    #[must_use]
    pub fn name(&self) -> String {
        self.object.name_any()
    }

    /// How stores and messages name the pool.
    #[must_use]
    pub fn key(&self) -> PoolKey {
        PoolKey::new(K::KIND, &self.name())
    }

    /// Who else hands out of the pool. `None` if that can't be read, or doesn't matter as this node has no range of it.
    #[must_use]
    pub fn neighbours(&self) -> Option<&Arc<Neighbours>> {
        self.neighbours.as_ref()
    }

    /// What `node` makes of it, where `previous` is what was in force until now. An object that isn't even a pool, by its
    /// schema, is treated as one whose spec is invalid.
    #[must_use]
    pub fn view(&self, node: &str, previous: Option<&NodePool>) -> View {
        let unreadable = match &self.object.0 {
            Ok(pool) => return pool.view(node, previous),
            Err(unreadable) => unreadable,
        };
        let reason = format!("its object can't be read: {}", unreadable.error);
        match previous.filter(|previous| Some(&previous.uid) == self.object.uid().as_ref()) {
            Some(previous) => View::Kept(previous.clone(), reason),
            None => View::Unusable(reason),
        }
    }
}

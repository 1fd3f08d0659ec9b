//! What the controller's caches hold.

use std::sync::Arc;

use api::selector::NodeLabels;
use k8s_openapi::api::core::v1::Node;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::{Resource, ResourceExt};

use crate::cache::Cached;
use crate::pool::Pool;

/// Of a node's metadata, what a selector can see.
#[must_use]
pub fn node_labels(node: PartialObjectMeta<Node>) -> Arc<NodeLabels> {
    Arc::new(NodeLabels {
        name: node.metadata.name.unwrap_or_default(),
        labels: node.metadata.labels.unwrap_or_default(),
    })
}

impl Cached for Arc<NodeLabels> {
    fn name(&self) -> &str {
        &self.name
    }

    fn same_as(&self, earlier: &Self) -> bool {
        self == earlier
    }

    /// Only the watch tells of nodes, in order.
    fn supersedes(&self, _: &Self) -> bool {
        true
    }
}

/// A pool, or why the object of that name can't be read as one: an object that a CRD other than ours let through must not
/// keep the controller from seeing the others.
#[derive(Clone, Debug)]
pub struct PoolObject<K> {
    name: String,
    object: DeserializeGuard<K>,
}

impl<K: Pool> PoolObject<K> {
    /// The pool, or why it can't be read.
    pub fn pool(&self) -> Result<&K, &str> {
        self.object.0.as_ref().map_err(|invalid| invalid.error.as_str())
    }
}

impl<K: Pool> From<DeserializeGuard<K>> for PoolObject<K> {
    fn from(object: DeserializeGuard<K>) -> Self {
        Self {
            name: object.name_any(),
            object,
        }
    }
}

impl<K: Pool> From<K> for PoolObject<K> {
    fn from(pool: K) -> Self {
        DeserializeGuard(Ok(pool)).into()
    }
}

impl<K: Pool> Cached for PoolObject<K> {
    fn name(&self) -> &str {
        &self.name
    }

    fn same_as(&self, earlier: &Self) -> bool {
        let identity = |o: &Self| {
            (
                o.object.meta().uid.clone(),
                o.object.meta().resource_version.clone(),
            )
        };
        identity(self) == identity(earlier)
    }

    /// Kubernetes' resource versions grow; one that is no number is from a server of its own kind, whose word is taken.
    fn supersedes(&self, known: &Self) -> bool {
        let version = |o: &Self| -> Option<u64> { o.object.meta().resource_version.as_ref()?.parse().ok() };
        version(self)
            .zip(version(known))
            .is_none_or(|(this, known)| this >= known)
    }
}

//! This node's pools, out of the pool objects that the API server has.

mod change;
mod known;
mod object;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::node_pool::{Neighbours, NodePool, View};
use api::pool_key::PoolKey;

pub use change::Change;
pub use known::{Knowledge, Known};
pub use object::{PoolObject, PoolResource};

/// This node's pools, of both kinds, and the pool objects that could not be followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// How well they are known.
    pub known: Known,
    /// The pools in which this node has a range, by key.
    pub pools: BTreeMap<PoolKey, NodePool>,
    /// Who else hands out of `pools`, by key. Of a pool that isn't in it that is not known. It isn't stored: a node that
    /// joins the cluster must not make the daemons of all others write.
    pub neighbours: BTreeMap<PoolKey, Arc<Neighbours>>,
    /// Why a pool's object was not followed, by key: such a pool stays as it was before, or is not among `pools` if it
    /// was not there before.
    pub troubles: BTreeMap<PoolKey, String>,
}

impl Table {
    /// These pools, of which, and of others, this much is known.
    #[must_use]
    pub fn of(pools: impl IntoIterator<Item = NodePool>, knowledge: Knowledge) -> Self {
        Self {
            known: Known::both(knowledge),
            pools: pools.into_iter().map(|pool| (pool.key.clone(), pool)).collect(),
            ..Self::default()
        }
    }

    /// The table of `node` that follows on this one when the API server has exactly `objects` of their kind. Pools of the
    /// other kind stay as they are.
    #[must_use]
    pub fn follow<'a, K: PoolResource>(
        &self,
        objects: impl IntoIterator<Item = &'a PoolObject<K>>,
        node: &str,
    ) -> Self {
        let mut next = self.without::<K>();
        next.known.synced(K::KIND);
        for object in objects {
            let key = object.key();
            let pool = match object.view(node, self.pools.get(&key)) {
                View::NotHere => None,
                View::Current(pool) => Some(pool),
                View::Kept(pool, reason) => {
                    next.troubles.insert(key.clone(), reason);
                    Some(pool)
                }
                View::Unusable(reason) => {
                    next.troubles.insert(key.clone(), reason);
                    None
                }
            };
            if let Some(pool) = pool {
                // Where the object can't be read the others' ranges are those that it had before, as this node's is.
                let neighbours = object.neighbours().or_else(|| self.neighbours.get(&key));
                next.neighbours
                    .extend(neighbours.map(|neighbours| (key.clone(), neighbours.clone())));
                next.pools.insert(key, pool);
            }
        }
        next
    }

    /// Everything but the pools of one kind.
    fn without<K: PoolResource>(&self) -> Self {
        let mut rest = self.clone();
        rest.pools.retain(|key, _| key.kind() != K::KIND);
        rest.neighbours.retain(|key, _| key.kind() != K::KIND);
        rest.troubles.retain(|key, _| key.kind() != K::KIND);
        rest
    }

    /// Whether requests are answered alike under both: troubles are for people.
    #[must_use]
    pub fn serves_as(&self, other: &Self) -> bool {
        self.known == other.known && self.pools == other.pools && self.neighbours == other.neighbours
    }

    /// What a reader of the log wants to know when `self` takes the place of `before`.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, pool) in &self.pools {
            if before.pools.get(key) != Some(pool) {
                changes.push(Change::Set(Box::new(pool.clone())));
            }
        }
        for key in before.pools.keys().filter(|key| !self.pools.contains_key(key)) {
            changes.push(Change::Gone(key.clone()));
        }
        for (key, reason) in &self.troubles {
            if before.troubles.get(key) != Some(reason) {
                changes.push(Change::Trouble {
                    key: key.clone(),
                    reason: reason.clone(),
                    kept: self.pools.contains_key(key),
                });
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests;

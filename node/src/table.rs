//! This node's pools, out of the pool objects that the API server has.

use std::collections::BTreeMap;
use std::fmt;

use api::ippool::IPPool;
use api::node_pool::{NodePool, NodeView, View};
use api::pool_key::{PoolKey, PoolKind};
use kube::ResourceExt;
use kube::core::DeserializeGuard;

/// A pool object, or what could be read of it. One that can't be read must not hide the others, nor look deleted.
pub type PoolObject = DeserializeGuard<IPPool>;

/// This node's pools, and the pool objects that could not be followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The pools in which this node has a range, by key.
    pub pools: BTreeMap<PoolKey, NodePool>,
    /// Why a pool's object was not followed, by key: such a pool stays as it was before, or is not among `pools` if it
    /// was not there before.
    pub troubles: BTreeMap<PoolKey, String>,
}

impl Table {
    /// The table that was in force before, as the store has it.
    #[must_use]
    pub fn stored(pools: Vec<NodePool>) -> Self {
        Self {
            pools: pools.into_iter().map(|pool| (pool.key.clone(), pool)).collect(),
            troubles: BTreeMap::new(),
        }
    }

    /// The table of `node` that follows on this one when the API server has exactly `objects`.
    #[must_use]
    pub fn follow<'a>(&self, objects: impl IntoIterator<Item = &'a PoolObject>, node: &str) -> Self {
        let mut next = Self::default();
        for object in objects {
            let key = PoolKey::new(PoolKind::IpPool, &object.name_any());
            let previous = self.pools.get(&key);
            let view = match &object.0 {
                Ok(pool) => pool.view(node, previous),
                Err(unreadable) => view_of_unreadable(object, &unreadable.error, previous),
            };
            let pool = match view {
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
            next.pools.extend(pool.map(|pool| (key, pool)));
        }
        next
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

/// An object that isn't even an IPPool, by its schema: as [`view`] treats one whose spec is invalid.
fn view_of_unreadable(object: &PoolObject, error: &str, previous: Option<&NodePool>) -> View {
    let reason = format!("its object can't be read: {error}");
    match previous.filter(|previous| Some(&previous.uid) == object.uid().as_ref()) {
        Some(previous) => View::Kept(previous.clone(), reason),
        None => View::Unusable(reason),
    }
}

/// One thing that a new table changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The pool is new on this node, or handed out differently than before.
    Set(Box<NodePool>),
    /// This node has no range of the pool any more.
    Gone(PoolKey),
    /// The pool's object can't be followed.
    Trouble {
        /// The pool.
        key: PoolKey,
        /// Why not.
        reason: String,
        /// Whether it is handed out as before. If not, it isn't handed out.
        kept: bool,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(pool) => {
                write!(
                    f,
                    "pool {}: this node hands out {} of {}",
                    pool.key, pool.range, pool.subnet
                )?;
                if let Some(gateway) = pool.gateway {
                    write!(f, ", gateway {gateway}")?;
                }
                match &pool.exclusions[..] {
                    [] => Ok(()),
                    excluded => {
                        let excluded: Vec<_> = excluded.iter().map(ToString::to_string).collect();
                        write!(f, ", without {}", excluded.join(", "))
                    }
                }
            }
            Self::Gone(key) => write!(
                f,
                "pool {key}: this node has no range any more and hands out nothing of it"
            ),
            Self::Trouble {
                key,
                reason,
                kept: true,
            } => {
                write!(
                    f,
                    "pool {key}: {reason}; going on as before, until the pool is corrected"
                )
            }
            Self::Trouble {
                key,
                reason,
                kept: false,
            } => {
                write!(
                    f,
                    "pool {key}: {reason}; nothing is handed out of it until the pool is corrected"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;

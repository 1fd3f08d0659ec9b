//! What this node holds, in memory, and the decisions on it. Nothing here does IO.
//!
//! The ledger says what the store says: the writer changes both together. Free addresses are kept as intervals, so that
//! no work grows with the size of a range.

mod decide;
mod picker;
mod pool;
mod routes;
mod snapshot;
mod texts;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod rule_tests;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use api::node_pool::NodePool;
use api::pool_key::PoolKey;
use rpc::journal::Stamp;

use crate::call::{CheckCall, ReleaseCall};
use crate::refusal::Refusal;
use crate::reservation::{Owner, Reservation, RowId};
use crate::table::{Known, Table};

pub use decide::{Planned, allocate};
pub use pool::{Counts, Outside};

use pool::Pool;
use texts::Texts;

/// Two reservations that can't both be.
#[derive(Debug, thiserror::Error)]
#[error(
    "reservations {} and {} of pool {} are both of {}",
    first, second, pool.as_str(), what
)]
pub struct Conflict {
    first: RowId,
    second: RowId,
    pool: PoolKey,
    what: String,
}

/// The pools and reservations of this node.
#[derive(Debug, Default)]
pub struct Ledger {
    known: Known,
    pools: BTreeMap<PoolKey, Pool>,
    /// Shared, because whoever looks at all of them would otherwise copy all of them.
    reservations: BTreeMap<RowId, Arc<Reservation>>,
    /// Which rows are an owner's, by the owner's hash: names are long, and stand in the reservation already.
    owners: BTreeSet<(u64, RowId)>,
    hasher: RandomState,
    texts: Texts,
}

impl Ledger {
    /// How well the pools are known.
    #[must_use]
    pub fn known(&self) -> Known {
        self.known
    }

    /// Replaces the table. Reservations stay whatever it says; pools without configuration and reservations are
    /// forgotten, with the place where they stopped, if it knows all pools of their kind.
    pub fn set_table(&mut self, table: Table) {
        let Table {
            known,
            mut pools,
            mut neighbours,
            ..
        } = table;
        self.known = known;
        for (key, pool) in &mut self.pools {
            pool.configure(pools.remove(key), neighbours.remove(key));
        }
        for (key, config) in pools {
            let neighbours = neighbours.remove(&key);
            self.pools
                .entry(key)
                .or_default()
                .configure(Some(config), neighbours);
        }
        self.pools.retain(|key, pool| {
            pool.config.is_some() || !pool.reserved.is_empty() || !known.is_whole(key.kind())
        });
    }

    /// Whether [`Ledger::set_table`] with `table` would forget anything.
    #[must_use]
    pub fn forgets_under(&self, table: &Table) -> bool {
        self.pools.iter().any(|(key, pool)| {
            let is_configured = table.pools.contains_key(key);
            !is_configured && pool.reserved.is_empty() && table.known.is_whole(key.kind())
        })
    }

    /// The table in force.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table {
            known: self.known,
            ..Table::default()
        };
        for (key, pool) in &self.pools {
            table
                .pools
                .extend(pool.config.clone().map(|config| (key.clone(), config)));
            table
                .neighbours
                .extend(pool.neighbours.clone().map(|all| (key.clone(), all)));
        }
        table
    }

    /// The configured pools, by key.
    pub fn configs(&self) -> impl Iterator<Item = &NodePool> {
        self.pools.values().filter_map(|pool| pool.config.as_ref())
    }

    /// Pools that are only remembered, for their reservations or for the place where they stopped.
    pub fn unconfigured(&self) -> impl Iterator<Item = &PoolKey> {
        self.pools
            .iter()
            .filter(|(_, pool)| pool.config.is_none())
            .map(|(key, _)| key)
    }

    /// The configuration of a pool.
    #[must_use]
    pub fn config(&self, key: &PoolKey) -> Option<&NodePool> {
        self.pools.get(key)?.config.as_ref()
    }

    /// The configuration of a pool as the Go daemon writes it into its store.
    #[must_use]
    pub fn snapshot(&self, key: &PoolKey) -> &str {
        self.pools.get(key).map_or("", |pool| &pool.snapshot)
    }

    /// Records that the store remembers something of a pool.
    pub fn remember(&mut self, key: &PoolKey) {
        self.pools.entry(key.clone()).or_default();
    }

    /// Records that `last` was handed out to somebody who asked for any address of the pool.
    pub fn set_last(&mut self, key: &PoolKey, last: IpAddr) {
        self.pools.entry(key.clone()).or_default().last = Some(last);
    }

    /// Adds a reservation that the store holds.
    pub fn insert(&mut self, mut reservation: Reservation) -> Result<(), Conflict> {
        let conflict = |first, what| Conflict {
            first,
            second: reservation.id,
            pool: reservation.pool.clone(),
            what,
        };
        if let Some(other) = self.held_by(&reservation.owner, &reservation.pool) {
            return Err(conflict(
                other.id,
                format!(
                    "container {} interface {}",
                    reservation.owner.container, reservation.owner.interface
                ),
            ));
        }
        let pool = self.pools.entry(reservation.pool.clone());
        let key = pool.key().clone();
        let pool = pool.or_default();
        if let Some(&other) = pool.reserved.get(&reservation.address) {
            return Err(conflict(other, format!("address {}", reservation.address)));
        }
        pool.take(reservation.address, reservation.id);
        reservation.pool = key;
        self.texts.share(&mut reservation, self.reservations.len());
        let hash = self.hasher.hash_one(&reservation.owner);
        self.owners.insert((hash, reservation.id));
        self.reservations.insert(reservation.id, Arc::new(reservation));
        Ok(())
    }

    /// Removes a reservation, which frees its address if it is one that can be handed out.
    pub fn remove(&mut self, id: RowId) -> Option<Arc<Reservation>> {
        let reservation = self.reservations.remove(&id)?;
        if let Some(pool) = self.pools.get_mut(&reservation.pool) {
            pool.give_back(reservation.address);
        }
        let hash = self.hasher.hash_one(&reservation.owner);
        self.owners.remove(&(hash, id));
        Some(reservation)
    }

    /// Records that the pod of a reservation was seen in the API.
    pub fn mark_seen(&mut self, id: RowId) {
        if let Some(reservation) = self.reservations.get_mut(&id) {
            Arc::make_mut(reservation).pod_seen = true;
        }
    }

    /// One reservation.
    #[must_use]
    pub fn get(&self, id: RowId) -> Option<&Reservation> {
        self.reservations.get(&id).map(AsRef::as_ref)
    }

    /// Every reservation, in the order in which they were made.
    pub fn reservations(&self) -> impl Iterator<Item = &Arc<Reservation>> {
        self.reservations.values()
    }

    /// The newest reservation.
    #[must_use]
    pub fn newest(&self) -> Option<RowId> {
        self.reservations.keys().next_back().copied()
    }

    /// Reservations that lie outside of this node's range of their pool, or whose pool gives this node nothing, and where
    /// they lie.
    pub fn outside(&self) -> impl Iterator<Item = (&Arc<Reservation>, Outside)> {
        self.reservations().filter_map(|reservation| {
            let pool = self.pools.get(&reservation.pool)?;
            Some((reservation, pool.outside(reservation.address)?))
        })
    }

    /// How each pool's addresses are used, by key.
    pub fn counts(&self) -> impl Iterator<Item = (&PoolKey, Counts)> {
        self.pools.iter().map(|(key, pool)| (key, pool.counts()))
    }

    /// Refuses if the owner lacks a reservation in one of the pools. Whether the pool is configured doesn't matter.
    pub fn check(&self, call: &CheckCall) -> Result<(), Refusal> {
        match call
            .pools
            .iter()
            .find(|pool| self.held_by(&call.owner, pool).is_none())
        {
            Some(pool) => Err(Refusal::NoReservation(pool.clone())),
            None => Ok(()),
        }
    }

    /// What `call` releases: what its owner holds in the pools it names, and in every other pool where its network made
    /// the reservation.
    #[must_use]
    pub fn released_by(&self, call: &ReleaseCall) -> Vec<RowId> {
        self.held(&call.owner)
            .filter(|r| {
                call.pools.contains(&r.pool) || (!call.network.is_empty() && *r.network == *call.network)
            })
            .map(|r| r.id)
            .collect()
    }

    /// What `call`, which began at `stamp` and got no answer, releases now: of [`Ledger::released_by`] what was reserved
    /// before it began.
    #[must_use]
    pub fn released_late_by(&self, call: &ReleaseCall, stamp: &Stamp, boot_id: &str) -> Vec<RowId> {
        let mut rows = self.released_by(call);
        rows.retain(|id| self.get(*id).is_some_and(|r| r.made.is_before(stamp, boot_id)));
        rows
    }

    fn held(&self, owner: &Owner) -> impl Iterator<Item = &Reservation> {
        let hash = self.hasher.hash_one(owner);
        self.owners
            .range((hash, RowId(i64::MIN))..=(hash, RowId(i64::MAX)))
            .filter_map(|(_, id)| self.get(*id))
            .filter(move |reservation| reservation.owner == *owner)
    }

    fn held_by(&self, owner: &Owner, pool: &PoolKey) -> Option<&Reservation> {
        self.held(owner).find(|r| r.pool == *pool)
    }
}

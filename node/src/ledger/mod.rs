//! What this node holds, in memory, and the decisions on it. Nothing here does IO.
//!
//! The ledger says what the store says: the writer changes both together. Free addresses are kept as intervals, so that
//! no work grows with the size of a range.

mod decide;
mod picker;
mod routes;
mod snapshot;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use api::interval::IntervalSet;
use api::node_pool::NodePool;
use api::pool_key::PoolKey;
use api::range::{Family, number};
use rpc::journal::Stamp;

use crate::call::{CheckCall, ReleaseCall};
use crate::refusal::Refusal;
use crate::reservation::{Owner, Reservation, RowId};

pub use decide::{Planned, allocate};

/// Where the table of pools comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Knowledge {
    /// There has never been one.
    #[default]
    Nothing,
    /// The store kept it from an earlier run: what it lacks may exist.
    Persisted,
    /// A cache that knows all pools: what it lacks doesn't exist.
    Synced,
}

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

/// The pools and reservations of this node.
#[derive(Debug, Default)]
pub struct Ledger {
    knowledge: Knowledge,
    pools: BTreeMap<PoolKey, Pool>,
    reservations: BTreeMap<RowId, Reservation>,
    owners: HashMap<Owner, Vec<RowId>>,
}

/// One pool, configured or only remembered.
#[derive(Debug, Default)]
struct Pool {
    /// `None`: the API gives this node nothing of it (any more), but there are reservations.
    config: Option<NodePool>,
    /// `config` as the Go daemon writes it.
    snapshot: String,
    /// What the configuration lets hand out.
    available: IntervalSet,
    /// `available` without what is reserved.
    free: IntervalSet,
    reserved: HashMap<IpAddr, RowId>,
    /// The last address that was handed out to somebody who asked for any.
    last: Option<IpAddr>,
}

// === impl Pool ===

impl Pool {
    fn family(&self) -> Option<Family> {
        self.config.as_ref().map(|config| config.range.family())
    }

    fn configure(&mut self, config: Option<NodePool>) {
        self.available = config.as_ref().map(NodePool::available).unwrap_or_default();
        self.snapshot = config.as_ref().map(snapshot::pool_config).unwrap_or_default();
        self.config = config;
        self.free = self.available.clone();
        let family = self.family();
        for &address in self.reserved.keys().filter(|&&a| Some(Family::of(a)) == family) {
            self.free.remove(number(address), number(address));
        }
    }

    fn take(&mut self, address: IpAddr, id: RowId) {
        self.reserved.insert(address, id);
        if self.family() == Some(Family::of(address)) {
            self.free.remove(number(address), number(address));
        }
    }

    fn give_back(&mut self, address: IpAddr) {
        self.reserved.remove(&address);
        let n = number(address);
        if self.family() == Some(Family::of(address)) && self.available.contains(n) {
            self.free.insert(n, n);
        }
    }

    fn counts(&self) -> Counts {
        let size = self.config.as_ref().map_or(0, |config| config.range.size());
        Counts {
            free: self.free.len(),
            used: self.reserved.len() as u128,
            excluded: size - self.available.len(),
        }
    }
}

// === impl Ledger ===

impl Ledger {
    /// An empty one, of a node that knows of its pools as `knowledge` says.
    #[must_use]
    pub fn new(knowledge: Knowledge) -> Self {
        Self {
            knowledge,
            ..Self::default()
        }
    }

    /// Where the table comes from.
    #[must_use]
    pub fn knowledge(&self) -> Knowledge {
        self.knowledge
    }

    /// Replaces the table. Reservations stay whatever it says; pools without configuration and reservations are
    /// forgotten, with the place where they stopped.
    pub fn set_table(&mut self, table: Vec<NodePool>, knowledge: Knowledge) {
        self.knowledge = knowledge;
        let mut table: BTreeMap<PoolKey, NodePool> = table
            .into_iter()
            .map(|config| (config.key.clone(), config))
            .collect();
        for (key, pool) in &mut self.pools {
            pool.configure(table.remove(key));
        }
        for (key, config) in table {
            self.pools.entry(key).or_default().configure(Some(config));
        }
        self.pools
            .retain(|_, pool| pool.config.is_some() || !pool.reserved.is_empty());
    }

    /// The configured pools, by key.
    pub fn table(&self) -> impl Iterator<Item = &NodePool> {
        self.pools.values().filter_map(|pool| pool.config.as_ref())
    }

    /// Pools that are only remembered for their reservations.
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

    /// A cache that knows all pools says that the table is right.
    pub fn confirm_table(&mut self) {
        self.knowledge = Knowledge::Synced;
    }

    /// Records that `last` was handed out to somebody who asked for any address of the pool.
    pub fn set_last(&mut self, key: &PoolKey, last: IpAddr) {
        self.pools.entry(key.clone()).or_default().last = Some(last);
    }

    /// Adds a reservation that the store holds.
    pub fn insert(&mut self, reservation: Reservation) -> Result<(), Conflict> {
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
        let pool = self.pools.entry(reservation.pool.clone()).or_default();
        if let Some(&other) = pool.reserved.get(&reservation.address) {
            return Err(conflict(other, format!("address {}", reservation.address)));
        }
        pool.take(reservation.address, reservation.id);
        self.owners
            .entry(reservation.owner.clone())
            .or_default()
            .push(reservation.id);
        self.reservations.insert(reservation.id, reservation);
        Ok(())
    }

    /// Removes a reservation, which frees its address if it is one that can be handed out.
    pub fn remove(&mut self, id: RowId) -> Option<Reservation> {
        let reservation = self.reservations.remove(&id)?;
        if let Some(pool) = self.pools.get_mut(&reservation.pool) {
            pool.give_back(reservation.address);
        }
        if let Some(rows) = self.owners.get_mut(&reservation.owner) {
            rows.retain(|&row| row != id);
            if rows.is_empty() {
                self.owners.remove(&reservation.owner);
            }
        }
        Some(reservation)
    }

    /// Records that the pod of a reservation was seen in the API.
    pub fn mark_seen(&mut self, id: RowId) {
        if let Some(reservation) = self.reservations.get_mut(&id) {
            reservation.pod_seen = true;
        }
    }

    /// One reservation.
    #[must_use]
    pub fn get(&self, id: RowId) -> Option<&Reservation> {
        self.reservations.get(&id)
    }

    /// Every reservation, in the order in which they were made.
    pub fn reservations(&self) -> impl Iterator<Item = &Reservation> {
        self.reservations.values()
    }

    /// Reservations that lie outside of this node's range of their pool, or whose pool gives this node nothing.
    pub fn outside(&self) -> impl Iterator<Item = &Reservation> {
        self.reservations().filter(|r| {
            !self
                .config(&r.pool)
                .is_some_and(|config| config.range.contains(r.address))
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
                call.pools.contains(&r.pool) || (!call.network.is_empty() && r.network == call.network)
            })
            .map(|r| r.id)
            .collect()
    }

    /// What `call`, which began at `stamp` and got no answer, releases now: of [`Ledger::released_by`] what was reserved
    /// before it began.
    #[must_use]
    pub fn released_late_by(&self, call: &ReleaseCall, stamp: &Stamp, boot_id: &str) -> Vec<RowId> {
        let mut rows = self.released_by(call);
        rows.retain(|id| self.get(*id).is_some_and(|r| r.stamp.is_before(stamp, boot_id)));
        rows
    }

    fn held(&self, owner: &Owner) -> impl Iterator<Item = &Reservation> {
        self.owners
            .get(owner)
            .into_iter()
            .flatten()
            .filter_map(|id| self.reservations.get(id))
    }

    fn held_by(&self, owner: &Owner, pool: &PoolKey) -> Option<&Reservation> {
        self.held(owner).find(|r| r.pool == *pool)
    }
}

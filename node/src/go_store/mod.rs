//! The store of the Go ipam-node: one JSON file with a checksum (contract B.9). Pure.
//!
//! [`GoStore::parse`] takes what a Go daemon would take and no less: besides the checksum it checks what that daemon takes
//! for granted. [`GoStore::print`] writes what a Go daemon would write, byte for byte.

mod error;
mod text;
mod wire;

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::pool_key::PoolKey;

use crate::reservation::{Owner, Pod};

pub use error::{EntryProblem, GoStoreError};

/// The format, which has not changed since there is one.
const VERSION: i64 = 1;

/// What a Go daemon remembers. In each pool an owner and an address stand once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoStore {
    pools: BTreeMap<PoolKey, GoPool>,
}

/// One pool. It may be empty: a DEL of a pool that there is not leaves it so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoPool {
    entries: BTreeMap<String, GoEntry>,
    owners_by_address: BTreeMap<IpAddr, String>,
    /// The pool as it was at the last reservation, JSON; empty if there was none.
    pub last_pool_config: String,
    /// The last address given to somebody who asked for any.
    pub last_reserved: Option<IpAddr>,
}

/// One address, held by one interface of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoEntry {
    /// Who holds it.
    pub owner: Owner,
    /// The address.
    pub address: IpAddr,
    /// The pod it is for.
    pub pod: Pod,
    /// PCI address of the device that the interface uses; may be empty.
    pub device_id: String,
    /// When it was made: RFC 3339, in the node's time zone.
    pub created: String,
    /// The pool as it was then, JSON.
    pub pool_config: String,
    /// When it was released, if it was: later Go versions keep an address back for a while, and the checksum doesn't cover
    /// this.
    pub released: Option<String>,
}

impl GoStore {
    /// Reads a whole file. Whitespace and unknown members don't matter, as to the Go daemon.
    pub fn parse(file: &[u8]) -> Result<Self, GoStoreError> {
        wire::parse(file)
    }

    /// The bytes of the file, with the checksum that the Go daemon will compute.
    #[must_use]
    pub fn print(&self) -> String {
        wire::print(self)
    }

    /// The pool of this key; added if it isn't there.
    pub fn pool_mut(&mut self, key: PoolKey) -> &mut GoPool {
        self.pools.entry(key).or_default()
    }

    /// The pools, by key.
    pub fn pools(&self) -> impl Iterator<Item = (&PoolKey, &GoPool)> {
        self.pools.iter()
    }
}

impl GoPool {
    /// Adds an entry, unless another one has its address or its name.
    pub fn insert(&mut self, entry: GoEntry) -> Result<(), EntryProblem> {
        if entry.owner.container.is_empty() {
            return Err(EntryProblem::NoContainer);
        }
        if entry.owner.interface.is_empty() {
            return Err(EntryProblem::NoInterface);
        }
        let name = entry.name();
        if self.entries.contains_key(&name) {
            return Err(EntryProblem::SameName);
        }
        if let Some(other) = self.owners_by_address.get(&entry.address) {
            return Err(EntryProblem::SameAddress {
                address: entry.address,
                other: other.clone(),
            });
        }
        self.owners_by_address.insert(entry.address, name.clone());
        self.entries.insert(name, entry);
        Ok(())
    }

    /// The entries, by name.
    pub fn entries(&self) -> impl Iterator<Item = &GoEntry> {
        self.entries.values()
    }
}

impl GoEntry {
    /// What an entry is called in its pool. Container and interface can't be told apart again, and two owners can have
    /// the same name: `a_b` with `c`, `a` with `b_c`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}_{}", self.owner.container, self.owner.interface)
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! Taking over the store of a Go daemon.
//!
//! In this order, so that after a crash at any point the next start finds one whole store and goes on from it:
//!
//! 1. The JSON is read and checked. Nothing has changed yet, and nothing does if it is not sound.
//! 2. The database is made under another name. (The next start removes it, and begins anew.)
//! 3. The JSON gets a second name, under which it is kept. (The next start begins anew, and finds that name right.)
//! 4. Database and JSON exchange their names. (The next start opens the database if the JSON was the one that was read,
//!    and else changes them back and begins anew.)
//! 5. The JSON's name from that goes; the one from step 3 stays. (The next start removes it.)

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use api::pool_key::PoolKey;
use k8s_openapi::jiff::Timestamp;
use rpc::journal::Stamp;
use rusqlite::Connection;

use super::error::StoreError;
use super::files::Files;
use super::lock::hold;
use super::make;
use super::rows::{self, Memory, Stored};
use crate::clock::{BootClock, Clock};
use crate::go_store::{GoEntry, GoStore};
use crate::reservation::{Reservation, RowId};

/// Makes a database of the store of a Go daemon, `json`, which the caller holds. Returns the database's file, locked.
pub(super) fn import(files: &Files, json: &File) -> Result<File, StoreError> {
    let store = &files.store;
    let content = sound(files, json)?;
    let now = Now::read().map_err(StoreError::io("reading the boot's id for", store))?;
    let reservations = reservations(&content, &now);

    let database = make::database(files, |connection| fill(connection, &content, &reservations))?;
    // A Go daemon that runs all the same may have made another one by now. What it made must not be kept as taken over:
    // the next start would think that it came in a database's place.
    hold(json, store)?;
    make::keep_aside(files, &files.imported())?;
    if let Err(error) = hold(json, store) {
        make::remove(&files.imported())?;
        return Err(error);
    }
    make::replace(files, json)?;
    tracing::info!(
        store = %store.display(),
        reservations = reservations.len(),
        kept = %files.imported().display(),
        "took over the store of the Go ipam-node"
    );
    Ok(database)
}

/// Fails unless the store, one of a Go daemon, could be taken over.
pub(super) fn must_be_sound(files: &Files) -> Result<(), StoreError> {
    let json = File::open(&files.store).map_err(StoreError::io("opening the store", &files.store))?;
    sound(files, &json).map(drop)
}

fn sound(files: &Files, json: &File) -> Result<GoStore, StoreError> {
    match trace_of_database(files) {
        Some(trace) => Err(StoreError::GoStoreAfterOurs {
            path: files.store.clone(),
            trace,
        }),
        None => parse(json, &files.store),
    }
}

/// What tells that the JSON took the place of a database. The store's own second name is that of step 3.
fn trace_of_database(files: &Files) -> Option<PathBuf> {
    files
        .traces_of_database()
        .into_iter()
        .find(|trace| fs::symlink_metadata(trace).is_ok() && !make::same_file(trace, &files.store))
}

/// Reads and checks the store of a Go daemon at `path`, which was opened as `json`.
pub(super) fn parse(mut json: &File, path: &Path) -> Result<GoStore, StoreError> {
    let mut bytes = Vec::new();
    json.read_to_end(&mut bytes)
        .map_err(StoreError::io("reading the store", path))?;
    GoStore::parse(&bytes).map_err(|source| StoreError::GoStore {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

/// The reservations of a Go daemon as ours, in the order in which they were made. What that daemon had released and only
/// kept back for a while is none.
///
/// They are stamped as [`Now::stamp`] says. No network is known of them, so that GC leaves them alone, and no pod of theirs
/// has been seen.
pub(super) fn reservations(store: &GoStore, now: &Now) -> Vec<Stored> {
    let mut entries: Vec<(&PoolKey, &GoEntry, Option<Timestamp>)> = store
        .pools()
        .flat_map(|(key, pool)| pool.entries().map(move |entry| (key, entry)))
        .filter(|(_, entry)| entry.released.is_none())
        .map(|(key, entry)| (key, entry, entry.created.parse().ok()))
        .collect();
    entries.sort_by_key(|(_, _, created)| *created);
    (1..)
        .map(RowId)
        .zip(entries)
        .map(|(id, (key, entry, created))| {
            let reservation = Reservation {
                id,
                pool: key.clone(),
                address: entry.address,
                owner: entry.owner.clone(),
                pod: entry.pod.clone(),
                network: "".into(),
                made: (&now.stamp(created)).into(),
                pod_seen: false,
            };
            Stored {
                reservation,
                device_id: entry.device_id.clone(),
                created: entry.created.clone(),
                pool_config: entry.pool_config.clone(),
            }
        })
        .collect()
}

/// One moment on both clocks.
pub(super) struct Now {
    pub(super) stamp: Stamp,
    pub(super) time_of_day: Timestamp,
}

/// The id of no boot: whatever it was, it is not this one's.
const EARLIER_BOOT: &str = "earlier";

/// So far the time of day may be off, in nanoseconds: 10 minutes.
const MARGIN: i128 = 10 * 60 * 1_000_000_000;

impl Now {
    pub(super) fn read() -> io::Result<Self> {
        Ok(Self {
            stamp: BootClock::new()?.stamp(),
            time_of_day: Timestamp::now(),
        })
    }

    /// When a reservation was made, of which only the time of day is known: as if no clock had been set since.
    ///
    /// A DEL that waits in the journal then releases what was made before it, and not what the Go daemon made after it. What
    /// lies clearly before this boot is stamped as of an earlier one, whose containers can't run any more, and whose
    /// reservations the cleaner may release though it never saw their pods. Where the time of day was wrong that may be an
    /// address in use; it stays in use, since the pod of every such reservation is asked for, and while it is in the API
    /// nothing is released (the Go daemon did the same with all of its own).
    fn stamp(&self, created: Option<Timestamp>) -> Stamp {
        let now = i128::from(self.stamp.boottime_ns);
        let age = created.map(|created| self.time_of_day.as_nanosecond() - created.as_nanosecond());
        // Unknown: the first instant of this boot, so that whoever has it is taken for somebody who lives.
        let made = now - age.unwrap_or(now);
        if made < -MARGIN {
            return Stamp {
                boot_id: EARLIER_BOOT.to_owned(),
                boottime_ns: 0,
            };
        }
        Stamp {
            boot_id: self.stamp.boot_id.clone(),
            boottime_ns: u64::try_from(made.clamp(0, now)).unwrap_or_default(),
        }
    }
}

/// Writes into an empty database, in one transaction.
fn fill(connection: &Connection, store: &GoStore, reservations: &[Stored]) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    for (key, pool) in store.pools() {
        rows::insert_memory(
            &transaction,
            &Memory {
                key: key.clone(),
                last_reserved: pool.last_reserved,
                last_config: Some(pool.last_pool_config.clone()),
            },
        )?;
    }
    for stored in reservations {
        rows::insert(&transaction, stored)?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_says_when_in_which_boot_a_reservation_was_made() {
        let now = Now {
            stamp: Stamp::at("now", 3600, 0),
            time_of_day: "2026-11-24T12:00:00Z".parse().unwrap(),
        };
        let earlier = Stamp::at(EARLIER_BOOT, 0, 0);
        for (created, stamp) in [
            ("2026-11-24T11:59:59.5Z", Stamp::at("now", 3599, 500_000_000)),
            ("2026-11-24T12:00:01+01:00", Stamp::at("now", 1, 0)),
            // From the future, and from just before the boot: a clock was set.
            ("2026-11-24T12:30:00Z", Stamp::at("now", 3600, 0)),
            ("2026-11-24T10:50:00Z", Stamp::at("now", 0, 0)),
            ("2026-11-24T10:49:59Z", earlier.clone()),
            ("1970-01-01T00:00:00Z", earlier),
            ("not a time", Stamp::at("now", 0, 0)),
        ] {
            assert_eq!(now.stamp(created.parse().ok()), stamp, "{created}");
        }
    }
}

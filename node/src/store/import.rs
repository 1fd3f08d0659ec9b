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
use std::io::Read;
use std::path::{Path, PathBuf};

use api::pool_key::PoolKey;
use k8s_openapi::jiff::Timestamp;
use rpc::journal::Stamp;
use rusqlite::Connection;

use super::error::StoreError;
use super::files::Files;
use super::lock::hold;
use super::make;
use super::rows::{self, Memory};
use crate::clock::{BootClock, Clock};
use crate::go_store::{GoEntry, GoStore};
use crate::reservation::{Reservation, RowId};

/// Makes a database of the store of a Go daemon, `json`, which the caller holds. Returns the database's file, locked.
pub(super) fn import(files: &Files, json: &File) -> Result<File, StoreError> {
    let store = &files.store;
    let content = sound(files, json)?;
    let clock = BootClock::new().map_err(StoreError::io("reading the boot's id for", store))?;
    let reservations = reservations(&content, clock.boot_id());

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

/// The reservations of a Go daemon as ours, in the order in which they were made, and the pool as it was then. What that
/// daemon had released and only kept back for a while is none.
///
/// Their stamp is the first instant of this boot: a DEL that waits in the journal comes after it, and the cleaner takes
/// them for what they may well be, addresses of containers that run (those of an earlier boot can't). No network is known
/// of them, so that GC leaves them alone, and no pod of theirs has been seen.
pub(super) fn reservations(store: &GoStore, boot_id: &str) -> Vec<(Reservation, String)> {
    let mut entries: Vec<(&PoolKey, &GoEntry)> = store
        .pools()
        .flat_map(|(key, pool)| pool.entries().map(move |entry| (key, entry)))
        .filter(|(_, entry)| entry.released.is_none())
        .collect();
    entries.sort_by_key(|(_, entry)| entry.created.parse::<Timestamp>().ok());
    (1..)
        .map(RowId)
        .zip(entries)
        .map(|(id, (key, entry))| {
            let reservation = Reservation {
                id,
                pool: key.clone(),
                address: entry.address,
                owner: entry.owner.clone(),
                pod: entry.pod.clone(),
                device_id: entry.device_id.clone(),
                network: String::new(),
                created: entry.created.clone(),
                stamp: Stamp {
                    boot_id: boot_id.to_owned(),
                    boottime_ns: 0,
                },
                pod_seen: false,
            };
            (reservation, entry.pool_config.clone())
        })
        .collect()
}

/// Writes into an empty database, in one transaction.
fn fill(
    connection: &Connection,
    store: &GoStore,
    reservations: &[(Reservation, String)],
) -> rusqlite::Result<()> {
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
    for (reservation, pool_config) in reservations {
        rows::insert(&transaction, reservation, pool_config)?;
    }
    transaction.commit()
}

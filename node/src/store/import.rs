//! Taking over the store of a Go daemon.
//!
//! In this order, so that after a crash at any point the next start finds one whole store and goes on from it:
//!
//! 1. The JSON is read and checked. Nothing has changed yet, and nothing does if it is not sound.
//! 2. The database is made under another name. (The next start removes it, and begins anew.)
//! 3. The JSON gets a second name, under which it is kept. (The next start begins anew, and finds that name right.)
//! 4. The database takes the store's name. (The next start opens it.)

use std::fs::{self, File};
use std::io::{self, Read};

use k8s_openapi::jiff::Timestamp;
use rusqlite::{Connection, params};

use super::error::StoreError;
use super::files::Files;
use super::lock::hold;
use super::make;
use crate::clock::{BootClock, Clock};
use crate::go_store::{GoEntry, GoStore};

/// Makes a database of the store of a Go daemon, `json`, which the caller holds. Returns the database's file, locked.
pub(super) fn import(files: &Files, json: &File) -> Result<File, StoreError> {
    let store = &files.store;
    if let Some(trace) = trace_of_database(files) {
        return Err(StoreError::GoStoreAfterOurs {
            path: store.clone(),
            trace,
        });
    }
    let bytes = read(json).map_err(StoreError::io("reading the store", store))?;
    let content = GoStore::parse(&bytes).map_err(|source| StoreError::GoStore {
        path: store.clone(),
        source: Box::new(source),
    })?;
    let clock = BootClock::new().map_err(StoreError::io("reading the boot's id for", store))?;

    let mut count = 0;
    let database = make::database(files, |connection| {
        count = fill(connection, &content, clock.boot_id())?;
        Ok(())
    })?;
    make::keep_aside(files, &files.imported())?;
    // A Go daemon that runs all the same would have made another one by now.
    hold(json, store)?;
    make::publish(files, |new, store| fs::rename(new, store))?;
    tracing::info!(
        store = %store.display(),
        reservations = count,
        kept = %files.imported().display(),
        "took over the store of the Go ipam-node"
    );
    Ok(database)
}

/// What tells that the JSON took the place of a database. The store's own second name is that of step 3.
fn trace_of_database(files: &Files) -> Option<std::path::PathBuf> {
    files
        .traces_of_database()
        .into_iter()
        .find(|trace| fs::symlink_metadata(trace).is_ok() && !make::same_file(trace, &files.store))
}

fn read(mut file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes `store` into an empty database, in one transaction, and says how many reservations it holds.
///
/// Their stamp is the first instant of this boot: a DEL that waits in the journal comes after it, and the cleaner takes
/// them for what they may well be, addresses of containers that run (those of an earlier boot can't). No network is known
/// of them, so that GC leaves them alone, and no pod of theirs has been seen.
fn fill(connection: &Connection, store: &GoStore, boot_id: &str) -> rusqlite::Result<usize> {
    let transaction = connection.unchecked_transaction()?;
    let mut count = 0;
    for (key, pool) in store.pools() {
        transaction.execute(
            "INSERT INTO pools (pool, last_reserved, last_config) VALUES (?1, ?2, ?3)",
            params![
                key.as_str(),
                pool.last_reserved.map(|address| address.to_string()),
                pool.last_pool_config
            ],
        )?;
        let mut entries: Vec<&GoEntry> = pool.entries().collect();
        // Rows are in the order in which they were made.
        entries.sort_by_key(|entry| entry.created.parse::<Timestamp>().ok());
        for entry in entries {
            if let Some(released) = &entry.released {
                tracing::info!(
                    pool = key.as_str(), address = %entry.address, released,
                    "the Go ipam-node had released this address and kept it back for a while; it is free now"
                );
                continue;
            }
            transaction
                .prepare_cached(
                    "INSERT INTO reservations (pool, address, container, interface, pod_uid, pod_name, pod_namespace,
                                               device_id, network, created, boot_id, boottime_ns, pool_config)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '', ?9, ?10, 0, ?11)",
                )?
                .execute(params![
                    key.as_str(),
                    entry.address.to_string(),
                    entry.owner.container,
                    entry.owner.interface,
                    entry.pod.uid,
                    entry.pod.name,
                    entry.pod.namespace,
                    entry.device_id,
                    entry.created,
                    boot_id,
                    entry.pool_config,
                ])?;
            count += 1;
        }
    }
    transaction.commit()?;
    Ok(count)
}

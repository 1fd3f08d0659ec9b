//! Giving the store back to a Go daemon.
//!
//! In this order, so that after a crash at any point there is one whole store, the database or the JSON:
//!
//! 1. DELs that wait in the journal are applied, and their entries go: their callers were told that it was done, and the Go
//!    daemon doesn't read them. Left there they would, after the way back, meet what it made since. (The next start applies
//!    those that are still there, to no effect.)
//! 2. The log is moved into the database, so that it is one file. (The next start opens it as ever.)
//! 3. The JSON is made under another name. (The next start removes it.)
//! 4. The database gets a second name, under which it is kept. (The next start takes that name away.)
//! 5. What tells of a database is removed. (The next start opens the database, and misses nothing of it.)
//! 6. The JSON takes the store's name. (The next start, of whichever daemon, goes on from it.)

use std::cell::Cell;
use std::fs;
use std::path::Path;

use api::pool_key::PoolKey;
use rusqlite::{Connection, ErrorCode};

use super::error::StoreError;
use super::files::Files;
use super::lock::StoreLock;
use super::open::Kind;
use super::transaction::Transaction;
use super::{import, make, open, room, rows};
use crate::clock::{BootClock, Clock};
use crate::go_store::{GoEntry, GoStore};
use crate::journal::{Journal, Pending};

/// What came of an export in place. Done again, it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InPlace {
    /// The store is one of the Go daemon now. The database is kept.
    Exported {
        /// What is in it.
        store: GoStore,
        /// How many DELs waited in the journal, which are in it.
        applied: usize,
    },
    /// It was one already, that a Go daemon starts with, and that no database of ours was lost for.
    Already,
    /// It is absent or empty, which is empty to both.
    Nothing,
}

/// Turns the store that `lock` is for into one that a Go daemon starts with, after what waits in `journal`.
pub fn export_in_place(lock: StoreLock, mut journal: Option<Journal>) -> Result<InPlace, StoreError> {
    let files = &lock.files;
    let mut applied = 0;
    let done = room::with_reserve(&files.reserve(), || {
        attempt(files, journal.as_mut(), &mut applied)
    });
    drop(lock);
    done
}

/// Counts the DELs that it applies in `applied`, also if it fails later.
fn attempt(files: &Files, journal: Option<&mut Journal>, applied: &mut usize) -> Result<InPlace, StoreError> {
    make::remove_unfinished(files)?;
    let kind = open::look(&files.store)?;
    match kind {
        Some(Kind::Ours) => {}
        Some(Kind::Json) => {
            import::must_be_sound(files)?;
            return Ok(InPlace::Already);
        }
        None | Some(Kind::Empty) => {
            open::not_lost(files, kind)?;
            return Ok(InPlace::Nothing);
        }
    }
    let database = open::open_database(files)?;
    let connection = &database.connection;
    let in_use = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse(files.store.clone()),
        _ => StoreError::sqlite("moving the log into the store", &files.store)(error),
    };
    if let Some(journal) = journal {
        *applied += drain(connection, journal, &files.store)?;
    }
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))
        .map_err(in_use)?;
    if mode != "delete" {
        return Err(StoreError::InUse(files.store.clone()));
    }
    // Nobody writes until the name belongs to the other one.
    connection.execute_batch("BEGIN EXCLUSIVE").map_err(in_use)?;
    let store = read(connection, &files.store)?;
    make::file(files, store.print().as_bytes())?;
    make::remove(&files.exported())?;
    make::keep_aside(files, &files.exported())?;
    for trace in files.traces_of_database() {
        make::remove(&trace)?;
    }
    make::publish(files, &files.unfinished_json(), |new, store| {
        fs::rename(new, store)
    })?;
    Ok(InPlace::Exported {
        store,
        applied: *applied,
    })
}

/// Applies what waits in the journal, for good when this returns, and says how many entries that were.
fn drain(connection: &Connection, journal: &mut Journal, path: &Path) -> Result<usize, StoreError> {
    let pending = journal.pending();
    if pending.is_empty() {
        return Ok(0);
    }
    let clock = BootClock::new().map_err(StoreError::io("reading the boot's id for", path))?;
    let mut ledger = rows::load(connection).map_err(|error| StoreError::load(path, error))?;
    let failed = || StoreError::sqlite("applying the journal of DELs to", path);
    let ids = Cell::default();
    let transaction = Transaction::begin(connection, &ids).map_err(failed())?;
    for Pending { entry, .. } in &pending {
        for row in ledger.released_late_by(&entry.into(), &entry.stamp, clock.boot_id()) {
            ledger.remove(row);
            transaction.delete(row).map_err(failed())?;
        }
    }
    transaction.commit().map_err(failed())?;
    let applied = pending.len();
    journal
        .all_done(pending)
        .map_err(StoreError::io("removing applied DELs from the journal of", path))?;
    Ok(applied)
}

/// What the Go daemon would have written in place of the database. Networks, and which pods were seen, it doesn't know.
pub(super) fn read(connection: &Connection, path: &Path) -> Result<GoStore, StoreError> {
    let mut store = GoStore::default();
    let failed = || StoreError::sqlite("reading the store", path);
    // A pool that is only configured is none to it.
    let pools = rows::memories(connection).map_err(failed())?;
    for memory in pools {
        let pool = store.pool_mut(memory.key);
        pool.last_reserved = memory.last_reserved.map(|address| address.to_canonical());
        pool.last_pool_config = memory.last_config.unwrap_or_default();
    }
    for stored in rows::reservations(connection).map_err(failed())? {
        let reservation = stored.reservation;
        let entry = GoEntry {
            owner: reservation.owner,
            address: reservation.address.to_canonical(),
            pod: reservation.pod,
            device_id: stored.device_id,
            created: stored.created,
            pool_config: stored.pool_config,
            released: None,
        };
        insert(&mut store, reservation.pool, entry, path)?;
    }
    Ok(store)
}

fn insert(store: &mut GoStore, pool: PoolKey, entry: GoEntry, path: &Path) -> Result<(), StoreError> {
    let (address, owner) = (entry.address, entry.owner.clone());
    let inserted = store.pool_mut(pool.clone()).insert(entry);
    inserted.map_err(|problem| StoreError::NotForGo {
        path: path.to_owned(),
        pool,
        address,
        owner: Box::new(owner),
        problem: Box::new(problem),
    })
}

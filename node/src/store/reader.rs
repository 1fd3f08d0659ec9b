//! Looking into a store, and releasing by hand, beside a daemon that may run in another process.
//!
//! Not for a process that has the store open otherwise: opening and closing its file drops SQLite's locks.

use std::cell::Cell;
use std::fs::File;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use api::node_pool::NodePool;
use api::pool_key::PoolKey;
use rusqlite::{Connection, OpenFlags};

use super::error::StoreError;
use super::files::Files;
use super::rows::Stored;
use super::transaction::Transaction;
use super::{export, import, open, room, rows, schema};
use crate::go_store::GoStore;

/// How long a daemon may take to finish what it writes.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a store held at one moment.
#[derive(Clone, Debug)]
pub struct Content {
    /// Every reservation, in the order in which they were made.
    pub reservations: Vec<Stored>,
    /// This node's pools, as the daemon last knew them. Of a Go daemon's store none are known.
    pub table: Vec<NodePool>,
}

/// What the store at `path` holds, whichever daemon's it is.
pub fn content(path: &Path) -> Result<Content, StoreError> {
    let (reservations, table) = match of_go_daemon(path)? {
        Some(store) => (
            import::reservations(
                &store,
                &import::Now::read().map_err(StoreError::io("reading the boot's id for", path))?,
            ),
            Vec::new(),
        ),
        None => at_one_moment(path, |connection| {
            let read = || Ok((rows::reservations(connection)?, rows::table(connection)?));
            read().map_err(StoreError::sqlite("reading the store", path))
        })?,
    };
    Ok(Content { reservations, table })
}

/// What the Go daemon would have written in place of the store at `path`, or has written.
pub fn go_store(path: &Path) -> Result<GoStore, StoreError> {
    match of_go_daemon(path)? {
        Some(store) => Ok(store),
        None => at_one_moment(path, |connection| export::read(connection, path)),
    }
}

fn of_go_daemon(path: &Path) -> Result<Option<GoStore>, StoreError> {
    if open::look(path)? == Some(open::Kind::Json) {
        let file = File::open(path).map_err(StoreError::io("opening the store", path))?;
        return import::parse(&file, path).map(Some);
    }
    Ok(None)
}

/// Reads a database that a daemon may be using, changing nothing.
fn at_one_moment<T>(
    path: &Path,
    read: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    open::must_be_database(path)?;
    let failed = || StoreError::sqlite("opening the store", path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed())?;
    connection.busy_timeout(PATIENCE).map_err(failed())?;
    // Dropped, it ends.
    let transaction = connection.unchecked_transaction().map_err(failed())?;
    must_be_current(&transaction, path)?;
    read(&transaction)
}

fn must_be_current(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    let found: i64 = version.map_err(StoreError::sqlite("opening the store", path))?;
    // The head of the file, which was looked at first, may be older than the log.
    open::known_version(path, found)?;
    if found == schema::VERSION {
        Ok(())
    } else {
        let path = path.to_owned();
        Err(StoreError::TooOld { path, found })
    }
}

/// Releases an address by hand, durably, and returns the reservation that it had; `None` if there was none.
///
/// A daemon that runs sees it before it next hands out or releases anything.
///
/// Where the disk is full and no daemon runs, it takes the room that was kept for a start, and keeps it again afterwards.
pub fn release(path: &Path, pool: &PoolKey, address: IpAddr) -> Result<Option<Stored>, StoreError> {
    let reserve = Files::of(path).reserve();
    let kept = reserve.exists();
    let released = room::with_reserve(&reserve, || release_once(path, pool, address));
    // A daemon that has been started meanwhile has taken it; then it keeps room of its own.
    if kept && !reserve.exists() && !Files::of(path).log().exists() {
        let _ = room::set_aside(&reserve);
    }
    released
}

fn release_once(path: &Path, pool: &PoolKey, address: IpAddr) -> Result<Option<Stored>, StoreError> {
    open::must_be_database(path)?;
    let connection = schema::open(path).map_err(StoreError::sqlite("opening the store", path))?;
    must_be_current(&connection, path)?;
    let released = || -> rusqlite::Result<Option<Stored>> {
        schema::configure(&connection)?;
        connection.busy_timeout(PATIENCE)?;
        let ids = Cell::default();
        let transaction = Transaction::begin(&connection, &ids)?;
        let found = rows::reservations(&connection)?.into_iter().find(
            |Stored {
                 reservation: held, ..
             }| held.pool == *pool && held.address == address,
        );
        if let Some(found) = &found {
            transaction.delete(found.reservation.id)?;
        }
        transaction.commit()?;
        Ok(found)
    };
    released().map_err(StoreError::sqlite("releasing in the store", path))
}

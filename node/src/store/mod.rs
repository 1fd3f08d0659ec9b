//! Reservations on stable storage: one SQLite database, and the files beside it.
//!
//! Beside the database `<store>` lie `<store>.lock` ([`StoreLock`]); while it is open `<store>-wal` and `<store>-shm`
//! (SQLite's), while it is closed `<store>.reserve` (room for the former); for a moment `<store>.new` or
//! `<store>.new.json`, a store that is being made. A store of the Go daemon that was taken over is kept as `<store>.go.json`, a database that was given back
//! to it as `<store>.db`.
//!
//! A crash at any instant leaves every commit that returned, and of one that didn't return all or nothing.

mod error;
mod export;
mod files;
mod ids;
mod import;
mod lock;
mod make;
mod open;
mod reader;
mod room;
mod rows;
mod schema;
mod transaction;

use std::cell::Cell;
use std::io;
use std::path::Path;

use rusqlite::config::DbConfig;

use crate::ledger::Ledger;
use files::Identity;
use ids::Ids;

pub use error::{Displaced, StoreError};
pub use export::{InPlace, export_in_place};
pub use lock::StoreLock;
pub use reader::{Content, content, go_store, release};
pub use rows::{LoadError, Stored};
pub use transaction::{New, Transaction};

/// An open store. For one thread.
#[derive(Debug)]
pub struct Store {
    database: open::Database,
    /// Which file the database is.
    identity: Identity,
    /// What other programs had changed in the database when it was last read whole.
    data_version: Cell<i64>,
    /// For rows to come.
    ids: Cell<Ids>,
    /// Released after everything else.
    lock: StoreLock,
}

impl Store {
    /// Opens the store that `lock` is for and reads it. Absent or empty, it is made; one of the Go daemon is taken over.
    ///
    /// Whatever is not sound, or neither's, is refused and left as it is.
    pub fn open(lock: StoreLock) -> Result<(Self, Ledger), StoreError> {
        let reserve = lock.files.reserve();
        let database = room::with_reserve(&reserve, || open::open(&lock.files))?;
        room::give_back(&reserve).map_err(StoreError::io("removing the reserve", &reserve))?;
        let store = Self {
            identity: Identity::of(&database.held)
                .map_err(StoreError::io("opening the store", &lock.files.store))?,
            database,
            data_version: Cell::new(0),
            ids: Cell::default(),
            lock,
        };
        let ledger = store
            .load()
            .map_err(|error| StoreError::load(store.path(), error))?;
        Ok((store, ledger))
    }

    /// The path of the database.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.lock.files.store
    }

    /// Fails if the database is not the file at its path any more. Costs one look at the path.
    pub fn is_in_place(&self) -> Result<(), Displaced> {
        Displaced::look(self.path(), self.identity)
    }

    /// Gives up a database that is not at its path any more, then the lock.
    ///
    /// What only the log has goes into the database, wherever that is now, and the log is emptied: SQLite would take it for
    /// the log of whatever lies at the path. Both by their descriptors, so nothing that lies there is touched. The empty
    /// log stays, and tells the next start that there was a store.
    pub fn abandon(self) -> rusqlite::Result<()> {
        let connection = &self.database.connection;
        // Closing must not remove by their names what may be another's.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy {
            tracing::error!(
                log = %self.lock.files.log().display(),
                "another program reads the store that was there, so its log could not be emptied: move it away before \
                 ipam-node starts again, it does not belong to what lies beside it"
            );
        }
        Ok(())
    }

    /// Reads everything.
    pub fn load(&self) -> Result<Ledger, LoadError> {
        // Version first: what changes in between is then read twice, not missed.
        self.data_version.set(data_version(&self.database.connection)?);
        self.ids.update(Ids::without_rest);
        rows::load(&self.database.connection)
    }

    /// Starts a transaction, in which nobody else can write.
    pub fn begin(&self) -> rusqlite::Result<Transaction<'_>> {
        Transaction::begin(&self.database.connection, &self.ids)
    }

    /// Whether another program changed the database since [`Store::load`]. Asked within a transaction, the answer holds
    /// to its end.
    pub fn changed_elsewhere(&self) -> rusqlite::Result<bool> {
        Ok(data_version(&self.database.connection)? != self.data_version.get())
    }

    /// Moves the log into the database, as far as nobody reads the old state, without waiting for anybody.
    pub fn checkpoint(&self) -> rusqlite::Result<()> {
        self.database
            .connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
    }

    /// Makes sure that releasing has room on the disk even if it is full otherwise; fails if that room isn't there now.
    /// A checkpoint gives up a part of it, so call this after each.
    pub fn keep_room(&self) -> io::Result<()> {
        let database = &self.database;
        let unused = unused_bytes(&database.connection).map_err(io::Error::other)?;
        let log = self.lock.files.log();
        if room::keep(&database.held, unused, &log)?
            && self.is_in_place().is_ok()
            && let Err(error) = room::write_once(&log)
        {
            tracing::debug!(log = %log.display(), %error, "the log can't be written in advance, so commits take longer at first");
        }
        Ok(())
    }

    /// Moves the whole log into the database and closes it, then gives up the lock. Nothing is lost if that fails: the
    /// next start reads the log.
    pub fn close(self) -> rusqlite::Result<()> {
        // While the fields are in their order: what fails here must drop `held` last.
        self.database
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        let open::Database { connection, held } = self.database;
        connection.close().map_err(|(_, error)| error)?;
        if let Err(error) = room::set_aside(&self.lock.files.reserve()) {
            tracing::warn!(%error, "no room on the disk can be kept for the next start");
        }
        drop((held, self.lock));
        Ok(())
    }
}

/// What the database can grow by without growing.
fn unused_bytes(connection: &rusqlite::Connection) -> rusqlite::Result<u64> {
    let pages = |what| connection.pragma_query_value(None, what, |row| row.get::<_, i64>(0));
    Ok((pages("freelist_count")? * pages("page_size")?).cast_unsigned())
}

fn data_version(connection: &rusqlite::Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("PRAGMA data_version")?
        .query_row([], |row| row.get(0))
}

#[cfg(test)]
mod go_crash_tests;
#[cfg(test)]
mod go_tests;
#[cfg(test)]
pub(crate) mod tests;

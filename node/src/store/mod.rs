//! Reservations on stable storage: one SQLite database, and the files beside it.
//!
//! Beside the database `<store>` lie `<store>-wal` and `<store>-shm` (SQLite's), `<store>.lock` ([`StoreLock`]),
//! `<store>.reserve` ([`Reserve`]), and for a moment `<store>.new`, a database that is being made.
//!
//! A crash at any instant leaves every commit that returned, and of one that didn't return all or nothing.

mod error;
mod files;
mod lock;
mod open;
mod reserve;
mod rows;
mod schema;
mod transaction;

use std::cell::Cell;
use std::path::Path;

use rusqlite::TransactionBehavior;

use crate::ledger::Ledger;

pub use error::StoreError;
pub use lock::StoreLock;
pub use reserve::Reserve;
pub use rows::LoadError;
pub use transaction::{New, Transaction};

/// An open store. For one thread.
#[derive(Debug)]
pub struct Store {
    database: open::Database,
    reserve: Reserve,
    /// What other programs had changed in the database when it was last read whole.
    data_version: Cell<i64>,
    /// Released after everything else.
    lock: StoreLock,
}

impl Store {
    /// Opens the store that `lock` is for and reads it. Absent or empty, it is made.
    ///
    /// Whatever else is there is refused and left as it is, unless it is a sound database of ours.
    pub fn open(lock: StoreLock) -> Result<(Self, Ledger), StoreError> {
        let database = open::open(&lock.files)?;
        let reserve = Reserve::new(lock.files.reserve());
        let store = Self {
            database,
            reserve,
            data_version: Cell::new(0),
            lock,
        };
        let ledger = store.load().map_err(|error| match error {
            LoadError::Sqlite(error) => StoreError::sqlite("reading", store.path())(error),
            LoadError::Conflict(conflict) => {
                StoreError::unusable(store.path(), format!("contradicts itself ({conflict})"))
            }
        })?;
        Ok((store, ledger))
    }

    /// The path of the database.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.lock.files.store
    }

    /// The room that is kept for releasing.
    #[must_use]
    pub fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    /// Reads everything.
    pub fn load(&self) -> Result<Ledger, LoadError> {
        // Version first: what changes in between is then read twice, not missed.
        self.data_version.set(data_version(&self.database.connection)?);
        rows::load(&self.database.connection)
    }

    /// Starts a transaction, in which nobody else can write.
    pub fn begin(&self) -> rusqlite::Result<Transaction<'_>> {
        rusqlite::Transaction::new_unchecked(&self.database.connection, TransactionBehavior::Immediate)
            .map(Transaction)
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

    /// Moves the whole log into the database and closes it, then gives up the lock. Nothing is lost if that fails: the
    /// next start reads the log.
    pub fn close(self) -> rusqlite::Result<()> {
        let open::Database { connection, held } = self.database;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        connection.close().map_err(|(_, error)| error)?;
        drop((held, self.lock));
        Ok(())
    }
}

fn data_version(connection: &rusqlite::Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("PRAGMA data_version")?
        .query_row([], |row| row.get(0))
}

#[cfg(test)]
pub(crate) mod tests;

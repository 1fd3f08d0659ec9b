//! Looking into a store, and releasing by hand, beside a daemon that may run.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::node_pool::NodePool;
use api::pool_key::PoolKey;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::StoreError;
use super::transaction::Transaction;
use super::{export, open, rows, schema};
use crate::go_store::GoStore;
use crate::reservation::Reservation;

/// How long a daemon may take to finish what it writes.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a store held at one moment.
#[derive(Clone, Debug)]
pub struct Content {
    /// Every reservation, in the order in which they were made.
    pub reservations: Vec<Reservation>,
    /// This node's pools, as the daemon last knew them.
    pub table: Vec<NodePool>,
}

/// A store that another process may be using.
///
/// Not for a process that has the store open otherwise: opening and closing the file drops its locks.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    connection: Connection,
}

impl Reader {
    /// Opens the store at `path` to be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        open::must_be_database(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = || StoreError::sqlite("opening the store", path);
        let connection = Connection::open_with_flags(path, flags).map_err(failed())?;
        connection.busy_timeout(PATIENCE).map_err(failed())?;
        Ok(Self {
            path: path.to_owned(),
            connection,
        })
    }

    /// Reads what is there now.
    pub fn content(&self) -> Result<Content, StoreError> {
        self.at_one_moment(|connection| {
            let read = || {
                Ok(Content {
                    reservations: rows::reservations(connection)?
                        .into_iter()
                        .map(|(reservation, _)| reservation)
                        .collect(),
                    table: rows::table(connection)?,
                })
            };
            read().map_err(StoreError::sqlite("reading the store", &self.path))
        })
    }

    /// Reads what is there now, as the Go daemon would have written it.
    pub fn go_store(&self) -> Result<GoStore, StoreError> {
        self.at_one_moment(|connection| export::read(connection, &self.path))
    }

    fn at_one_moment<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // Read only; dropped, it ends.
        let transaction = self
            .connection
            .unchecked_transaction()
            .map_err(StoreError::sqlite("reading the store", &self.path))?;
        read(&transaction)
    }
}

/// Releases an address by hand, durably, and returns the reservation that it had; `None` if there was none.
///
/// A daemon that runs sees it before it next hands out or releases anything. For processes like a [`Reader`]'s.
pub fn release(path: &Path, pool: &PoolKey, address: IpAddr) -> Result<Option<Reservation>, StoreError> {
    open::must_be_database(path)?;
    let released = || -> rusqlite::Result<Option<Reservation>> {
        let connection = schema::open(path)?;
        schema::configure(&connection)?;
        connection.busy_timeout(PATIENCE)?;
        let transaction = Transaction(rusqlite::Transaction::new_unchecked(
            &connection,
            TransactionBehavior::Immediate,
        )?);
        let found = rows::reservations(&transaction.0)?
            .into_iter()
            .map(|(reservation, _)| reservation)
            .find(|reservation| reservation.pool == *pool && reservation.address == address);
        if let Some(reservation) = &found {
            transaction.delete(reservation.id)?;
        }
        transaction.commit()?;
        Ok(found)
    };
    released().map_err(StoreError::sqlite("releasing in the store", path))
}

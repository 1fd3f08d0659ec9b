//! What one transaction does, to the store and to the ledger alike.

use std::sync::Arc;

use rpc::journal::{Entry, Stamp};
use rusqlite::ErrorCode;

use super::horizon::Horizon;
use crate::call::{AllocateCall, ReleaseCall};
use crate::ledger::{Conflict, Ledger, allocate};
use crate::refusal::Refusal;
use crate::reservation::{Grant, Reservation, RowId};
use crate::store::{LoadError, New, Transaction};
use crate::table::Table;

/// Why a change wasn't made.
#[derive(Debug)]
pub(super) enum Failure {
    /// It alone is refused; the batch goes on.
    Refused(Refusal),
    /// The whole batch comes to nothing.
    Batch(Setback),
}

/// Why a whole batch comes to nothing.
#[derive(Debug)]
pub(super) enum Setback {
    /// The disk is full. Nothing of the batch is on it.
    Full(String),
    /// Another program has the database locked. The batch wasn't begun.
    Locked(String),
    /// Anything else. What is on the disk is not known.
    Broken(String),
}

/// When a batch is made, on both clocks.
pub(super) struct BatchTime {
    pub(super) stamp: Stamp,
    pub(super) time_of_day: String,
}

/// The batch while it is being filled. If it comes to nothing, the ledger must be read again.
pub(super) struct Batch<'a> {
    transaction: Transaction<'a>,
    ledger: &'a mut Ledger,
    time: &'a BatchTime,
    /// Why nothing may be added, if so.
    room: Result<(), Refusal>,
    changes: usize,
}

/// What is committed.
pub(super) struct View<'a> {
    pub(super) ledger: &'a Ledger,
    /// When it was committed.
    pub(super) horizon: &'a Horizon,
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        transaction: Transaction<'a>,
        ledger: &'a mut Ledger,
        time: &'a BatchTime,
        room: Result<(), Refusal>,
    ) -> Self {
        Self {
            transaction,
            ledger,
            time,
            room,
            changes: 0,
        }
    }

    pub(super) fn allocate(&mut self, call: &AllocateCall) -> Result<Vec<Grant>, Failure> {
        let planned = allocate(self.ledger, call)?;
        self.room.clone()?;
        let new: Vec<New<'_>> = planned
            .iter()
            .map(|planned| New {
                pool: &planned.grant.pool,
                address: planned.grant.address.addr(),
                any: planned.any,
                call,
                pool_config: self.ledger.snapshot(&planned.grant.pool),
                created: &self.time.time_of_day,
                stamp: &self.time.stamp,
            })
            .collect();
        for reservation in self.transaction.insert_all(&new)? {
            self.ledger.insert(reservation)?;
            self.changes += 1;
        }
        let mut grants = Vec::with_capacity(planned.len());
        for planned in planned {
            if planned.any {
                self.ledger
                    .set_last(&planned.grant.pool, planned.grant.address.addr());
            }
            grants.push(planned.grant);
        }
        Ok(grants)
    }

    /// Changes nothing.
    pub(super) fn can_allocate(&self) -> Result<(), Failure> {
        if self.ledger.known().is_anything() {
            Ok(self.room.clone()?)
        } else {
            Err(Refusal::NoTable.into())
        }
    }

    pub(super) fn release(&mut self, call: &ReleaseCall) -> Result<Vec<Arc<Reservation>>, Failure> {
        self.release_rows(&self.ledger.released_by(call))
    }

    /// Releases what `entry` says and returns it.
    pub(super) fn drain(&mut self, entry: &Entry) -> Result<Vec<Arc<Reservation>>, Failure> {
        let boot_id = &self.time.stamp.boot_id;
        let rows = self.ledger.released_late_by(&entry.into(), &entry.stamp, boot_id);
        self.release_rows(&rows)
    }

    pub(super) fn release_rows(&mut self, rows: &[RowId]) -> Result<Vec<Arc<Reservation>>, Failure> {
        let mut released = Vec::with_capacity(rows.len());
        for &row in rows {
            if let Some(reservation) = self.ledger.remove(row) {
                self.transaction.delete(row)?;
                self.changes += 1;
                released.push(reservation);
            }
        }
        Ok(released)
    }

    pub(super) fn mark_seen(&mut self, rows: &[RowId]) -> Result<(), Failure> {
        self.room.clone()?;
        for &row in rows {
            if self
                .ledger
                .get(row)
                .is_some_and(|reservation| !reservation.pod_seen)
            {
                self.transaction.mark_seen(row)?;
                self.ledger.mark_seen(row);
                self.changes += 1;
            }
        }
        Ok(())
    }

    /// Does nothing to the store if it holds these pools already, as it does after most starts, and whenever only other
    /// nodes' ranges change.
    pub(super) fn set_table(&mut self, table: &Table) -> Result<(), Failure> {
        let is_stored = self.ledger.known().is_anything()
            && self.ledger.configs().eq(table.pools.values())
            && !self.ledger.forgets_under(table);
        if !is_stored {
            self.room.clone()?;
            self.transaction.set_table(table, &self.time.time_of_day)?;
            self.changes += table.pools.len() + 1;
        }
        self.ledger.set_table(table.clone());
        Ok(())
    }

    /// Commits, and says how many rows changed. A batch without changes costs no flush.
    pub(super) fn commit(self) -> Result<usize, Setback> {
        self.transaction.commit().map_err(Setback::from)?;
        Ok(self.changes)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            // The ledger should have refused; the database did, and only the statement.
            Some(ErrorCode::ConstraintViolation) => Self::Refused(Refusal::Store(error.to_string())),
            _ => Self::Batch(error.into()),
        }
    }
}

impl From<Conflict> for Failure {
    fn from(conflict: Conflict) -> Self {
        Self::Batch(Setback::Broken(format!(
            "it took what the ledger refuses: {conflict}"
        )))
    }
}

impl From<rusqlite::Error> for Setback {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error.to_string()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked(error.to_string()),
            _ => Self::Broken(error.to_string()),
        }
    }
}

impl From<LoadError> for Setback {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Sqlite(error) => error.into(),
            LoadError::Conflict(conflict) => Self::Broken(conflict.to_string()),
        }
    }
}

//! Changes to the store, which are all made or none.

use std::net::IpAddr;

use api::pool_key::PoolKey;
use rpc::journal::Stamp;
use rusqlite::{Connection, params};

use super::schema::TABLE_KNOWN;
use crate::call::AllocateCall;
use crate::reservation::{Reservation, RowId};
use crate::table::Table;

/// A reservation to be made.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// The pool, of `call`.
    pub pool: &'a PoolKey,
    /// The address.
    pub address: IpAddr,
    /// Who asks for it.
    pub call: &'a AllocateCall,
    /// The pool as it is now, see [`crate::ledger::Ledger::snapshot`].
    pub pool_config: &'a str,
    /// The time of day.
    pub created: &'a str,
    /// The same on the other clock.
    pub stamp: &'a Stamp,
}

/// Changes that nobody sees before [`Transaction::commit`]; dropped, there are none.
///
/// What begins and ends it is compiled once for a connection, as other statements are: it is run for each commit.
#[derive(Debug)]
pub struct Transaction<'a>(&'a Connection);

impl<'a> Transaction<'a> {
    /// Begins one, in which nobody else can write.
    pub(super) fn begin(connection: &'a Connection) -> rusqlite::Result<Self> {
        run(connection, "BEGIN IMMEDIATE")?;
        Ok(Self(connection))
    }

    /// Inserts all of `new` or, on failure, none, and goes on with what was done before.
    pub fn insert_all(&mut self, new: &[New<'_>]) -> rusqlite::Result<Vec<Reservation>> {
        run(self.0, "SAVEPOINT before_all")?;
        let made = self.insert_each(new);
        // What fails may have ended the whole transaction, as a full disk does.
        if made.is_err() && !self.0.is_autocommit() {
            run(self.0, "ROLLBACK TO before_all")?;
        }
        if !self.0.is_autocommit() {
            run(self.0, "RELEASE before_all")?;
        }
        made
    }

    fn insert_each(&self, new: &[New<'_>]) -> rusqlite::Result<Vec<Reservation>> {
        let mut insert = self.0.prepare_cached(
            "INSERT INTO reservations (pool, address, container, interface, pod_uid, pod_name, pod_namespace,
                                       device_id, network, created, boot_id, boottime_ns, pool_config)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?;
        // Only for export: the Go daemon writes it, and reads it never.
        let mut remember = self.0.prepare_cached(
            "INSERT INTO pools (pool, last_config) VALUES (?1, ?2)
             ON CONFLICT (pool) DO UPDATE SET last_config = excluded.last_config
             WHERE last_config IS NOT excluded.last_config",
        )?;
        let mut made = Vec::with_capacity(new.len());
        for New {
            pool,
            address,
            call,
            pool_config,
            created,
            stamp,
        } in new
        {
            let id = insert.insert(params![
                pool.as_str(),
                address.to_string(),
                call.owner.container,
                call.owner.interface,
                call.pod.uid,
                call.pod.name,
                call.pod.namespace,
                call.device_id,
                call.network,
                created,
                stamp.boot_id,
                stamp.boottime_ns.cast_signed(),
                pool_config,
            ])?;
            remember.execute(params![pool.as_str(), pool_config])?;
            made.push(Reservation {
                id: RowId(id),
                pool: (*pool).clone(),
                address: *address,
                owner: call.owner.clone(),
                pod: call.pod.clone(),
                network: call.network.as_str().into(),
                made: (*stamp).into(),
                pod_seen: false,
            });
        }
        Ok(made)
    }

    /// Deletes a reservation, if it is there.
    pub fn delete(&self, id: RowId) -> rusqlite::Result<()> {
        self.0
            .prepare_cached("DELETE FROM reservations WHERE id = ?1")?
            .execute([id.0])?;
        Ok(())
    }

    /// Records that the reservation's pod was seen in the API.
    pub fn mark_seen(&self, id: RowId) -> rusqlite::Result<()> {
        self.0
            .prepare_cached("UPDATE reservations SET pod_seen = 1 WHERE id = ?1")?
            .execute([id.0])?;
        Ok(())
    }

    /// Records the last address given to somebody who asked for any.
    pub fn set_last(&self, pool: &PoolKey, last: IpAddr) -> rusqlite::Result<()> {
        self.0
            .prepare_cached(
                "INSERT INTO pools (pool, last_reserved) VALUES (?1, ?2)
                 ON CONFLICT (pool) DO UPDATE SET last_reserved = excluded.last_reserved",
            )?
            .execute(params![pool.as_str(), last.to_string()])?;
        Ok(())
    }

    /// Records the table of pools, which came at `now`. What is not in it and has no reservations is forgotten, if it knows
    /// all pools of that kind.
    pub fn set_table(&self, table: &Table, now: &str) -> rusqlite::Result<()> {
        self.0.execute("UPDATE pools SET config = NULL", [])?;
        let mut put = self.0.prepare_cached(
            "INSERT INTO pools (pool, config) VALUES (?1, ?2)
             ON CONFLICT (pool) DO UPDATE SET config = excluded.config",
        )?;
        for pool in table.pools.values() {
            let config = serde_json::to_string(pool)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
            put.execute(params![pool.key.as_str(), config])?;
        }
        for key in self.unused_pools()? {
            if table.known.is_whole(key.kind()) {
                self.0
                    .prepare_cached("DELETE FROM pools WHERE pool = ?1")?
                    .execute([key.as_str()])?;
            }
        }
        self.0.execute(
            "INSERT OR IGNORE INTO meta (key, value) VALUES (?1, ?2)",
            [TABLE_KNOWN, now],
        )?;
        Ok(())
    }

    /// Those that this node has nothing of.
    fn unused_pools(&self) -> rusqlite::Result<Vec<PoolKey>> {
        self.0
            .prepare_cached(
                "SELECT pool FROM pools
                 WHERE config IS NULL AND NOT EXISTS (SELECT 1 FROM reservations WHERE pool = pools.pool)",
            )?
            .query_map([], |row| row.get(0).map(PoolKey::from_text))?
            .collect()
    }

    /// Brings the changes to stable storage. On failure they may be there or not, but for a full disk: then they are not.
    pub fn commit(self) -> rusqlite::Result<()> {
        run(self.0, "COMMIT")
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // It may have been committed, or have come to nothing already.
        if !self.0.is_autocommit()
            && let Err(error) = run(self.0, "ROLLBACK")
        {
            tracing::error!(%error, "a transaction can't be taken back");
        }
    }
}

fn run(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(drop)
}

//! Changes to the store, which are all made or none.

use std::cell::Cell;
use std::net::IpAddr;

use api::pool_key::PoolKey;
use rpc::journal::Stamp;
use rusqlite::{Connection, params};

use super::ids::Ids;
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
    /// Whether the search for an address begins after it from now on: it was given to somebody who asked for any.
    pub any: bool,
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
pub struct Transaction<'a> {
    connection: &'a Connection,
    ids: &'a Cell<Ids>,
}

impl<'a> Transaction<'a> {
    /// Begins one, in which nobody else can write. Rows that it inserts get their ids of `ids`.
    pub(super) fn begin(connection: &'a Connection, ids: &'a Cell<Ids>) -> rusqlite::Result<Self> {
        run(connection, "BEGIN IMMEDIATE")?;
        Ok(Self { connection, ids })
    }

    /// Inserts all of `new` or, where the database refuses one, none, and goes on with what was done before. After any other
    /// failure there is nothing to go on with.
    pub fn insert_all(&self, new: &[New<'_>]) -> rusqlite::Result<Vec<Reservation>> {
        if let [new] = new {
            // Only its row of `reservations` can be refused, and what is remembered of the pool comes after that.
            return Ok(vec![self.insert(new)?]);
        }
        run(self.connection, "SAVEPOINT before_all")?;
        let made = new
            .iter()
            .map(|new| self.insert(new))
            .collect::<rusqlite::Result<_>>();
        // What fails may have ended the whole transaction, as a full disk does.
        if made.is_err() && !self.connection.is_autocommit() {
            run(self.connection, "ROLLBACK TO before_all")?;
        }
        if !self.connection.is_autocommit() {
            run(self.connection, "RELEASE before_all")?;
        }
        made
    }

    fn insert(&self, new: &New<'_>) -> rusqlite::Result<Reservation> {
        let New {
            pool,
            address,
            any,
            call,
            pool_config,
            created,
            stamp,
        } = *new;
        let mut ids = self.ids.get();
        let id = ids.next(self.connection)?;
        self.ids.set(ids);
        let address_text = address.to_string();
        self.connection
            .prepare_cached(
                "INSERT INTO reservations (id, pool, address, container, interface, pod_uid, pod_name, pod_namespace,
                                           device_id, network, created, boot_id, boottime_ns, pool_config)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?
            .execute(params![
                id,
                pool.as_str(),
                address_text,
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
        // The configuration is only for export: the Go daemon writes it, and reads it never.
        self.connection
            .prepare_cached(
                "INSERT INTO pools (pool, last_reserved, last_config) VALUES (?1, ?2, ?3)
                 ON CONFLICT (pool) DO UPDATE SET last_reserved = coalesce(excluded.last_reserved, last_reserved),
                                                  last_config = excluded.last_config
                 WHERE excluded.last_reserved IS NOT NULL OR last_config IS NOT excluded.last_config",
            )?
            .execute(params![pool.as_str(), any.then_some(address_text), pool_config])?;
        Ok(Reservation {
            id: RowId(id),
            pool: pool.clone(),
            address,
            owner: call.owner.clone(),
            pod: call.pod.clone(),
            network: call.network.as_str().into(),
            made: stamp.into(),
            pod_seen: false,
        })
    }

    /// Deletes a reservation, if it is there.
    pub fn delete(&self, id: RowId) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("DELETE FROM reservations WHERE id = ?1")?
            .execute([id.0])?;
        Ok(())
    }

    /// Records that the reservation's pod was seen in the API.
    pub fn mark_seen(&self, id: RowId) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE reservations SET pod_seen = 1 WHERE id = ?1")?
            .execute([id.0])?;
        Ok(())
    }

    /// Records the table of pools, which came at `now`. What is not in it and has no reservations is forgotten, if it knows
    /// all pools of that kind.
    pub fn set_table(&self, table: &Table, now: &str) -> rusqlite::Result<()> {
        self.connection.execute("UPDATE pools SET config = NULL", [])?;
        let mut put = self.connection.prepare_cached(
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
                self.connection
                    .prepare_cached("DELETE FROM pools WHERE pool = ?1")?
                    .execute([key.as_str()])?;
            }
        }
        self.connection.execute(
            "INSERT OR IGNORE INTO meta (key, value) VALUES (?1, ?2)",
            [TABLE_KNOWN, now],
        )?;
        Ok(())
    }

    /// Those that this node has nothing of.
    fn unused_pools(&self) -> rusqlite::Result<Vec<PoolKey>> {
        self.connection
            .prepare_cached(
                "SELECT pool FROM pools
                 WHERE config IS NULL AND NOT EXISTS (SELECT 1 FROM reservations WHERE pool = pools.pool)",
            )?
            .query_map([], |row| row.get(0).map(PoolKey::from_text))?
            .collect()
    }

    /// Brings the changes to stable storage. On failure they may be there or not, but for a full disk: then they are not.
    pub fn commit(self) -> rusqlite::Result<()> {
        run(self.connection, "COMMIT")
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // It may have been committed, or have come to nothing already.
        if !self.connection.is_autocommit()
            && let Err(error) = run(self.connection, "ROLLBACK")
        {
            tracing::error!(%error, "a transaction can't be taken back");
        }
    }
}

fn run(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(drop)
}

//! Rows of the database as values, and back.

use std::net::IpAddr;

use api::node_pool::NodePool;
use api::pool_key::PoolKey;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::schema::TABLE_KNOWN;
use crate::ledger::{Conflict, Ledger};
use crate::reservation::{Made, Owner, Pod, Reservation, RowId};
use crate::table::{Knowledge, Table};

/// Why the rows of a store make no ledger.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// They can't be read, or don't hold what they should.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// Two of them can't both be.
    #[error(transparent)]
    Conflict(#[from] Conflict),
}

/// What [`reservation`] reads.
const COLUMNS: &str = "id, pool, address, container, interface, pod_uid, pod_name, pod_namespace, network,
                       boot_id, boottime_ns, pod_seen";

/// Fills a ledger. What a cache knew before this run is [`Knowledge::Persisted`].
pub(super) fn load(connection: &Connection) -> Result<Ledger, LoadError> {
    let known = connection
        .query_row("SELECT value FROM meta WHERE key = ?1", [TABLE_KNOWN], |_| Ok(()))
        .optional()?
        .is_some();
    let mut ledger = Ledger::default();
    // One after the other: a list of them all, on top of the ledger, would be memory that the process never gives back.
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM reservations ORDER BY id"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        ledger.insert(reservation(row)?)?;
    }
    let knowledge = if known {
        Knowledge::Persisted
    } else {
        Knowledge::Nothing
    };
    ledger.set_table(Table::of(table(connection)?, knowledge));
    for memory in memories(connection)? {
        ledger.remember(&memory.key);
        if let Some(last) = memory.last_reserved {
            ledger.set_last(&memory.key, last);
        }
    }
    Ok(ledger)
}

/// A reservation with what only stores have of it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The reservation.
    pub reservation: Reservation,
    /// PCI address of the device that the interface uses; may be empty.
    pub device_id: String,
    /// When it was made, RFC 3339 with nanoseconds, for people.
    pub created: String,
    /// The pool as it was then, as the Go daemon writes it.
    pub pool_config: String,
}

/// Every reservation, in the order in which they were made.
pub(super) fn reservations(connection: &Connection) -> rusqlite::Result<Vec<Stored>> {
    let mut rows = connection.prepare(&format!(
        "SELECT {COLUMNS}, device_id, created, pool_config FROM reservations ORDER BY id"
    ))?;
    rows.query_map([], |row| {
        Ok(Stored {
            reservation: reservation(row)?,
            device_id: row.get(12)?,
            created: row.get(13)?,
            pool_config: row.get(14)?,
        })
    })?
    .collect()
}

/// Inserts a reservation with everything that it says.
pub(super) fn insert(connection: &Connection, stored: &Stored) -> rusqlite::Result<()> {
    let reservation = &stored.reservation;
    connection
        .prepare_cached(
            "INSERT INTO reservations (id, pool, address, container, interface, pod_uid, pod_name, pod_namespace,
                                       device_id, network, created, boot_id, boottime_ns, pod_seen, pool_config)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            reservation.id.0,
            reservation.pool.as_str(),
            reservation.address.to_string(),
            reservation.owner.container,
            reservation.owner.interface,
            reservation.pod.uid,
            reservation.pod.name,
            reservation.pod.namespace,
            stored.device_id,
            reservation.network,
            stored.created,
            reservation.made.boot_id,
            reservation.made.boottime_ns.cast_signed(),
            reservation.pod_seen,
            stored.pool_config,
        ])?;
    Ok(())
}

/// What is remembered of a pool besides its configuration and reservations.
pub(super) struct Memory {
    pub(super) key: PoolKey,
    pub(super) last_reserved: Option<IpAddr>,
    pub(super) last_config: Option<String>,
}

/// Inserts what is remembered of a pool of which there is no row yet.
pub(super) fn insert_memory(connection: &Connection, memory: &Memory) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO pools (pool, last_reserved, last_config) VALUES (?1, ?2, ?3)")?
        .execute(params![
            memory.key.as_str(),
            memory.last_reserved.map(|address| address.to_string()),
            memory.last_config,
        ])?;
    Ok(())
}

/// The pools of which anything is remembered.
pub(super) fn memories(connection: &Connection) -> rusqlite::Result<Vec<Memory>> {
    let mut rows = connection.prepare(
        "SELECT pool, last_reserved, last_config FROM pools
         WHERE last_reserved IS NOT NULL OR last_config IS NOT NULL",
    )?;
    rows.query_map([], |row| {
        Ok(Memory {
            key: PoolKey::from_text(row.get(0)?),
            last_reserved: place(row.get(1)?),
            last_config: row.get(2)?,
        })
    })?
    .collect()
}

/// The configurations of pools that can be read.
pub(super) fn table(connection: &Connection) -> rusqlite::Result<Vec<NodePool>> {
    let mut rows = connection.prepare("SELECT pool, config FROM pools WHERE config IS NOT NULL")?;
    let mut table = Vec::new();
    for row in rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (pool, config): (String, String) = row?;
        match serde_json::from_str(&config) {
            Ok(config) => table.push(config),
            // The API server will say it again.
            Err(error) => {
                tracing::warn!(pool, %error, "the stored configuration of a pool can't be read, it is passed over");
            }
        }
    }
    Ok(table)
}

/// A place that can't be read is none: then the search starts at the start of the range.
fn place(text: Option<String>) -> Option<IpAddr> {
    text.and_then(|text| text.parse().ok())
}

fn reservation(row: &Row<'_>) -> rusqlite::Result<Reservation> {
    let address: String = row.get(2)?;
    Ok(Reservation {
        id: RowId(row.get(0)?),
        pool: PoolKey::from_text(row.get(1)?),
        address: address
            .parse()
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(2, Type::Text, Box::new(error)))?,
        owner: Owner {
            container: row.get(3)?,
            interface: row.get(4)?,
        },
        pod: Pod {
            uid: row.get(5)?,
            name: row.get(6)?,
            namespace: row.get(7)?,
        },
        network: row.get(8)?,
        made: Made {
            boot_id: row.get(9)?,
            boottime_ns: row.get::<_, i64>(10)?.cast_unsigned(),
        },
        pod_seen: row.get(11)?,
    })
}

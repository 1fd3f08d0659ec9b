//! Rows of the database as values, and back.

use std::net::IpAddr;

use api::node_pool::NodePool;
use api::pool_key::PoolKey;
use rpc::journal::Stamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};

use super::schema::TABLE_KNOWN;
use crate::ledger::{Conflict, Knowledge, Ledger};
use crate::reservation::{Owner, Pod, Reservation, RowId};

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

/// Fills a ledger. What a cache knew before this run is [`Knowledge::Persisted`].
pub(super) fn load(connection: &Connection) -> Result<Ledger, LoadError> {
    let known = connection
        .query_row("SELECT value FROM meta WHERE key = ?1", [TABLE_KNOWN], |_| Ok(()))
        .optional()?
        .is_some();
    let mut ledger = Ledger::new(Knowledge::Nothing);
    let mut rows = connection.prepare(
        "SELECT id, pool, address, container, interface, pod_uid, pod_name, pod_namespace, device_id, network,
                created, boot_id, boottime_ns, pod_seen
         FROM reservations ORDER BY id",
    )?;
    for reservation in rows.query_map([], reservation)? {
        ledger.insert(reservation?)?;
    }
    let mut rows = connection.prepare("SELECT pool, last_reserved, config FROM pools")?;
    let mut table = Vec::new();
    let mut places = Vec::new();
    for row in rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))? {
        let (pool, last, config): (String, Option<String>, Option<String>) = row?;
        if let Some(config) = config {
            match serde_json::from_str::<NodePool>(&config) {
                Ok(config) => table.push(config),
                // The API server will say it again.
                Err(error) => {
                    tracing::warn!(pool, %error, "the stored configuration of a pool can't be read, it is passed over");
                }
            }
        }
        // A place that can't be read is none: then the search starts at the start of the range.
        if let Some(last) = last.and_then(|text| text.parse::<IpAddr>().ok()) {
            places.push((PoolKey::from_text(pool), last));
        }
    }
    ledger.set_table(
        table,
        if known {
            Knowledge::Persisted
        } else {
            Knowledge::Nothing
        },
    );
    for (pool, last) in places {
        ledger.set_last(&pool, last);
    }
    Ok(ledger)
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
        device_id: row.get(8)?,
        network: row.get(9)?,
        created: row.get(10)?,
        stamp: Stamp {
            boot_id: row.get(11)?,
            boottime_ns: row.get::<_, i64>(12)?.cast_unsigned(),
        },
        pod_seen: row.get(13)?,
    })
}

//! The database: what stands in it, and how it is set up.

use rusqlite::{Connection, OpenFlags};

/// "nvIP": tells a database of ours from any other.
pub(super) const APPLICATION_ID: i32 = 0x6e76_4950;

/// The format that this program writes, the database's `user_version`. Earlier ones are brought up to it, see [`upgrade`].
pub(super) const VERSION: i64 = 2;

/// The earliest format.
pub(super) const FIRST_VERSION: i64 = 1;

/// Addresses and keys are text, so that `sqlite3` shows all there is. Both rules about uniqueness stand here: whatever a
/// program gets wrong, the database refuses. Ids are never used again (`RowId`), and
/// are given by the daemon (`ids.rs`).
const SCHEMA: &str = "
CREATE TABLE reservations (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    pool          TEXT NOT NULL,    -- an IPPool's name, or cidrpool/ and a CIDRPool's
    address       TEXT NOT NULL,
    container     TEXT NOT NULL CHECK (container <> ''),
    interface     TEXT NOT NULL CHECK (interface <> ''),
    pod_uid       TEXT NOT NULL,    -- '' where the runtime doesn't pass it
    pod_name      TEXT NOT NULL,
    pod_namespace TEXT NOT NULL,
    device_id     TEXT NOT NULL,
    network       TEXT NOT NULL,    -- the CNI network that asked, '' if unknown
    created       TEXT NOT NULL,    -- RFC 3339 with nanoseconds, UTC
    boot_id       TEXT NOT NULL,    -- created, on the clock that orders ...
    boottime_ns   INTEGER NOT NULL, -- ... reservations and late DELs
    pod_seen      INTEGER NOT NULL DEFAULT 0 CHECK (pod_seen IN (0, 1)), -- in the API, ever
    pool_config   TEXT NOT NULL,    -- the pool as the Go daemon writes it, JSON
    UNIQUE (pool, address),
    UNIQUE (pool, container, interface)
) STRICT;

CREATE TABLE pools (
    pool          TEXT PRIMARY KEY,
    last_reserved TEXT,             -- the last address given to somebody who asked for any
    last_config   TEXT,             -- pool_config of the last reservation; NULL: there never was one
    config        TEXT              -- what this node has of it, JSON; NULL: nothing any more
) STRICT;

CREATE TABLE meta (
    key           TEXT PRIMARY KEY,
    value         TEXT NOT NULL
) STRICT;
";

/// Key of `meta`: when the table of pools first came from the API server.
pub(super) const TABLE_KNOWN: &str = "table_known_since";

/// Bytes of a page. A commit writes four of them into the log: half of SQLite's default is written, summed up and flushed
/// sooner, and still holds three reservations. A database that has another size works as well.
const PAGE: u32 = 2048;

/// Writes the schema into an empty database, in one transaction.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE};
         PRAGMA synchronous = FULL;
         BEGIN EXCLUSIVE;
         PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {VERSION};
         {SCHEMA}
         COMMIT;"
    ))
}

/// What each format has that the one before it had not, from the second on.
const STEPS: [&str; 1] = ["ALTER TABLE pools ADD COLUMN last_config TEXT;"];

/// Brings a database of format `found` to [`VERSION`], in one transaction.
pub(super) fn upgrade(connection: &Connection, found: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(found - FIRST_VERSION).unwrap_or(STEPS.len());
    let steps = STEPS.get(done..).unwrap_or_default();
    if steps.is_empty() {
        return Ok(());
    }
    connection.execute_batch(&format!(
        "BEGIN EXCLUSIVE;
         {}
         PRAGMA user_version = {VERSION};
         COMMIT;",
        steps.concat()
    ))
}

/// Opens without creating. The one thread that uses the connection needs no locks of SQLite's own.
pub(super) fn open(path: &std::path::Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
}

/// Readies a connection for the daemon: every commit is on stable storage when it returns, at one flush of the log; the
/// log is moved into the database by the writer when nobody waits, never in the middle of a commit.
pub(super) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // Somebody may look, or change something, with sqlite3.
    connection.busy_timeout(std::time::Duration::from_secs(1))?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;",
    )?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| {
        let mode: String = row.get(0)?;
        if mode == "wal" {
            Ok(())
        } else {
            Err(rusqlite::Error::InvalidParameterName(format!(
                "journal_mode is {mode}"
            )))
        }
    })
}

//! Numbers for rows, none of which is ever used again.
//!
//! AUTOINCREMENT keeps that promise with a row of its own that grows with every insert, which is one more page in every
//! commit. It doesn't touch that row for an id that is not beyond it. So the row is moved ahead of a thousand ids at once, and
//! they are given here. What is left of them when the daemon ends, or reads the store again, is never given.

use rusqlite::{Connection, Error, ffi};

/// So many are taken at once.
const TAKEN: i64 = 1000;

/// Ids to give. Where the transaction that moved the row comes to nothing they are good all the same: SQLite moves the row
/// with each of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ids {
    next: i64,
    /// The one after the last.
    end: i64,
}

impl Ids {
    /// Gives one, in the transaction that `connection` is in.
    pub(super) fn next(&mut self, connection: &Connection) -> rusqlite::Result<i64> {
        if self.next == self.end {
            *self = self.take(connection)?;
        }
        let id = self.next;
        self.next += 1;
        Ok(id)
    }

    /// Without those that are left: another program may have inserted rows, and what comes must be newer.
    pub(super) fn without_rest(self) -> Self {
        Self {
            end: self.next,
            ..self
        }
    }

    /// What sqlite_sequence holds is the largest id of the table that there ever was, see <https://www.sqlite.org/autoinc.html>.
    /// Somebody may have emptied it, so it is asked for nothing below what is there or was given by this process.
    fn take(self, connection: &Connection) -> rusqlite::Result<Self> {
        let stored: i64 = connection
            .prepare_cached(
                "SELECT max(coalesce((SELECT CAST(seq AS INTEGER) FROM sqlite_sequence WHERE name = 'reservations'), 0),
                            coalesce((SELECT max(id) FROM reservations), 0))",
            )?
            .query_row([], |row| row.get(0))?;
        let last = stored.max(self.next - 1);
        // As SQLite says it, where none are left.
        let full = || Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None);
        let end = last.checked_add(TAKEN + 1).ok_or_else(full)?;
        let moved = connection
            .prepare_cached("UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'reservations'")?
            .execute([end - 1])?;
        if moved == 0 {
            connection
                .prepare_cached("INSERT INTO sqlite_sequence (name, seq) VALUES ('reservations', ?1)")?
                .execute([end - 1])?;
        }
        Ok(Self { next: last + 1, end })
    }
}

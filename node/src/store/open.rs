//! From a path to an open store.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::StoreError;
use super::files::Files;
use super::lock::hold;
use super::{import, make, schema};

/// What lies at a store's path and can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Empty,
    Ours,
    Json,
}

/// The open database, and the lock on its file.
///
/// Closing any descriptor of a file drops the locks that SQLite has on it in this process, so `held` must be closed after
/// `connection`: fields are dropped in this order. For the same reason nothing here opens the file while it is open.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    pub(super) held: File,
}

/// Opens the store, makes one where there is none, and takes over one of a Go daemon. The caller has its lock.
pub(super) fn open(files: &Files) -> Result<Database, StoreError> {
    make::remove_unfinished(files)?;
    let held = match open_file(&files.store, Access::Write)? {
        None => {
            not_lost(files, None)?;
            let file = make::database(files, |_| Ok(()))?;
            make::publish(files, &files.unfinished(), |new, store| fs::hard_link(new, store))?;
            file
        }
        Some(file) => {
            hold(&file, &files.store)?;
            match kind(&file, &files.store)? {
                // `file` stays locked until the name belongs to the new one.
                Kind::Empty => {
                    not_lost(files, Some(Kind::Empty))?;
                    let new = make::database(files, |_| Ok(()))?;
                    make::replace(files, &file)?;
                    new
                }
                Kind::Json => import::import(files, &file)?,
                Kind::Ours => file,
            }
        }
    };
    connect(files, held)
}

/// Opens a store that is a database already; else nothing changes. The caller has its lock.
pub(super) fn open_database(files: &Files) -> Result<Database, StoreError> {
    let file = open_file(&files.store, Access::Write)?;
    let file = file.ok_or_else(|| StoreError::Absent(files.store.clone()))?;
    hold(&file, &files.store)?;
    must_be_ours(kind(&file, &files.store)?, &files.store)?;
    connect(files, file)
}

/// Fails if what lies at `store` is not a database of ours. For processes that have not opened it yet, see [`Database`].
pub(super) fn must_be_database(store: &Path) -> Result<(), StoreError> {
    match look(store)? {
        None => Err(StoreError::Absent(store.to_owned())),
        Some(kind) => must_be_ours(kind, store),
    }
}

/// What lies there now. For the same processes.
pub(super) fn look(store: &Path) -> Result<Option<Kind>, StoreError> {
    open_file(store, Access::Read)?
        .map(|file| kind(&file, store))
        .transpose()
}

fn must_be_ours(kind: Kind, store: &Path) -> Result<(), StoreError> {
    match kind {
        Kind::Ours => Ok(()),
        Kind::Json => Err(StoreError::StillGo(store.to_owned())),
        Kind::Empty => Err(StoreError::Empty(store.to_owned())),
    }
}

fn connect(files: &Files, held: File) -> Result<Database, StoreError> {
    let connection =
        schema::open(&files.store).map_err(StoreError::sqlite("opening the store", &files.store))?;
    let database = Database { connection, held };
    let version = verify(files, &database.connection)?;
    schema::configure(&database.connection)
        .and_then(|()| schema::upgrade(&database.connection, version))
        .map_err(StoreError::sqlite("setting up the store", &files.store))?;
    Ok(database)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

fn open_file(path: &Path, access: Access) -> Result<Option<File>, StoreError> {
    match OpenOptions::new()
        .read(true)
        .write(access == Access::Write)
        .open(path)
    {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::IsADirectory => Err(StoreError::unusable(
            path,
            "is a folder; --store-file names a file",
        )),
        Err(error) => Err(StoreError::io("opening the store", path)(error)),
    }
}

/// Reads what is at the head of the file; SQLite is not involved, so nothing changes.
fn kind(file: &File, path: &Path) -> Result<Kind, StoreError> {
    // Format of the header: https://www.sqlite.org/fileformat.html#the_database_header
    const MAGIC: &[u8] = b"SQLite format 3\0";
    const USER_VERSION: usize = 60;
    const APPLICATION_ID: usize = 68;
    let mut head = [0; 100];
    let length = read_head(file, &mut head).map_err(StoreError::io("reading the store", path))?;
    let number = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if length == 0 {
        Ok(Kind::Empty)
    } else if head.starts_with(MAGIC) && length == head.len() {
        if number(APPLICATION_ID) != schema::APPLICATION_ID {
            let problem = "is an SQLite database of another program";
            return Err(StoreError::unusable(path, problem));
        }
        known_version(path, number(USER_VERSION).into())?;
        Ok(Kind::Ours)
    } else if head[..length].trim_ascii_start().starts_with(b"{") {
        Ok(Kind::Json)
    } else {
        Err(StoreError::unusable(
            path,
            "is neither a database of ipam-node nor a store of the Go ipam-node",
        ))
    }
}

fn read_head(file: &File, head: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < head.len() {
        match file.read_at(&mut head[length..], length as u64)? {
            0 => break,
            n => length += n,
        }
    }
    Ok(length)
}

pub(super) fn known_version(path: &Path, found: i64) -> Result<(), StoreError> {
    if found > schema::VERSION {
        Err(StoreError::TooNew {
            path: path.to_owned(),
            found,
            known: schema::VERSION,
        })
    } else if found < schema::FIRST_VERSION {
        let problem = format!("has the impossible format {found}");
        Err(StoreError::unusable(path, problem))
    } else {
        Ok(())
    }
}

/// SQLite replays a log that it finds beside a database, whosever it is; and a store of ours that is gone is no reason to
/// hand out its addresses again.
pub(super) fn not_lost(files: &Files, kind: Option<Kind>) -> Result<(), StoreError> {
    let exists = |trace: &PathBuf| fs::symlink_metadata(trace).is_ok();
    let has_bytes = |trace: &PathBuf| fs::metadata(trace).is_ok_and(|m| m.len() > 0);
    let (what, trace) = match kind {
        // SQLite removes its log when it closes the database: even an empty one says that the store went while in use.
        None => ("missing", files.logs().into_iter().find(exists)),
        Some(Kind::Empty) => ("empty", files.traces().into_iter().find(has_bytes)),
        Some(_) => return Ok(()),
    };
    match trace {
        Some(trace) => Err(StoreError::Lost {
            path: files.store.clone(),
            what,
            trace,
        }),
        None => Ok(()),
    }
}

/// Reads the whole database once: a damaged one must not be handed out from. It costs milliseconds for the few hundred
/// reservations that a node has; what it doesn't compare, indexes with their table, is seen when the ledger is filled.
/// Returns the database's format.
fn verify(files: &Files, connection: &Connection) -> Result<i64, StoreError> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    let checked = version.and_then(|version: i64| {
        let verdict: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
        Ok((version, verdict))
    });
    match checked {
        Ok((version, verdict)) => {
            known_version(&files.store, version)?;
            if verdict == "ok" {
                return Ok(version);
            }
            Err(StoreError::unusable(
                &files.store,
                format!("is damaged ({verdict})"),
            ))
        }
        Err(error) if is_damage(&error) => Err(StoreError::unusable(
            &files.store,
            format!("is damaged ({error})"),
        )),
        Err(error) => Err(StoreError::sqlite("checking the store", &files.store)(error)),
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

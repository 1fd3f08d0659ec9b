//! From a path to an open store.

use std::cmp::Ordering;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rusqlite::Connection;

use super::error::StoreError;
use super::files::Files;
use super::lock::try_flock;
use super::schema;

/// What lies at a store's path.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    Empty,
    Ours { version: i64 },
    OtherDatabase,
    Json,
    Unknown,
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

/// Opens the store, or makes one where there is none. The caller has its lock.
pub(super) fn open(files: &Files) -> Result<Database, StoreError> {
    remove_unfinished(files)?;
    let held = match open_file(&files.store)? {
        None => {
            no_trace(files, "missing", &files.logs())?;
            create(files, |new, store| fs::hard_link(new, store))?
        }
        Some(file) => {
            hold(&file, &files.store)?;
            match content(&file).map_err(StoreError::io("reading the store", &files.store))? {
                Content::Empty => {
                    no_trace(files, "empty", &files.traces())?;
                    // `file` stays locked until the name belongs to the new one.
                    create(files, |new, store| fs::rename(new, store))?
                }
                Content::Ours { version } => {
                    known_version(files, version)?;
                    file
                }
                Content::OtherDatabase => {
                    return Err(StoreError::unusable(
                        &files.store,
                        "is an SQLite database of another program",
                    ));
                }
                Content::Json => return Err(StoreError::GoStore(files.store.clone())),
                Content::Unknown => {
                    return Err(StoreError::unusable(
                        &files.store,
                        "is neither a database of ipam-node nor a store of the Go ipam-node",
                    ));
                }
            }
        }
    };
    let connection =
        schema::open(&files.store).map_err(StoreError::sqlite("opening the store", &files.store))?;
    let database = Database { connection, held };
    verify(files, &database.connection)?;
    schema::configure(&database.connection)
        .map_err(StoreError::sqlite("setting up the store", &files.store))?;
    Ok(database)
}

fn open_file(path: &Path) -> Result<Option<File>, StoreError> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::IsADirectory => Err(StoreError::unusable(
            path,
            "is a folder; --store-file names a file",
        )),
        Err(error) => Err(StoreError::io("opening the store", path)(error)),
    }
}

/// Locks the file as the Go daemon does, and makes sure that it is still the one at `path`.
fn hold(file: &File, path: &Path) -> Result<(), StoreError> {
    let failed = || StoreError::io("locking the store", path);
    if !try_flock(file).map_err(failed())? {
        return Err(StoreError::HeldByOther(path.to_owned()));
    }
    let (opened, named) = (
        file.metadata().map_err(failed())?,
        fs::metadata(path).map_err(failed())?,
    );
    if (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
        return Err(StoreError::HeldByOther(path.to_owned()));
    }
    Ok(())
}

/// Reads what is at the head of the file; SQLite is not involved, so nothing changes.
fn content(file: &File) -> io::Result<Content> {
    // Format of the header: https://www.sqlite.org/fileformat.html#the_database_header
    const MAGIC: &[u8] = b"SQLite format 3\0";
    const USER_VERSION: usize = 60;
    const APPLICATION_ID: usize = 68;
    let mut head = [0; 100];
    let length = read_head(file, &mut head)?;
    let number = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    Ok(if length == 0 {
        Content::Empty
    } else if head.starts_with(MAGIC) && length == head.len() {
        if number(APPLICATION_ID) == schema::APPLICATION_ID {
            Content::Ours {
                version: number(USER_VERSION).into(),
            }
        } else {
            Content::OtherDatabase
        }
    } else if head.trim_ascii_start().starts_with(b"{") {
        Content::Json
    } else {
        Content::Unknown
    })
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

fn known_version(files: &Files, found: i64) -> Result<(), StoreError> {
    match found.cmp(&schema::VERSION) {
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(StoreError::TooNew {
            path: files.store.clone(),
            found,
            known: schema::VERSION,
        }),
        Ordering::Less => Err(StoreError::unusable(
            &files.store,
            format!("has the impossible format {found}"),
        )),
    }
}

/// SQLite replays a log that it finds beside a database, whosever it is; and a store of ours that is gone is no reason to
/// hand out its addresses again.
fn no_trace(files: &Files, what: &'static str, traces: &[std::path::PathBuf]) -> Result<(), StoreError> {
    match traces
        .iter()
        .find(|trace| fs::metadata(trace).is_ok_and(|m| m.len() > 0))
    {
        Some(trace) => Err(StoreError::Lost {
            path: files.store.clone(),
            what,
            trace: trace.clone(),
        }),
        None => Ok(()),
    }
}

fn remove_unfinished(files: &Files) -> Result<(), StoreError> {
    for path in [files.unfinished(), files.unfinished_journal()] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(StoreError::io("removing an unfinished", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Makes an empty store beside the path and gives it the name with `publish`, when it is complete and on stable storage.
/// Until then a crash leaves a file that the next start removes.
fn create(files: &Files, publish: fn(&Path, &Path) -> io::Result<()>) -> Result<File, StoreError> {
    let new = &files.unfinished();
    let failed = |step| StoreError::io(step, new);
    // SQLite takes the permissions of its logs from here.
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(new)
        .map_err(failed("creating"))?;
    let sqlite =
        |result: rusqlite::Result<()>| result.map_err(StoreError::sqlite("creating the store", &files.store));
    let connection = schema::open(new).map_err(StoreError::sqlite("creating the store", &files.store))?;
    sqlite(schema::create(&connection))?;
    sqlite(connection.close().map_err(|(_, error)| error))?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(new)
        .map_err(failed("opening"))?;
    file.sync_all().map_err(failed("syncing"))?;
    // From its first moment under the store's name it is locked.
    hold(&file, new)?;
    publish(new, &files.store).map_err(StoreError::io("creating", &files.store))?;
    files
        .sync_folder()
        .map_err(StoreError::io("syncing", files.folder()))?;
    remove_unfinished(files)?;
    Ok(file)
}

/// Reads the whole database once: a damaged one must not be handed out from. It costs milliseconds for the few hundred
/// reservations that a node has; what it doesn't compare, indexes with their table, is seen when the ledger is filled.
fn verify(files: &Files, connection: &Connection) -> Result<(), StoreError> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    let checked = version.and_then(|version: i64| {
        let verdict: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
        Ok((version, verdict))
    });
    match checked {
        Ok((version, verdict)) => {
            known_version(files, version)?;
            if verdict == "ok" {
                return Ok(());
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

//! Why a store can't be used, and what to do.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use api::pool_key::PoolKey;

use super::files::Identity;
use super::rows::LoadError;
use crate::advice;
use crate::go_store::{EntryProblem, GoStoreError};
use crate::reservation::Owner;

/// Why a store can't be used. Unless it says otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another daemon of ours runs on it.
    #[error(
        "another ipam-node (pid {pid}) uses the store {store}: stop it first, or give this one its own --store-file"
    )]
    Locked {
        /// Path of the store.
        store: PathBuf,
        /// What the holder wrote into the lock file.
        pid: String,
    },
    /// Some other program holds the store itself, as the Go daemon does until its first write.
    #[error("another program (the Go ipam-node?) holds a lock on the store {}: stop it first", .0.display())]
    HeldByOther(PathBuf),
    /// A file operation failed.
    #[error("{step} {}: {source}{}", path.display(), advice::on(source, "--store-file"))]
    Io {
        /// What was done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// The file is none of ours, or damaged.
    #[error(
        "the store {} {problem}; it was left as it is. {REPAIR}", path.display()
    )]
    Unusable {
        /// Path of the store.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A Go daemon's store that can't be taken over.
    #[error("the store {} of the Go ipam-node {source}; it was left as it is. {REPAIR}", path.display())]
    GoStore {
        /// Path of the store.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<GoStoreError>,
    },
    /// A Go daemon's store, in the place of a database of ours.
    #[error(
        "the store {} is one of the Go ipam-node, but {} is there, so a database of this ipam-node was in its place, and what \
         it had reserved is perhaps not in it; it was left as it is. Put the database back; or, if the store has every \
         address that a pod on this node uses, move {} away. (If the Go ipam-node \
         ran on after a take-over that was cut off, it looks the same, and the store has everything. The way to the Go \
         ipam-node and back is `ipam-node store export --in-place`)", path.display(), trace.display(), trace.display()
    )]
    GoStoreAfterOurs {
        /// Path of the store.
        path: PathBuf,
        /// What is still there of the database.
        trace: PathBuf,
    },
    /// A Go daemon's store, where a command needs one of ours.
    #[error(
        "the store {} is one of the Go ipam-node (JSON): this ipam-node takes it over when it starts", .0.display()
    )]
    StillGo(PathBuf),
    /// Another program has the database open.
    #[error("the store {} is open in another program (sqlite3?): close it there first", .0.display())]
    InUse(PathBuf),
    /// There is nothing to look at.
    #[error("there is no store at {}: give its path with --store-file", .0.display())]
    Absent(PathBuf),
    /// Nothing was ever written into it.
    #[error("the store {} is empty: nothing was ever reserved in it", .0.display())]
    Empty(PathBuf),
    /// What it holds can't be said in the Go format.
    #[error(
        "the store {} has a reservation in pool {pool} that the Go ipam-node can't have, one that {problem}: address \
         {address}, of container {:?} and interface {:?}. Once nothing uses the address, release it by `ipam-node store \
         release --pool={pool} --address={address}`; else stay with this ipam-node until then", path.display(), owner.container,
        owner.interface
    )]
    NotForGo {
        /// Path of the store.
        path: PathBuf,
        /// Key of the pool.
        pool: PoolKey,
        /// The address.
        address: IpAddr,
        /// Who holds it.
        owner: Box<Owner>,
        /// What is wrong with it.
        problem: Box<EntryProblem>,
    },
    /// A later version wrote it.
    #[error(
        "the store {} has format {found}, and this ipam-node knows formats up to {known}; it was left as it is. \
         Run the ipam-node that wrote it, or a later one",
        path.display()
    )]
    TooNew {
        /// Path of the store.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The latest format that this program knows.
        known: i64,
    },
    /// An earlier version wrote it, and only a daemon's start changes that.
    #[error(
        "the store {} has format {found}, of an earlier ipam-node: this one brings it up to date when it starts",
        path.display()
    )]
    TooOld {
        /// Path of the store.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// The database is away, but something of it is still there.
    #[error(
        "the store {} is {what}, but {} is there, so a store with reservations has been lost: put the store back, or, if \
         no pod on this node uses its addresses any more, move {} away too", path.display(), trace.display(), trace.display()
    )]
    Lost {
        /// Path of the store.
        path: PathBuf,
        /// `missing` or `empty`.
        what: &'static str,
        /// What is still there.
        trace: PathBuf,
    },
    /// The disk is full.
    #[error("no room on the disk for {step} {}: make room on its file system, then try again", path.display())]
    NoRoom {
        /// What was done.
        step: &'static str,
        /// To what.
        path: PathBuf,
    },
    /// SQLite failed.
    #[error("{step} {}: {source}", path.display())]
    Sqlite {
        /// What was done.
        step: &'static str,
        /// Path of the store.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// The database that a daemon has open is not at its path any more, so whatever it would write there the next start would
/// not find.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the store {store} {what} while ipam-node used it, so nothing more is written and ipam-node ends; {advice}"
)]
pub struct Displaced {
    store: String,
    what: String,
    advice: &'static str,
}

impl Displaced {
    /// What looking at `store` says, where it must be `expected`.
    pub(super) fn look(store: &Path, expected: Identity) -> Result<(), Self> {
        let (what, advice) = match Identity::at(store) {
            Ok(found) if found == expected => return Ok(()),
            Ok(_) => ("was replaced by another file".to_owned(), REPLACED),
            Err(error) if error.kind() == io::ErrorKind::NotFound => ("was removed".to_owned(), REMOVED),
            Err(error) => (format!("can't be looked at any more ({error})"), REMOVED),
        };
        Err(Self {
            store: store.display().to_string(),
            what,
            advice,
        })
    }
}

const REPLACED: &str = "what lies there now is left as it is. If it lacks an address that a pod on this node uses, put the file \
    back that was there before ipam-node starts again. Change a store only while ipam-node is stopped";

const REMOVED: &str = "put it back, or a copy from before. If there is none, drain the node, and remove what else of the store \
    lies there: then this node starts with an empty one";

const REPAIR: &str = "Put back a copy from before, or move it away: then this node starts with an empty store, and may hand \
    out addresses that running pods still use, so drain the node before";

impl StoreError {
    pub(super) fn io(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull => Self::NoRoom { step, path },
            _ => Self::Io { step, path, source },
        }
    }

    pub(super) fn sqlite(step: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> Self {
        use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_SHMSIZE};
        let path = path.to_owned();
        move |source| match source.sqlite_error().map(|error| error.extended_code) {
            Some(SQLITE_FULL | SQLITE_IOERR_SHMSIZE) => Self::NoRoom { step, path },
            _ => Self::Sqlite { step, path, source },
        }
    }

    pub(super) fn load(path: &Path, error: LoadError) -> Self {
        match error {
            LoadError::Sqlite(error) => Self::sqlite("reading the store", path)(error),
            LoadError::Conflict(conflict) => Self::unusable(path, format!("contradicts itself ({conflict})")),
        }
    }

    pub(super) fn unusable(path: &Path, problem: impl Into<String>) -> Self {
        Self::Unusable {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }
}

//! The files that a store consists of.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What tells a file from any other, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::from(&metadata))
    }

    pub(super) fn at(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// The store's path, and those that are made from it by appending to its name.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// The database. Its path is what `--store-file` says.
    pub(super) store: PathBuf,
}

impl Files {
    pub(super) fn of(store: &Path) -> Self {
        Self {
            store: store.to_owned(),
        }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.store.clone().into_os_string();
        path.push(suffix);
        path.into()
    }

    /// Held by the daemon that may touch the others; never renamed, never removed.
    pub(super) fn lock(&self) -> PathBuf {
        self.beside(".lock")
    }

    /// A database that is being made; nobody reads it. A JSON there is the store of a Go daemon, see `make::replace`.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.beside(".new")
    }

    /// What SQLite may leave of a database that was being made.
    pub(super) fn unfinished_journal(&self) -> PathBuf {
        self.beside(".new-journal")
    }

    /// A store for a Go daemon that is being made. Nobody reads it.
    pub(super) fn unfinished_json(&self) -> PathBuf {
        self.beside(".new.json")
    }

    /// Room on the disk that is kept for the log while there is none.
    pub(super) fn reserve(&self) -> PathBuf {
        self.beside(".reserve")
    }

    /// SQLite's write-ahead log.
    pub(super) fn log(&self) -> PathBuf {
        self.beside("-wal")
    }

    /// Files that hold commits which the database doesn't, or may hold them.
    pub(super) fn logs(&self) -> [PathBuf; 2] {
        [self.log(), self.beside("-journal")]
    }

    /// The store of the Go daemon that the database was made from.
    pub(super) fn imported(&self) -> PathBuf {
        self.beside(".go.json")
    }

    /// The database that the store of the Go daemon was made from. Nobody reads it.
    pub(super) fn exported(&self) -> PathBuf {
        self.beside(".db")
    }

    /// Files that only this daemon makes, and that tell that it had a store here.
    pub(super) fn traces(&self) -> [PathBuf; 5] {
        let [wal, journal] = self.logs();
        [wal, journal, self.imported(), self.exported(), self.reserve()]
    }

    /// Files that lie beside a database of this daemon while it runs and after it ran, whatever is in them. An export in
    /// place removes them, so beside a store of the Go daemon they tell that it took a database's place in another way.
    pub(super) fn traces_of_database(&self) -> [PathBuf; 5] {
        let [wal, journal] = self.logs();
        [wal, journal, self.beside("-shm"), self.reserve(), self.imported()]
    }

    /// The folder of all of them.
    pub(super) fn folder(&self) -> &Path {
        match self.store.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        }
    }

    /// Brings what was renamed, linked or removed in the folder to stable storage.
    pub(super) fn sync_folder(&self) -> io::Result<()> {
        File::open(self.folder())?.sync_all()
    }
}

//! Who may touch a store.

use std::fs::File;
use std::path::Path;

use super::error::StoreError;
use super::files::{Files, Identity};
use crate::file_lock::{FileLock, NotLocked, try_flock};

/// The right to touch a store, its companions and the socket: one process of ours has it, until it drops this or dies.
#[derive(Debug)]
pub struct StoreLock {
    pub(super) files: Files,
    _held: FileLock,
}

impl StoreLock {
    /// Takes the lock of the store at `store`, which need not exist; its folder must.
    pub fn take(store: &Path) -> Result<Self, StoreError> {
        let files = Files::of(store);
        let path = files.lock();
        match FileLock::take(&path) {
            Ok(held) => Ok(Self { files, _held: held }),
            Err(NotLocked::Held(pid)) => Err(StoreError::Locked {
                store: store.to_owned(),
                pid,
            }),
            Err(NotLocked::Io(error)) => Err(StoreError::io("locking", &path)(error)),
        }
    }
}

/// Locks the store itself, as the Go daemon does, and makes sure that it is still the one at `path`.
pub(super) fn hold(file: &File, path: &Path) -> Result<(), StoreError> {
    let failed = || StoreError::io("locking the store", path);
    if !try_flock(file).map_err(failed())? {
        return Err(StoreError::HeldByOther(path.to_owned()));
    }
    if Identity::of(file).map_err(failed())? != Identity::at(path).map_err(failed())? {
        return Err(StoreError::HeldByOther(path.to_owned()));
    }
    Ok(())
}

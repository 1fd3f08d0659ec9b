//! Who may touch a store.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::StoreError;
use super::files::Files;

/// The right to touch a store, its companions and the socket: one daemon has it, until it drops this or dies.
///
/// The lock is on a file that is never renamed or removed, so there is no instant at which two can have it.
#[derive(Debug)]
pub struct StoreLock {
    pub(super) files: Files,
    _held: File,
}

impl StoreLock {
    /// Takes the lock of the store at `store`, which need not exist; its folder must.
    pub fn take(store: &Path) -> Result<Self, StoreError> {
        let files = Files::of(store);
        let path = files.lock();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(StoreError::io("opening the lock file", &path))?;
        if !try_flock(&file).map_err(StoreError::io("locking", &path))? {
            let mut pid = String::new();
            // It only makes the message better.
            let _ = file.take(20).read_to_string(&mut pid);
            return Err(StoreError::Locked {
                store: store.to_owned(),
                pid: pid.trim().to_owned(),
            });
        }
        // For whoever finds it held. A full disk is no reason not to start.
        let _ = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { files, _held: file })
    }
}

/// Whether this process now has the only lock on `file`; it has it until the file is closed.
pub(super) fn try_flock(file: &File) -> std::io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

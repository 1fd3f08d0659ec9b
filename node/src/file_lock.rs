//! A lock on a file, which one process has at a time.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// A lock that this process has until it drops this or dies.
///
/// It is on a file that exists for nothing else and is never renamed or removed, so there is no instant at which two can
/// have it. The file says the id of the process that has it.
#[derive(Debug)]
pub(crate) struct FileLock {
    _held: File,
}

/// Why there is no lock.
#[derive(Debug)]
pub(crate) enum NotLocked {
    /// The process of this id has it, as it says itself.
    Held(String),
    /// The lock file can't be used.
    Io(io::Error),
}

impl FileLock {
    /// Takes the lock on `path`, which need not exist; its folder must. Never waits.
    pub(crate) fn take(path: &Path) -> Result<Self, NotLocked> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(NotLocked::Io)?;
        if !try_flock(&file).map_err(NotLocked::Io)? {
            let mut pid = String::new();
            // It only makes the message better.
            let _ = file.take(20).read_to_string(&mut pid);
            return Err(NotLocked::Held(pid.trim().to_owned()));
        }
        // For whoever finds it held. A full disk is no reason not to go on.
        let _ = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _held: file })
    }
}

/// Whether this process now has the only lock on `file`; it has it until the file is closed.
pub(crate) fn try_flock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_and_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = FileLock::take(&path).unwrap();
        let Err(NotLocked::Held(pid)) = FileLock::take(&path) else {
            panic!("two have it");
        };
        assert_eq!(pid, std::process::id().to_string());
        drop(lock);
        assert!(path.exists());
        FileLock::take(&path).unwrap();
    }

    #[test]
    fn without_a_folder_there_is_no_lock() {
        assert!(matches!(
            FileLock::take(Path::new("/nowhere/lock")),
            Err(NotLocked::Io(_))
        ));
    }
}

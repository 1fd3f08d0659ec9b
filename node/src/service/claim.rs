//! The name of a unix socket, which one daemon has at a time.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::file_lock::{FileLock, NotLocked};

/// The right to make and remove the socket at a path. A daemon has it until it drops this or dies.
///
/// The lock is on a file beside the socket. The store's lock isn't enough: daemons with different stores can be given the
/// same socket.
#[derive(Debug)]
pub(super) struct Claim {
    socket: PathBuf,
    /// Device and inode of the socket that was made.
    made: Option<(u64, u64)>,
    _held: FileLock,
}

impl Claim {
    /// Claims the name `socket`.
    pub(super) fn take(socket: &Path) -> Result<Self, NotLocked> {
        let mut name = socket.as_os_str().to_owned();
        name.push(".lock");
        Ok(Self {
            socket: socket.to_owned(),
            made: None,
            _held: FileLock::take(Path::new(&name))?,
        })
    }

    /// The socket is there now; remembers which one it is.
    pub(super) fn made(&mut self) -> io::Result<()> {
        self.made = Some(identity(&self.socket)?);
        Ok(())
    }

    /// Removes the socket that was made, and then gives up the name. A socket that somebody else put in its place stays.
    pub(super) fn remove(self) {
        let removed = match identity(&self.socket) {
            Ok(found) if Some(found) == self.made => fs::remove_file(&self.socket),
            Ok(_) => {
                tracing::warn!(socket = %self.socket.display(), "another socket took this one's place; it stays");
                return;
            }
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::warn!(socket = %self.socket.display(), %error, "the socket can't be removed");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

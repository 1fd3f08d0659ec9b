//! The name of a unix socket, which one daemon has at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The right to make and remove the socket at a path. A daemon has it until it drops this or dies.
///
/// The lock is on a file beside the socket that is never renamed or removed, so there is no instant at which two have
/// it. The store's lock isn't enough: daemons with different stores can be given the same socket.
#[derive(Debug)]
pub(super) struct Claim {
    socket: PathBuf,
    /// Device and inode of the socket that was made.
    made: Option<(u64, u64)>,
    _held: File,
}

/// Why there is no claim.
#[derive(Debug)]
pub(super) enum Unclaimed {
    /// The process of this id has it, as it says itself.
    Held(String),
    /// The lock file can't be used.
    Io(io::Error),
}

impl Claim {
    /// Claims the name `socket`.
    pub(super) fn take(socket: &Path) -> Result<Self, Unclaimed> {
        let mut name = socket.as_os_str().to_owned();
        name.push(".lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(PathBuf::from(name))
            .map_err(Unclaimed::Io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                // It only makes the message better.
                let _ = file.take(20).read_to_string(&mut pid);
                return Err(Unclaimed::Held(pid.trim().to_owned()));
            }
            Err(error) => return Err(Unclaimed::Io(error.into())),
        }
        // For whoever finds it held. A full disk is no reason not to start.
        let _ = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self {
            socket: socket.to_owned(),
            made: None,
            _held: file,
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

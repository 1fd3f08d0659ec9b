//! Room on the disk that is kept for releasing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// Enough for the log of a few hundred changed pages: more than a store of a node has.
const SIZE: u64 = 1 << 20;

/// A file that takes room, to be given back when there is no other: releasing an address writes too, and a node with a
/// full disk must be able to let pods go.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
}

impl Reserve {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file, or completes one that was left half-made. On failure there is none.
    pub fn make(&self) -> io::Result<()> {
        self.fill().inspect_err(|_| {
            let _ = fs::remove_file(&self.path);
        })
    }

    /// Gives its room back. Success if there is none.
    pub fn give_back(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn fill(&self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, SIZE) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP) => {
                file.write_all(&vec![0; usize::try_from(SIZE).unwrap_or(usize::MAX)])?;
                file.sync_all()
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn it_takes_room_and_gives_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(folder.path().join("store.reserve"));
        reserve.give_back().unwrap();
        for _ in 0..2 {
            reserve.make().unwrap();
            assert!(fs::metadata(reserve.path()).unwrap().blocks() * 512 >= SIZE);
        }
        reserve.give_back().unwrap();
        assert!(!reserve.path().exists());
    }
}

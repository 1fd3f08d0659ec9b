//! Room on the disk that nobody else can take.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::error::StoreError;

/// Bytes kept for the log. It is overwritten from its start whenever all of it has been moved into the database, so this
/// is what one commit can take: some 2000 changed pages, more than the whole database of most nodes.
const LOG: u64 = 4 << 20;

/// Bytes of the log that are written before it is used: what the writer usually lets it grow to. To write where nothing was ever
/// written takes a file system longer than to flush does, because it must note that there is something now; with a journal,
/// more than twice as long.
const WRITTEN: u64 = 2 << 20;

/// Bytes kept for the growth of the database when the log is moved into it: a full batch and what was there before.
const GROWTH: u64 = 256 << 10;

/// Bytes that opening the store takes before anything is written: SQLite's index of the log. While the store is open they
/// are kept with the log, so that they are there to be set aside when it is closed.
const OPENING: u64 = 128 << 10;

/// Makes sure that the disk has the room without which not even a release could be written. Where the file system can't
/// promise that, nothing is kept, and that is no error. (One that never overwrites, as btrfs, promises it for the first use.) `unused` bytes of the database are free already.
///
/// Says whether there is something to do for [`write_once`].
pub(super) fn keep(database: &File, unused: u64, log: &Path) -> io::Result<bool> {
    let unwritten = match File::options().write(true).open(log) {
        Ok(log) => allocate(&log, 0, LOG + OPENING)? && log.metadata()?.len() < WRITTEN,
        // SQLite makes it with the first commit.
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    match GROWTH.saturating_sub(unused) {
        0 => {}
        growth => {
            allocate(database, database.metadata()?.len(), growth)?;
        }
    }
    Ok(unwritten)
}

/// Writes zeros behind the end of the log, for SQLite to write over. They are no valid part of it, and end it as its end does.
/// Appending never overwrites what somebody else wrote meanwhile.
pub(super) fn write_once(log: &Path) -> io::Result<()> {
    let mut log = File::options().append(true).open(log)?;
    let missing = WRITTEN.saturating_sub(log.metadata()?.len());
    io::copy(&mut io::repeat(0).take(missing), &mut log)?;
    log.sync_data()
}

/// Keeps the room of a store that is being closed, whose log SQLite has just removed, in a file that [`give_back`] removes.
pub(super) fn set_aside(path: &Path) -> io::Result<()> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    allocate(&file, 0, LOG + OPENING)?;
    // A length tells that it is one of ours, see `Files::traces`.
    file.set_len(1)
}

/// Gives back what [`set_aside`] kept; true if there was something.
pub(super) fn give_back(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Does `attempt`, again with the room that was kept if there is too little without.
pub(super) fn with_reserve<T>(
    reserve: &Path,
    mut attempt: impl FnMut() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    match attempt() {
        Err(StoreError::NoRoom { .. })
            if give_back(reserve).map_err(StoreError::io("removing the reserve", reserve))? =>
        {
            attempt()
        }
        done => done,
    }
}

/// Takes blocks, which are the file's from now on; its length and what is in it stay. `false`: this file system can't.
fn allocate(file: &File, start: u64, length: u64) -> io::Result<bool> {
    match fallocate(file, FallocateFlags::KEEP_SIZE, start, length) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn blocks_are_taken_and_lengths_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (database, log) = (folder.path().join("store"), folder.path().join("store-wal"));
        fs::write(&database, "database").unwrap();
        let file = File::options().write(true).open(&database).unwrap();
        assert!(!keep(&file, 0, &log).unwrap());
        fs::write(&log, "log").unwrap();
        assert!(keep(&file, 0, &log).unwrap());
        for (path, content, room) in [(&database, "database", GROWTH), (&log, "log", LOG)] {
            assert_eq!(fs::read_to_string(path).unwrap(), content);
            assert!(fs::metadata(path).unwrap().blocks() * 512 >= room);
        }
    }

    #[test]
    fn what_is_kept_of_the_log_is_written_once_and_nothing_in_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (database, log) = (folder.path().join("store"), folder.path().join("store-wal"));
        let file = File::create(&database).unwrap();
        fs::write(&log, "log").unwrap();
        assert!(keep(&file, 0, &log).unwrap());
        write_once(&log).unwrap();
        let bytes = fs::read(&log).unwrap();
        assert_eq!(bytes.len() as u64, WRITTEN);
        assert!(bytes.starts_with(b"log") && bytes[3..].iter().all(|&byte| byte == 0));
        // What was allocated only is a hole to whoever looks for one.
        let hole = rustix::fs::seek(File::open(&log).unwrap(), rustix::fs::SeekFrom::Hole(0)).unwrap();
        assert_eq!(hole, WRITTEN);
        assert!(!keep(&file, 0, &log).unwrap());
    }
}

//! The log file: appended to by many processes at once, and renamed when it is full.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// The size, in bytes, at which a log is renamed.
pub const SIZE_MAX: u64 = 100 * 1024 * 1024;

/// How many renamed logs are kept: `<log>.1`, the newest, to `<log>.5`. That bounds the disk space, which is all that
/// an age limit and compression would be for.
pub const KEPT: u32 = 5;

/// A log file open for appending.
///
/// No line is divided among writes, so lines of concurrent writers don't mix, and no line is lost in a renaming: who still has the
/// renamed file open writes into that one.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    size_max: u64,
    file: File,
}

impl LogFile {
    /// Opens the log at `path`, and makes it (0644) and the folders above it (0755) if need be. It will be renamed when
    /// a line would make it larger than `size_max` bytes, which is [`SIZE_MAX`] outside of tests.
    pub fn open(path: &Path, size_max: u64) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            size_max,
            file: open(path)?,
        })
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends whole lines.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if is_full(&self.file, lines.len(), self.size_max) {
            // If it fails: better a log that is too large than none.
            let _ = self.rotate(lines.len());
        }
        self.file.write_all(lines)
    }

    /// Renames the log, unless another process does or did, and opens the new one. After an error, or while another
    /// process is at it, this one goes on writing where it is; it must not wait.
    fn rotate(&mut self, more: usize) -> io::Result<()> {
        let lock = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o644)
            .open(self.beside("lock"))?;
        if lock.try_lock().is_err() {
            return Ok(());
        }
        // Not the file that was found full, if somebody has renamed that.
        self.file = open(&self.path)?;
        if is_full(&self.file, more, self.size_max) {
            // From the oldest on: killed anywhere, this leaves a gap in the numbers, and every log but the oldest.
            for number in (1..KEPT).rev() {
                let _ = fs::rename(self.beside(number), self.beside(number + 1));
            }
            fs::rename(&self.path, self.beside(1))?;
            self.file = open(&self.path)?;
        }
        Ok(())
        // The lock goes with its file.
    }

    fn beside(&self, suffix: impl std::fmt::Display) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{suffix}"));
        name.into()
    }
}

/// An empty log takes a line of any size. What isn't a file, such as /dev/stderr, is never full.
fn is_full(file: &File, more: usize, size_max: u64) -> bool {
    file.metadata().is_ok_and(|metadata| {
        metadata.is_file() && metadata.len() > 0 && metadata.len() + more as u64 > size_max
    })
}

fn open(path: &Path) -> io::Result<File> {
    let open = || {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o644)
            // A FIFO that nobody reads is an error, not a place to wait.
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)
    };
    match (open(), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
            open()
        }
        (result, _) => result,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_log_and_its_folders_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/log");
        LogFile::open(&path, SIZE_MAX).unwrap().append(b"line\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"line\n");
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o644, 0o755));
    }

    #[test]
    fn a_full_log_is_renamed_and_five_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path, 8).unwrap();
        for number in 0..9 {
            log.append(format!("line {number}\n").as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("log"), "line 8\n");
        for (number, line) in [(1, "line 7\n"), (5, "line 3\n")] {
            assert_eq!(read(&format!("log.{number}")), line);
        }
        assert!(!folder.path().join("log.6").exists());
    }

    #[test]
    fn who_has_the_renamed_log_open_goes_on_in_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut one, mut other) = (
            LogFile::open(&path, 16).unwrap(),
            LogFile::open(&path, 16).unwrap(),
        );
        one.append(b"0123456789\n").unwrap();
        one.append(b"second\n").unwrap();
        // The other one finds the log full as well, and must not rename the new one for that.
        other.append(b"third\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second\nthird\n");
        assert_eq!(
            fs::read_to_string(folder.path().join("log.1")).unwrap(),
            "0123456789\n"
        );
        assert!(!folder.path().join("log.2").exists());
    }

    #[test]
    fn nobody_waits_for_who_renames() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path, 4).unwrap();
        log.append(b"one\n").unwrap();
        let renaming = File::create(folder.path().join("log.lock")).unwrap();
        renaming.lock().unwrap();
        log.append(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_line_larger_than_the_limit_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path, 4).unwrap();
        log.append(b"a long line\n").unwrap();
        log.append(b"another\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "another\n");
    }

    #[test]
    fn what_is_no_file_is_never_renamed_nor_waited_for() {
        LogFile::open(Path::new("/dev/null"), 1)
            .unwrap()
            .append(b"line\n")
            .unwrap();
        assert!(Path::new("/dev/null").exists() && !Path::new("/dev/null.1").exists());
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        assert!(LogFile::open(&fifo, SIZE_MAX).is_err());
    }
}

//! Leaves a DEL that got no answer in the journal beside the daemon's socket, see [`rpc::journal`].

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rpc::journal::{Entry, EntryError, FOLDER, SUFFIX};

/// Why a DEL could not be left in the journal. Nothing is left there then, or, if the process dies in the middle, a
/// file that doesn't count.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It isn't known when the DEL began.
    #[error(transparent)]
    Clock(io::Error),
    /// A step on the way to the entry failed.
    #[error("{step} {}: {error}", path.display())]
    Step {
        /// What was done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// How it failed.
        error: io::Error,
    },
    /// The entry can't be written as JSON.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

/// Writes `entry` into the journal in `socket_folder`, and returns its path when it is on stable storage.
///
/// The journal's folder is made if need be; `socket_folder` must exist, or there has never been a daemon.
pub fn write(socket_folder: &Path, entry: &Entry) -> Result<PathBuf, JournalError> {
    let folder = socket_folder.join(FOLDER);
    let failed = |step, path: &Path| {
        let path = path.to_owned();
        move |error| JournalError::Step { step, path, error }
    };
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => sync_folder(socket_folder).map_err(failed("syncing", socket_folder))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("creating", &folder)(error)),
    }
    // Boot, moment and process: no two entries share a name, and names sort by time.
    let name = format!(
        "{}-{:020}-{}",
        entry.stamp.boot_id,
        entry.stamp.boottime_ns,
        std::process::id()
    );
    let unfinished = folder.join(format!(".{name}.tmp"));
    let finished = folder.join(format!("{name}{SUFFIX}"));
    let written = write_new(&unfinished, &entry.encode()?)
        .map_err(failed("writing", &unfinished))
        .and_then(|()| fs::rename(&unfinished, &finished).map_err(failed("renaming to", &finished)));
    if let Err(error) = written {
        // Nothing reads it, but it takes room on what may be a full disk.
        let _ = fs::remove_file(&unfinished);
        return Err(error);
    }
    sync_folder(&folder).map_err(failed("syncing", &folder))?;
    Ok(finished)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rpc::v1::IpamParameters;

    use super::*;
    use crate::clock;

    fn entry(container_id: &str) -> Entry {
        Entry::new(
            clock::now().unwrap(),
            &IpamParameters {
                cni_containerid: container_id.into(),
                cni_ifname: "net1".into(),
                ..IpamParameters::default()
            },
        )
    }

    #[test]
    fn an_entry_is_complete_under_its_name() {
        let socket_folder = tempfile::tempdir().unwrap();
        let entry = entry("c1");
        let path = write(socket_folder.path(), &entry).unwrap();
        assert_eq!(Entry::decode(&fs::read(&path).unwrap()).unwrap(), entry);
        let folder = socket_folder.path().join(FOLDER);
        assert_eq!(path.parent().unwrap(), folder);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    }

    #[test]
    fn entries_sort_by_time() {
        let socket_folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..20)
            .map(|i| write(socket_folder.path(), &entry(&format!("c{i}"))).unwrap())
            .collect();
        assert!(paths.is_sorted(), "{paths:?}");
    }

    #[test]
    fn without_a_socket_folder_there_is_no_journal() {
        let parent = tempfile::tempdir().unwrap();
        let missing = parent.path().join("missing");
        let error = write(&missing, &entry("c1")).unwrap_err().to_string();
        assert!(
            error.contains("creating") && error.contains("missing/released"),
            "{error}"
        );
        assert!(!missing.exists());
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let socket_folder = tempfile::tempdir().unwrap();
        let entry = entry("c1");
        let path = write(socket_folder.path(), &entry).unwrap();
        // A folder with something in it can't be renamed over.
        fs::remove_file(&path).unwrap();
        fs::create_dir_all(path.join("x")).unwrap();
        let error = write(socket_folder.path(), &entry).unwrap_err().to_string();
        assert!(error.starts_with("renaming to"), "{error}");
        assert_eq!(
            fs::read_dir(socket_folder.path().join(FOLDER)).unwrap().count(),
            1
        );
    }
}

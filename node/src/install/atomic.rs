//! Replacing a file as a whole.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Makes `path` a file of mode `mode` with what `write` writes.
///
/// At any moment, also after a crash at any moment, `path` is what it was before or the new file, whole; once this
/// returns, the new file is on stable storage. A crash leaves at most one other file, [`temporary`], which the next call
/// replaces and [`remove_leftover`] removes. A running program at `path` runs on.
pub(super) fn replace(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = temporary(path);
    remove_leftover(path)?;
    let outcome = write_durably(&temporary, mode, write).and_then(|()| fs::rename(&temporary, path));
    if outcome.is_err() {
        // Whatever made the writing fail is the error to report.
        let _ = fs::remove_file(&temporary);
    }
    outcome?;
    sync_folder(path)
}

/// Removes what a crash during [`replace`] left behind.
pub(super) fn remove_leftover(path: &Path) -> io::Result<()> {
    match fs::remove_file(temporary(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Where the new file is written: beside `path`, because a rename doesn't cross file systems, and hidden, because
/// container runtimes read whole folders.
pub(super) fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

/// The file is closed when this returns: a program that is open for writing can't be executed.
fn write_durably(path: &Path, mode: u32, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    write(&mut file)?;
    // Not with the creation: the process's umask would take bits away.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

//! Making a store under another name, and giving it its own when it is complete. Until then a crash leaves what the next
//! start removes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::Connection;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::error::StoreError;
use super::files::{Files, Identity};
use super::lock::hold;
use super::open::Kind;
use super::{open, schema};

/// Makes a database, on stable storage when this returns, and writes into it with `write`. The file is locked as the store is:
/// it is from its first moment under the store's name.
pub(super) fn database(
    files: &Files,
    write: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<File, StoreError> {
    let new = &files.unfinished();
    let failed = |step| StoreError::io(step, new);
    let sqlite =
        |result: rusqlite::Result<()>| result.map_err(StoreError::sqlite("creating the store", &files.store));
    create_private(new).map_err(failed("creating"))?;
    let connection = schema::open(new).map_err(StoreError::sqlite("creating the store", &files.store))?;
    sqlite(schema::create(&connection))?;
    sqlite(write(&connection))?;
    sqlite(connection.close().map_err(|(_, error)| error))?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(new)
        .map_err(failed("opening"))?;
    file.sync_all().map_err(failed("syncing"))?;
    hold(&file, new)?;
    Ok(file)
}

/// Makes a file of `bytes`, on stable storage when this returns.
pub(super) fn file(files: &Files, bytes: &[u8]) -> Result<(), StoreError> {
    let new = &files.unfinished_json();
    let failed = |step| StoreError::io(step, new);
    let mut file = create_private(new).map_err(failed("creating"))?;
    file.write_all(bytes).map_err(failed("writing"))?;
    file.sync_all().map_err(failed("syncing"))
}

/// SQLite takes the permissions of its logs from its database.
fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Gives `made` the store's name with `publish`, for good when this returns.
pub(super) fn publish(
    files: &Files,
    made: &Path,
    publish: fn(&Path, &Path) -> io::Result<()>,
) -> Result<(), StoreError> {
    publish(made, &files.store).map_err(StoreError::io("creating", &files.store))?;
    sync_folder(files)?;
    remove_unfinished(files)
}

/// Gives the database that was made the name of the store `expected`, for good when this returns.
///
/// The two exchange their names: only then it is certain which file had the name. If it was another one, of a Go daemon
/// that runs all the same and has committed since `expected` was read, it gets the name back, and nothing has changed. Cut
/// off before that is known, [`remove_unfinished`] sees to it.
pub(super) fn replace(files: &Files, expected: &File) -> Result<(), StoreError> {
    let (new, store) = (files.unfinished(), &files.store);
    match exchange(&new, store) {
        // Few file systems can't. On those a commit in just this instant is lost.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            return publish(files, &new, |new, store| fs::rename(new, store));
        }
        exchanged => exchanged
            .map_err(io::Error::from)
            .map_err(StoreError::io("creating", store))?,
    }
    let replaced = Identity::at(&new).map_err(StoreError::io("looking at", &new))?;
    if replaced != Identity::of(expected).map_err(StoreError::io("looking at", &new))? {
        put_back(files)?;
        return Err(StoreError::HeldByOther(store.clone()));
    }
    sync_folder(files)?;
    remove_unfinished(files)
}

fn exchange(one: &Path, other: &Path) -> rustix::io::Result<()> {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)
}

/// Gives the store of a Go daemon its name back. The earlier one that is kept as if it had been taken over goes first: as
/// long as it isn't there, the next start does the rest.
fn put_back(files: &Files) -> Result<(), StoreError> {
    remove(&files.imported())?;
    exchange(&files.unfinished(), &files.store)
        .map_err(io::Error::from)
        .map_err(StoreError::io(
            "giving its name back to the Go ipam-node's store",
            &files.store,
        ))?;
    sync_folder(files)
}

/// Gives the store's file the name `aside` too, for good when this returns.
pub(super) fn keep_aside(files: &Files, aside: &Path) -> Result<(), StoreError> {
    if !same_file(&files.store, aside) {
        fs::hard_link(&files.store, aside).map_err(StoreError::io("keeping the store as", aside))?;
    }
    sync_folder(files)
}

/// Removes what an earlier run began to make.
pub(super) fn remove_unfinished(files: &Files) -> Result<(), StoreError> {
    // Only an exchange brings a JSON there. Unless it is the one that was read and kept before, a Go daemon had committed.
    let unfinished = files.unfinished();
    if matches!(open::look(&unfinished), Ok(Some(Kind::Json))) && !same_file(&unfinished, &files.imported()) {
        put_back(files)?;
    }
    remove(&unfinished)?;
    remove(&files.unfinished_json())?;
    remove(&files.unfinished_journal())?;
    // An export was cut off before the store was another: the name belongs to a database that is not in use.
    if same_file(&files.store, &files.exported()) {
        remove(&files.exported())?;
    }
    Ok(())
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::io("removing", path)(error)),
        _ => Ok(()),
    }
}

fn sync_folder(files: &Files) -> Result<(), StoreError> {
    files
        .sync_folder()
        .map_err(StoreError::io("syncing", files.folder()))
}

/// Whether both names are those of one file.
pub(super) fn same_file(one: &Path, other: &Path) -> bool {
    Identity::at(one).is_ok_and(|one| Identity::at(other).is_ok_and(|other| one == other))
}

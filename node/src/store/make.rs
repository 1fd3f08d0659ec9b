//! Making a store under another name, and giving it its own when it is complete. Until then a crash leaves what the next
//! start removes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::Connection;

use super::error::StoreError;
use super::files::{Files, Identity};
use super::lock::hold;
use super::schema;

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
    let new = &files.unfinished();
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

/// Gives what was made the store's name with `publish`, for good when this returns.
pub(super) fn publish(files: &Files, publish: fn(&Path, &Path) -> io::Result<()>) -> Result<(), StoreError> {
    publish(&files.unfinished(), &files.store).map_err(StoreError::io("creating", &files.store))?;
    sync_folder(files)?;
    remove_unfinished(files)
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
    remove(&files.unfinished())?;
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

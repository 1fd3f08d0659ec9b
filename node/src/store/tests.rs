//! Opening whatever may lie at a store's path.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::file_lock::try_flock;
use crate::ledger::testing::{add, key, pool, table};
use crate::table::{Knowledge, Known};

/// Makes the database refuse to grow beyond so many pages, as a full disk does.
pub(crate) fn limit_pages(store: &Store, pages: u32) {
    let connection = &store.database.connection;
    connection
        .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
        .unwrap();
}

pub(super) fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    (folder, store)
}

pub(super) fn open(path: &Path) -> Result<(Store, Ledger), StoreError> {
    Store::open(StoreLock::take(path)?)
}

/// Every file but the lock's, with its bytes.
pub(super) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| {
            (
                file.file_name().into_string().unwrap(),
                fs::read(file.path()).unwrap_or_default(),
            )
        })
        .filter(|(name, _)| name != "store.lock")
        .collect()
}

/// As after kill -9: what is on the disk now, log and all, is what the next start finds.
fn as_killed(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for (name, bytes) in files(folder) {
        fs::write(copy.path().join(name), bytes).unwrap();
    }
    copy
}

/// Opening fails with a message that has `part` in it and names the store, and changes nothing.
pub(super) fn refused(folder: &Path, part: &str) {
    let before = files(folder);
    let error = open(&folder.join("store")).unwrap_err().to_string();
    assert!(error.contains(part) && error.contains("/store"), "{error}");
    assert_eq!(files(folder), before, "{error}");
}

/// A store with `count` reservations, closed.
fn filled(path: &Path, count: u32) {
    let (store, _) = open(path).unwrap();
    let transaction = store.begin().unwrap();
    transaction
        .set_table(&table([pool("p", "10.0.0.0", "10.0.255.255")]), "now")
        .unwrap();
    for n in 0..count {
        let call = add(&format!("container-{n}"), &["p"]);
        let stamp = rpc::journal::Stamp {
            boot_id: "b".to_owned(),
            boottime_ns: n.into(),
        };
        let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).into();
        let new = New {
            pool: &key("p"),
            address,
            any: true,
            call: &call,
            pool_config: "{}",
            created: "now",
            stamp: &stamp,
        };
        transaction.insert_all(&[new]).unwrap();
    }
    transaction.commit().unwrap();
    store.close().unwrap();
}

#[test]
fn an_absent_store_is_made_whole_and_private() {
    let (folder, path) = folder();
    let (store, ledger) = open(&path).unwrap();
    assert_eq!(
        (ledger.known(), ledger.reservations().count()),
        (Known::default(), 0)
    );
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mode: String = store
        .database
        .connection
        .pragma_query_value(None, "journal_mode", |r| r.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
    store.close().unwrap();
    assert_eq!(
        files(folder.path()).into_keys().collect::<Vec<_>>(),
        ["store", "store.reserve"]
    );
}

#[test]
fn what_was_committed_is_there_again_though_nobody_closed_it() {
    let (folder, path) = folder();
    filled(&path, 3);
    let (store, _) = open(&path).unwrap();
    let transaction = store.begin().unwrap();
    transaction.delete(crate::reservation::RowId(1)).unwrap();
    transaction.commit().unwrap();
    let copy = as_killed(folder.path());
    assert!(copy.path().join("store-wal").metadata().unwrap().len() > 0);
    let (_, ledger) = open(&copy.path().join("store")).unwrap();
    assert_eq!(ledger.reservations().map(|r| r.id.0).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(ledger.known(), Known::both(Knowledge::Persisted));
}

/// What an earlier daemon leaves that was killed: a log that ends with its last commit.
#[test]
fn commits_survive_the_writing_of_what_is_kept_behind_them() {
    let (folder, path) = folder();
    filled(&path, 1);
    let (store, _) = open(&path).unwrap();
    let commit = |store: &Store, address| {
        let transaction = store.begin().unwrap();
        reserve(&transaction, address, &[address]).unwrap();
        transaction.commit().unwrap();
    };
    commit(&store, "10.0.0.1");
    let mut folder = as_killed(folder.path());
    let log = |folder: &TempDir| fs::metadata(folder.path().join("store-wal")).unwrap().len();
    let short = log(&folder);
    for address in ["10.0.0.2", "10.0.0.3"] {
        let (store, ledger) = open(&folder.path().join("store")).unwrap();
        store.keep_room().unwrap();
        assert!(log(&folder) > 10 * short);
        let before = ledger.reservations().count();
        commit(&store, address);
        let copy = as_killed(folder.path());
        let (_, ledger) = open(&copy.path().join("store")).unwrap();
        assert_eq!(ledger.reservations().count(), before + 1);
        folder = copy;
    }
}

#[test]
fn a_store_that_was_being_made_is_made_anew() {
    let (folder, path) = folder();
    fs::write(folder.path().join("store.new"), "half").unwrap();
    fs::write(folder.path().join("store.new-journal"), "half").unwrap();
    open(&path).unwrap().0.close().unwrap();
    assert_eq!(
        files(folder.path()).into_keys().collect::<Vec<_>>(),
        ["store", "store.reserve"]
    );
    // It got its name, but the other one is still there.
    fs::hard_link(&path, folder.path().join("store.new")).unwrap();
    open(&path).unwrap().0.close().unwrap();
    assert_eq!(
        files(folder.path()).into_keys().collect::<Vec<_>>(),
        ["store", "store.reserve"]
    );
}

#[test]
fn an_empty_file_is_an_empty_store_unless_there_was_one() {
    let (folder, path) = folder();
    // The Go daemon leaves it on every node that never served an ADD.
    fs::write(&path, "").unwrap();
    open(&path).unwrap().0.close().unwrap();
    fs::remove_file(folder.path().join("store.reserve")).unwrap();
    for trace in [
        "store-wal",
        "store-journal",
        "store.go.json",
        "store.db",
        "store.reserve",
    ] {
        fs::write(&path, "").unwrap();
        fs::write(folder.path().join(trace), "x").unwrap();
        refused(folder.path(), "has been lost");
        fs::remove_file(folder.path().join(trace)).unwrap();
    }
}

#[test]
fn an_absent_store_whose_log_is_there_is_not_absent() {
    let (folder, path) = folder();
    filled(&path, 1);
    fs::remove_file(&path).unwrap();
    fs::write(folder.path().join("store-wal"), "commits").unwrap();
    refused(folder.path(), "put the store back");
    fs::remove_file(folder.path().join("store-wal")).unwrap();
    open(&path).unwrap();
}

#[test]
fn one_daemon_at_a_time() {
    let (folder, path) = folder();
    let (store, _) = open(&path).unwrap();
    let error = open(&path).unwrap_err().to_string();
    assert!(
        error.contains(&format!("pid {}", std::process::id())) && error.contains("--store-file"),
        "{error}"
    );
    store.close().unwrap();
    open(&path).unwrap().0.close().unwrap();
    // The Go daemon locks the store itself.
    let theirs = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    assert!(try_flock(&theirs).unwrap());
    refused(folder.path(), "Go ipam-node?");
}

#[test]
fn the_store_itself_is_locked_against_a_go_daemon_all_the_while() {
    let (_folder, path) = folder();
    for _ in 0..2 {
        let (store, _) = open(&path).unwrap();
        let theirs = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        assert!(!try_flock(&theirs).unwrap());
        store.close().unwrap();
    }
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let (folder, path) = folder();
    for (content, part) in [
        ("garbage", "neither a database of ipam-node"),
        ("SQLite format 3\0", "neither a database of ipam-node"),
    ] {
        fs::write(&path, content).unwrap();
        refused(folder.path(), part);
    }
    fs::remove_file(&path).unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE t (x)")
        .unwrap();
    refused(folder.path(), "another program");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused(folder.path(), "is a folder");
}

#[test]
fn a_later_format_is_left_alone() {
    let (folder, path) = folder();
    filled(&path, 1);
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 7)
        .unwrap();
    refused(folder.path(), "has format 7");
}

#[test]
fn a_later_format_that_only_the_log_tells_of_is_no_earlier_one_to_who_looks() {
    let (_folder, path) = folder();
    let (store, _) = open(&path).unwrap();
    store
        .database
        .connection
        .pragma_update(None, "user_version", 7)
        .unwrap();
    let too_new = reader::content(&path).unwrap_err();
    assert!(
        matches!(too_new, StoreError::TooNew { found: 7, .. }),
        "{too_new}"
    );
}

#[test]
fn a_damaged_store_is_left_alone() {
    let (folder, path) = folder();
    filled(&path, 1000);
    let whole = fs::read(&path).unwrap();
    let write = |bytes: &[u8]| fs::write(&path, bytes).unwrap();
    write(&whole[..whole.len() / 2]);
    refused(folder.path(), "is damaged");
    write(&whole[..whole.len() - 100]);
    refused(folder.path(), "is damaged");
    write(&whole);
    // Page 5 of 4096 bytes: a header that is no page's.
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .write_all_at(&[0xff; 64], 4 * 4096)
        .unwrap();
    refused(folder.path(), "is damaged");
    write(&whole);
    open(&path).unwrap();
}

#[test]
fn a_store_that_contradicts_itself_is_left_alone() {
    let (folder, path) = folder();
    filled(&path, 2);
    let behind = Connection::open(&path).unwrap();
    behind
        .execute("UPDATE reservations SET address = '::1' WHERE id = 1", [])
        .unwrap();
    behind
        .execute("UPDATE reservations SET address = '0:0::1' WHERE id = 2", [])
        .unwrap();
    behind.close().unwrap();
    let error = open(&path).unwrap_err().to_string();
    assert!(
        error.contains("reservations 1 and 2 of pool p are both of address ::1"),
        "{error}"
    );
    drop(folder);
}

#[test]
fn where_nothing_can_be_written_the_message_says_where() {
    let error = open(Path::new("/proc/self/store")).unwrap_err().to_string();
    assert!(error.contains("/proc/self/store.lock"), "{error}");
    let error = open(Path::new("/nowhere/store")).unwrap_err().to_string();
    assert!(error.contains("/nowhere/store.lock"), "{error}");
}

/// Reserves the addresses in one step and says which ids that made.
fn reserve(transaction: &Transaction<'_>, container: &str, addresses: &[&str]) -> rusqlite::Result<Vec<i64>> {
    let (pool, call) = (key("p"), add(container, &["p"]));
    let stamp = rpc::journal::Stamp {
        boot_id: String::new(),
        boottime_ns: 0,
    };
    let new = addresses.iter().map(|address| New {
        pool: &pool,
        address: address.parse().unwrap(),
        any: true,
        call: &call,
        pool_config: "",
        created: "",
        stamp: &stamp,
    });
    let made = transaction.insert_all(&new.collect::<Vec<_>>())?;
    Ok(made.iter().map(|reservation| reservation.id.0).collect())
}

#[test]
fn an_id_is_never_used_again() {
    let (_folder, path) = folder();
    filled(&path, 2);
    let mut newest = 2;
    let mut is_newer = |store: &Store, ids: Vec<i64>| {
        assert!(ids[0] > newest, "{ids:?} after {newest}");
        newest = ids[0];
        // Else the next daemon would give it again after its release.
        let sequence = "SELECT seq FROM sqlite_sequence WHERE name = 'reservations'";
        let sequence: i64 = (store.database.connection)
            .query_row(sequence, [], |row| row.get(0))
            .unwrap();
        assert!(sequence >= newest);
    };
    for _ in 0..2 {
        let (store, ledger) = open(&path).unwrap();
        // It takes the ids that it gives back.
        reserve(&store.begin().unwrap(), "dropped", &["10.0.1.1"]).unwrap();
        let transaction = store.begin().unwrap();
        for reservation in ledger.reservations() {
            transaction.delete(reservation.id).unwrap();
        }
        reserve(&transaction, "refused", &["10.0.0.2", "10.0.0.2"]).unwrap_err();
        is_newer(&store, reserve(&transaction, "next", &["10.0.0.3"]).unwrap());
        transaction.commit().unwrap();
        let transaction = store.begin().unwrap();
        is_newer(&store, reserve(&transaction, "last", &["10.0.0.4"]).unwrap());
        transaction.commit().unwrap();
        store.close().unwrap();
        // An administrator empties a table that looks like nobody's.
        Connection::open(&path)
            .and_then(|connection| connection.execute_batch("DELETE FROM sqlite_sequence"))
            .unwrap();
    }
}

#[test]
fn not_even_if_somebody_empties_the_tables_beside_the_daemon() {
    let (_folder, path) = folder();
    let (store, _) = open(&path).unwrap();
    let transaction = store.begin().unwrap();
    let before = reserve(&transaction, "a", &["10.0.0.1"]).unwrap();
    transaction.commit().unwrap();
    let behind = Connection::open(&path).unwrap();
    behind
        .execute_batch("DELETE FROM reservations; DELETE FROM sqlite_sequence")
        .unwrap();
    let transaction = store.begin().unwrap();
    assert!(store.changed_elsewhere().unwrap());
    store.load().unwrap();
    assert!(reserve(&transaction, "b", &["10.0.0.1"]).unwrap() > before);
    transaction.commit().unwrap();
    // Nor is there one after the last.
    behind
        .execute_batch(&format!("UPDATE sqlite_sequence SET seq = {}", i64::MAX - 1))
        .unwrap();
    let transaction = store.begin().unwrap();
    store.load().unwrap();
    let error = reserve(&transaction, "c", &["10.0.0.2"]).unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull));
}

/// A store as the first format had it, closed.
fn of_first_format(path: &Path) {
    filled(path, 2);
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch("ALTER TABLE pools DROP COLUMN last_config; PRAGMA user_version = 1;")
        .unwrap();
}

#[test]
fn a_store_of_the_first_format_is_brought_up_to_date_and_loses_nothing() {
    let (_folder, path) = folder();
    of_first_format(&path);
    let too_old = reader::content(&path).unwrap_err().to_string();
    assert!(too_old.contains("format 1, of an earlier ipam-node"), "{too_old}");
    let too_old = reader::release(&path, &key("p"), "10.0.0.0".parse().unwrap());
    assert!(matches!(too_old, Err(StoreError::TooOld { found: 1, .. })));
    let (store, ledger) = open(&path).unwrap();
    assert_eq!(ledger.reservations().count(), 2);
    drop((store, ledger));
    assert_eq!(reader::content(&path).unwrap().reservations.len(), 2);
    assert_eq!(open(&path).unwrap().1.reservations().count(), 2);
}

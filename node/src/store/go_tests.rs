//! From the Go daemon's store and back to it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use rpc::journal::{Entry, FOLDER, Stamp};
use rpc::v1::IpamParameters;

use super::tests::{files, folder, open, refused};
use super::*;
use crate::call::ReleaseCall;
use crate::clock::{BootClock, Clock};
use crate::file_lock::try_flock;
use crate::go_store::tests::{BAD_CHECKSUM, IN_USE, TRUNCATED, any_store, entry, with};
use crate::go_store::{GoEntry, GoStore};
use crate::journal::Journal;
use crate::ledger::testing::{add, key, owner, pool, table};
use crate::table::Known;

pub(super) fn export(path: &Path) -> InPlace {
    export_in_place(StoreLock::take(path).unwrap(), None).unwrap()
}

pub(super) fn names(folder: &Path) -> Vec<String> {
    files(folder).into_keys().collect()
}

/// What is held: pool, address, container.
fn held(ledger: &Ledger) -> Vec<(String, String, String)> {
    let mut held: Vec<_> = ledger
        .reservations()
        .map(|r| {
            (
                r.pool.as_str().to_owned(),
                r.address.to_string(),
                r.owner.container.clone(),
            )
        })
        .collect();
    held.sort();
    held
}

/// Opens the store and closes it again: what it holds.
pub(super) fn opened(path: &Path) -> Vec<(String, String, String)> {
    let (store, ledger) = open(path).unwrap();
    store.close().unwrap();
    held(&ledger)
}

/// One reservation of our own, in pool `p`.
fn reserve(store: &Store, container: &str, address: &str) {
    let call = add(container, &["p"]);
    let stamp = Stamp {
        boot_id: "b".to_owned(),
        boottime_ns: 7,
    };
    let transaction = store.begin().unwrap();
    let new = New {
        pool: &key("p"),
        address: address.parse().unwrap(),
        any: true,
        call: &call,
        pool_config: r#"{"subnet":"x"}"#,
        created: "2026-11-24T12:00:00Z",
        stamp: &stamp,
    };
    transaction.insert_all(&[new]).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn what_the_go_daemon_held_is_held() {
    let (folder, path) = folder();
    fs::write(&path, IN_USE).unwrap();
    let (store, ledger) = open(&path).unwrap();
    assert_eq!(ledger.known(), Known::default());
    let expected = [
        ("cidrpool/rail", "192.168.7.2", "rail-1"),
        (
            "v4",
            "10.9.0.2",
            "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
        ),
        ("v4", "10.9.0.3", "two-pools"),
        ("v4", "10.9.77.5", "static"),
        ("v6", "fd52:2eb5:44::6", "two-pools"),
        ("v6", "fd52:2eb5:44::7", "escapes"),
    ];
    assert_eq!(
        held(&ledger),
        expected.map(|(p, a, c)| (p.to_owned(), a.to_owned(), c.to_owned()))
    );
    let escapes = ledger
        .reservations()
        .find(|r| r.owner.container == "escapes")
        .unwrap();
    assert_eq!(
        (
            escapes.pod.name.as_str(),
            &*escapes.pod.namespace,
            escapes.pod.uid.as_str()
        ),
        ("a<b>&cé\u{2028}", "d", "")
    );
    assert_eq!((&*escapes.network, escapes.pod_seen), ("", false));
    store.close().unwrap();

    assert_eq!(names(folder.path()), ["store", "store.go.json", "store.reserve"]);
    assert_eq!(
        fs::read_to_string(folder.path().join("store.go.json")).unwrap(),
        IN_USE
    );
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let stored = content(&path).unwrap().reservations;
    let escapes = stored.iter().find(|s| s.reservation.id == escapes.id).unwrap();
    assert_eq!(escapes.created, "2026-11-24T10:52:07.501610236Z");
}

#[test]
fn the_search_goes_on_where_the_go_daemon_stopped() {
    let (_folder, path) = folder();
    fs::write(&path, IN_USE).unwrap();
    let (store, mut ledger) = open(&path).unwrap();
    ledger.set_table(table([pool("v4", "10.9.0.1", "10.9.0.10")]));
    let next = crate::ledger::allocate(&ledger, &add("new", &["v4"])).unwrap();
    assert_eq!(next[0].grant.address.addr().to_string(), "10.9.0.4");
    store.close().unwrap();
}

#[test]
fn a_del_that_waits_in_the_journal_releases_what_the_go_daemon_had_made_before_it_and_nothing_later() {
    let (_folder, path) = folder();
    let clock = BootClock::new().unwrap();
    let mut made = entry("c", "net1", "10.0.0.1");
    let before = clock.stamp();
    made.created = clock.time_of_day();
    fs::write(&path, with([made]).print()).unwrap();
    let (store, ledger) = open(&path).unwrap();
    let call = ReleaseCall {
        pools: vec![key("p")],
        owner: owner("c"),
        network: "net".to_owned(),
    };
    let released = |began: &Stamp| ledger.released_late_by(&call, began, clock.boot_id()).len();
    let second = 1_000_000_000;
    let later = Stamp {
        boottime_ns: before.boottime_ns + second,
        ..before.clone()
    };
    let earlier = Stamp {
        boottime_ns: before.boottime_ns - second,
        ..before
    };
    assert_eq!(released(&later), 1);
    assert_eq!(released(&earlier), 0);
    let of_an_earlier_boot = Stamp {
        boot_id: "another".to_owned(),
        ..later
    };
    assert_eq!(released(&of_an_earlier_boot), 0, "who holds it now is not known");
    store.close().unwrap();
}

#[test]
fn what_the_go_daemon_only_kept_back_is_free() {
    let (_folder, path) = folder();
    let mut released = entry("gone", "net1", "10.0.0.2");
    released.released = Some("2026-11-24T12:00:00Z".to_owned());
    fs::write(&path, with([entry("c", "net1", "10.0.0.1"), released]).print()).unwrap();
    assert_eq!(
        opened(&path),
        [("p".to_owned(), "10.0.0.1".to_owned(), "c".to_owned())]
    );
}

#[test]
fn import_and_export_give_the_same_bytes() {
    let (folder, path) = folder();
    fs::write(&path, IN_USE).unwrap();
    opened(&path);
    let InPlace::Exported { store, .. } = export(&path) else {
        panic!("not exported");
    };
    assert_eq!(store.print(), IN_USE);
    assert_eq!(fs::read_to_string(&path).unwrap(), IN_USE);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names(folder.path()), ["store", "store.db"]);
    // And again.
    assert_eq!(export(&path), InPlace::Already);
    opened(&path);
    export(&path);
    assert_eq!(fs::read_to_string(&path).unwrap(), IN_USE);
    assert_eq!(names(folder.path()), ["store", "store.db"]);
}

fn without_released(store: &GoStore) -> GoStore {
    let mut kept = GoStore::default();
    for (key, pool) in store.pools() {
        let copy = kept.pool_mut(key.clone());
        copy.last_pool_config.clone_from(&pool.last_pool_config);
        copy.last_reserved = pool.last_reserved;
        for entry in pool.entries().filter(|entry| entry.released.is_none()) {
            copy.insert(entry.clone()).unwrap();
        }
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn import_and_export_give_the_same_store(content in any_store()) {
        let (_folder, path) = folder();
        fs::write(&path, content.print()).unwrap();
        opened(&path);
        export(&path);
        prop_assert_eq!(fs::read_to_string(&path).unwrap(), without_released(&content).print());
    }
}

#[test]
fn what_is_not_sound_is_left_alone() {
    let (folder, path) = folder();
    for (content, part) in [
        (BAD_CHECKSUM, "of the Go ipam-node doesn't match its checksum"),
        (TRUNCATED, "of the Go ipam-node is damaged or cut off"),
        (
            &IN_USE.replace("4046880319", "0"),
            "of the Go ipam-node has no checksum",
        ),
        ("{\"apiVersion\":\"v1\"}", "of the Go ipam-node has format 0"),
        (
            &with([entry("c", "net1", "10.0.0.1")])
                .print()
                .replace("10.0.0.1", "10"),
            "holds \"10\"",
        ),
    ] {
        fs::write(&path, content).unwrap();
        refused(folder.path(), part);
        refused(folder.path(), "it was left as it is. Put back a copy from before");
    }
}

#[test]
fn a_go_store_in_the_place_of_a_database_is_left_alone() {
    let (folder, path) = folder();
    // As they are while a daemon runs or after it was killed, after it was stopped, and after it took over another store.
    for trace in [
        "store-wal",
        "store-shm",
        "store-journal",
        "store.reserve",
        "store.go.json",
    ] {
        fs::write(&path, IN_USE).unwrap();
        fs::write(folder.path().join(trace), "").unwrap();
        refused(folder.path(), "a database of this ipam-node was in its place");
        refused(folder.path(), "ipam-node store export --in-place");
        refused(
            folder.path(),
            &format!("move {} away", folder.path().join(trace).display()),
        );
        fs::remove_file(folder.path().join(trace)).unwrap();
    }
    assert_eq!(opened(&path).len(), 6);
    // What really is there after a stop, whatever was there before.
    fs::write(&path, IN_USE).unwrap();
    refused(folder.path(), "a database of this ipam-node was in its place");
}

#[test]
fn both_daemons_locks_keep_each_other_out() {
    let (folder, path) = folder();
    fs::write(&path, IN_USE).unwrap();
    let theirs = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    assert!(try_flock(&theirs).unwrap());
    refused(folder.path(), "Go ipam-node?");
    drop(theirs);
    let (store, _) = open(&path).unwrap();
    let theirs = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    assert!(!try_flock(&theirs).unwrap(), "the new file is locked too");
    store.close().unwrap();
}

#[test]
fn what_the_go_daemon_did_meanwhile_is_taken_over() {
    let (_folder, path) = folder();
    let (store, _) = open(&path).unwrap();
    reserve(&store, "ours", "10.0.0.1");
    store.close().unwrap();
    export(&path);
    let mut theirs = GoStore::parse(&fs::read(&path).unwrap()).unwrap();
    let pool = theirs.pool_mut(key("p"));
    assert_eq!(pool.last_pool_config, r#"{"subnet":"x"}"#);
    pool.insert(entry("theirs", "net1", "10.0.0.2")).unwrap();
    // By a rename, as the Go daemon does it.
    fs::write(path.with_extension("tmp"), theirs.print()).unwrap();
    fs::rename(path.with_extension("tmp"), &path).unwrap();
    let containers: Vec<String> = opened(&path).into_iter().map(|(_, _, c)| c).collect();
    assert_eq!(containers, ["ours", "theirs"]);
}

#[test]
fn a_del_that_waits_in_the_journal_is_applied_before_the_store_is_given_back() {
    let (folder, path) = folder();
    let (store, _) = open(&path).unwrap();
    reserve(&store, "ours", "10.0.0.1");
    store.close().unwrap();
    let del = Entry::new(
        Stamp {
            boot_id: "b".to_owned(),
            boottime_ns: 8,
        },
        &IpamParameters {
            pools: vec!["p".to_owned()],
            cni_containerid: "ours".to_owned(),
            cni_ifname: "net1".to_owned(),
            ..IpamParameters::default()
        },
    );
    let waiting = folder.path().join(FOLDER).join("a.json");
    fs::create_dir(folder.path().join(FOLDER)).unwrap();
    fs::write(&waiting, del.encode().unwrap()).unwrap();
    let journal = Journal::existing(folder.path()).unwrap();
    let done = export_in_place(StoreLock::take(&path).unwrap(), journal).unwrap();
    let InPlace::Exported { store, applied } = done else {
        panic!("not exported");
    };
    assert_eq!(applied, 1);
    assert_eq!(
        store
            .pools()
            .map(|(_, pool)| pool.entries().count())
            .sum::<usize>(),
        0
    );
    assert!(!waiting.exists());
    let written = GoStore::parse(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(written, store);
}

#[test]
fn a_pool_that_is_only_configured_is_none_to_the_go_daemon() {
    let (_folder, path) = folder();
    let (store, _) = open(&path).unwrap();
    let transaction = store.begin().unwrap();
    transaction
        .set_table(
            &table([
                pool("p", "10.0.0.1", "10.0.0.9"),
                pool("q", "10.1.0.1", "10.1.0.9"),
            ]),
            "now",
        )
        .unwrap();
    transaction.commit().unwrap();
    reserve(&store, "c", "10.0.0.1");
    store.close().unwrap();
    let InPlace::Exported { store: exported, .. } = export(&path) else {
        panic!("not exported");
    };
    let pools: Vec<&str> = exported.pools().map(|(key, _)| key.as_str()).collect();
    assert_eq!(pools, ["p"]);
    let entries: Vec<&GoEntry> = exported.pools().flat_map(|(_, pool)| pool.entries()).collect();
    assert_eq!(entries[0].pod.name, "c");
    assert_eq!(entries[0].created, "2026-11-24T12:00:00Z");
}

#[test]
fn what_the_go_daemon_can_not_have_is_not_exported() {
    let (folder, path) = folder();
    fs::write(
        &path,
        with([entry("a_b", "c", "10.0.0.1"), entry("a", "x", "10.0.0.2")]).print(),
    )
    .unwrap();
    opened(&path);
    let behind = rusqlite::Connection::open(&path).unwrap();
    behind
        .execute(
            "UPDATE reservations SET interface = 'b_c' WHERE container = 'a'",
            [],
        )
        .unwrap();
    behind.close().unwrap();
    let error = export_in_place(StoreLock::take(&path).unwrap(), None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(
            "in pool p that the Go ipam-node can't have, one that stands there twice: address 10.0.0."
        ) && error.contains("interface \"")
            && error.contains("ipam-node store release --pool=p --address=10.0.0."),
        "{error}"
    );
    assert_eq!(names(folder.path()), ["store", "store.go.json", "store.reserve"]);
    assert_eq!(opened(&path).len(), 2);
}

#[test]
fn an_export_to_a_go_store_that_no_daemon_can_start_with_fails() {
    let (folder, path) = folder();
    let failed = || {
        let before = files(folder.path());
        let error = export_in_place(StoreLock::take(&path).unwrap(), None)
            .unwrap_err()
            .to_string();
        assert_eq!(files(folder.path()), before, "{error}");
        error
    };
    for unsound in ["{", BAD_CHECKSUM, TRUNCATED] {
        fs::write(&path, unsound).unwrap();
        assert!(failed().contains("of the Go ipam-node"));
    }
    fs::write(&path, IN_USE).unwrap();
    assert_eq!(export(&path), InPlace::Already);
    for trace in ["store-wal", "store.reserve", "store.go.json"] {
        let trace = folder.path().join(trace);
        fs::write(&trace, "x").unwrap();
        assert!(failed().contains("a database of this ipam-node was in its place"));
        fs::remove_file(&trace).unwrap();
    }
    assert_eq!(export(&path), InPlace::Already);
}

#[test]
fn where_there_is_nothing_to_export_nothing_changes() {
    let (folder, path) = folder();
    assert_eq!(export(&path), InPlace::Nothing);
    fs::write(&path, "").unwrap();
    assert_eq!(export(&path), InPlace::Nothing);
    assert_eq!(names(folder.path()), ["store"]);
    fs::write(folder.path().join("store.go.json"), IN_USE).unwrap();
    let error = export_in_place(StoreLock::take(&path).unwrap(), None)
        .unwrap_err()
        .to_string();
    assert!(error.contains("has been lost"), "{error}");
    fs::write(&path, "garbage").unwrap();
    let error = export_in_place(StoreLock::take(&path).unwrap(), None)
        .unwrap_err()
        .to_string();
    assert!(error.contains("neither a database of ipam-node"), "{error}");
}

//! Every point at which a change from the Go daemon's store to ours, or back, can be cut off: the state in which a crash
//! leaves the folder is made by hand.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::go_tests::{export, names, opened};
use super::make::same_file;
use super::tests::{folder, open};
use super::*;
use crate::go_store::tests::{IN_USE, TRUNCATED, entry, with};

/// What a point is called, and how to bring a folder there, with the bytes of the database.
type Point = (&'static str, fn(&Path, &[u8]));

#[test]
fn an_import_that_was_cut_off_is_begun_anew() {
    let (source, finished) = folder();
    fs::write(&finished, IN_USE).unwrap();
    let all = opened(&finished);
    fs::remove_file(source.path().join("store.reserve")).unwrap();
    let database = fs::read(&finished).unwrap();

    let states: &[Point] = &[
        ("while the database is made", |folder, database| {
            fs::write(folder.join("store.new"), &database[..database.len() / 2]).unwrap();
            fs::write(folder.join("store.new-journal"), "half").unwrap();
        }),
        ("before the JSON is kept", |folder, database| {
            fs::write(folder.join("store.new"), database).unwrap();
        }),
        ("before the database has the name", |folder, database| {
            fs::write(folder.join("store.new"), database).unwrap();
            fs::hard_link(folder.join("store"), folder.join("store.go.json")).unwrap();
        }),
        ("after it has the name", |folder, database| {
            fs::write(folder.join("store.new"), IN_USE).unwrap();
            fs::hard_link(folder.join("store.new"), folder.join("store.go.json")).unwrap();
            fs::write(folder.join("store"), database).unwrap();
        }),
        ("after the JSON's other name went", |folder, database| {
            fs::rename(folder.join("store"), folder.join("store.go.json")).unwrap();
            fs::write(folder.join("store"), database).unwrap();
        }),
    ];
    for (point, make) in states {
        let (folder, path) = folder();
        fs::write(&path, IN_USE).unwrap();
        make(folder.path(), &database);
        assert_eq!(opened(&path), all, "{point}");
        assert_eq!(
            names(folder.path()),
            ["store", "store.go.json", "store.reserve"],
            "{point}"
        );
        let kept = folder.path().join("store.go.json");
        assert_eq!(fs::read_to_string(&kept).unwrap(), IN_USE, "{point}");
        assert_eq!(fs::metadata(&kept).unwrap().nlink(), 1, "{point}");
    }
}

/// What a Go daemon commits: another file of the store's name.
fn commit(path: &Path) -> String {
    let theirs = with([entry("theirs", "net1", "10.0.0.1")]).print();
    fs::write(path.with_extension("tmp"), &theirs).unwrap();
    fs::rename(path.with_extension("tmp"), path).unwrap();
    theirs
}

#[test]
fn what_a_go_daemon_commits_while_its_store_is_taken_over_stays() {
    for before in ["", IN_USE] {
        let (folder, path) = folder();
        fs::write(&path, before).unwrap();
        let lock = StoreLock::take(&path).unwrap();
        let read = fs::File::open(&path).unwrap();
        drop(make::database(&lock.files, |_| Ok(())).unwrap());
        if !before.is_empty() {
            make::keep_aside(&lock.files, &lock.files.imported()).unwrap();
        }
        let theirs = commit(&path);
        let error = make::replace(&lock.files, &read).unwrap_err().to_string();
        assert!(error.contains("Go ipam-node?"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), theirs);
        drop(lock);
        assert_eq!(opened(&path).len(), 1);
        assert_eq!(names(folder.path()), ["store", "store.go.json", "store.reserve"]);
    }
}

#[test]
fn a_take_over_that_was_cut_off_before_it_knew_what_it_replaced_loses_no_commit() {
    let (_source, finished) = folder();
    open(&finished).unwrap().0.close().unwrap();
    let database = fs::read(&finished).unwrap();
    let states: &[Point] = &[
        ("once the names are exchanged", |folder, _| {
            fs::rename(folder.join("store"), folder.join("store.new")).unwrap();
            fs::write(folder.join("store.go.json"), IN_USE).unwrap();
        }),
        ("once what was kept is removed", |folder, _| {
            fs::rename(folder.join("store"), folder.join("store.new")).unwrap();
        }),
    ];
    for (point, make) in states {
        for exported in [false, true] {
            let (folder, path) = folder();
            let theirs = commit(&path);
            make(folder.path(), &[]);
            fs::write(&path, &database).unwrap();
            if exported {
                assert_eq!(export(&path), InPlace::Already, "{point}");
                assert_eq!(names(folder.path()), ["store"], "{point}");
            } else {
                assert_eq!(opened(&path).len(), 1, "{point}");
                let kept = folder.path().join("store.go.json");
                assert_eq!(fs::read_to_string(kept).unwrap(), theirs, "{point}");
            }
        }
    }
    // The names are exchanged back already.
    let (folder, path) = folder();
    commit(&path);
    fs::write(folder.path().join("store.new"), &database).unwrap();
    assert_eq!(opened(&path).len(), 1);
}

#[test]
fn an_export_that_was_cut_off_leaves_a_whole_store_and_can_be_done_again() {
    let (source, finished) = folder();
    fs::write(&finished, IN_USE).unwrap();
    let all = opened(&finished);
    let database = fs::read(&finished).unwrap();
    drop(source);

    let states: &[Point] = &[
        ("once the log is moved", |folder, _| {
            let connection = rusqlite::Connection::open(folder.join("store")).unwrap();
            connection.pragma_update(None, "journal_mode", "DELETE").unwrap();
        }),
        ("while the JSON is made", |folder, _| {
            fs::write(folder.join("store.new.json"), TRUNCATED).unwrap();
        }),
        ("before the database is kept", |folder, _| {
            fs::write(folder.join("store.new.json"), IN_USE).unwrap();
            fs::write(folder.join("store.db"), "of an earlier export").unwrap();
        }),
        ("before what tells of it is removed", |folder, _| {
            fs::write(folder.join("store.new.json"), IN_USE).unwrap();
            fs::hard_link(folder.join("store"), folder.join("store.db")).unwrap();
        }),
        ("before the JSON has the name", |folder, _| {
            fs::write(folder.join("store.new.json"), IN_USE).unwrap();
            fs::hard_link(folder.join("store"), folder.join("store.db")).unwrap();
            fs::remove_file(folder.join("store.go.json")).unwrap();
            fs::remove_file(folder.join("store.reserve")).unwrap();
        }),
        ("after it has the name", |folder, _| {
            fs::rename(folder.join("store"), folder.join("store.db")).unwrap();
            fs::write(folder.join("store"), IN_USE).unwrap();
            fs::remove_file(folder.join("store.go.json")).unwrap();
            fs::remove_file(folder.join("store.reserve")).unwrap();
        }),
    ];
    for (point, make) in states {
        for daemon_first in [true, false] {
            let (folder, path) = folder();
            fs::write(&path, &database).unwrap();
            fs::write(folder.path().join("store.go.json"), IN_USE).unwrap();
            fs::write(folder.path().join("store.reserve"), "x").unwrap();
            make(folder.path(), &[]);
            if daemon_first {
                assert_eq!(opened(&path), all, "{point}");
                assert!(!same_file(&path, &folder.path().join("store.db")), "{point}");
            }
            export(&path);
            assert_eq!(fs::read_to_string(&path).unwrap(), IN_USE, "{point}");
            assert_eq!(names(folder.path()), ["store", "store.db"], "{point}");
            assert_eq!(opened(&path), all, "{point}");
        }
    }
}

//! Every point at which a change from the Go daemon's store to ours, or back, can be cut off: the state in which a crash
//! leaves the folder is made by hand.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::go_tests::{export, names, opened};
use super::make::same_file;
use super::tests::folder;
use super::*;
use crate::go_store::tests::{IN_USE, TRUNCATED};

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
            fs::write(folder.join("store.new"), TRUNCATED).unwrap();
        }),
        ("before the database is kept", |folder, _| {
            fs::write(folder.join("store.new"), IN_USE).unwrap();
            fs::write(folder.join("store.db"), "of an earlier export").unwrap();
        }),
        ("before what tells of it is removed", |folder, _| {
            fs::write(folder.join("store.new"), IN_USE).unwrap();
            fs::hard_link(folder.join("store"), folder.join("store.db")).unwrap();
        }),
        ("before the JSON has the name", |folder, _| {
            fs::write(folder.join("store.new"), IN_USE).unwrap();
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

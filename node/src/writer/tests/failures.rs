//! What is answered when the store, the disk or another program gets in the way.

use super::*;
use crate::store::tests::limit_pages;

#[tokio::test]
async fn the_database_itself_refuses_a_second_holder() {
    let core = start();
    core.writer.set_table(small()).await.unwrap();
    core.add("a", &["p"]).await.unwrap();
    let behind = rusqlite::Connection::open(core.store()).unwrap();
    let copy = |address: &str, container: &str| {
        behind.execute(
            "INSERT INTO reservations (pool, address, container, interface, pod_uid, pod_name, pod_namespace, device_id,
                                       network, created, boot_id, boottime_ns, pool_config)
             SELECT pool, ?1, ?2, interface, '', '', '', '', '', '', '', 0, '' FROM reservations WHERE container = 'a'",
            [address, container],
        )
    };
    let refused = |result: rusqlite::Result<usize>| {
        assert_eq!(
            result.unwrap_err().sqlite_error_code(),
            Some(rusqlite::ErrorCode::ConstraintViolation)
        );
    };
    refused(copy("10.0.0.1", "b"));
    refused(copy("10.0.0.2", "a"));
    // What another program did change is seen before the next decision.
    copy("10.0.0.2", "b").unwrap();
    assert_eq!(core.add("c", &["p"]).await.unwrap(), ["10.0.0.3"]);
    assert_eq!(core.held().await, ["a 10.0.0.1", "b 10.0.0.2", "c 10.0.0.3"]);
}

#[tokio::test]
async fn pools_stay_in_force_whatever_another_program_does_to_them_in_the_store() {
    let core = start();
    core.writer.set_table(small()).await.unwrap();
    core.add("a", &["p"]).await.unwrap();
    let behind = rusqlite::Connection::open(core.store()).unwrap();
    behind.execute_batch("DELETE FROM pools").unwrap();
    core.del("a").await;
    core.add("b", &["p"]).await.unwrap();
    assert_eq!(core.writer.table().await.unwrap(), small());
}

#[tokio::test]
async fn a_store_that_another_program_has_locked_refuses_and_recovers() {
    let core = start();
    core.writer.set_table(small()).await.unwrap();
    core.add("a", &["p"]).await.unwrap();
    let behind = rusqlite::Connection::open(core.store()).unwrap();
    behind.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refusal = core.add("b", &["p"]).await.unwrap_err();
    assert!(
        refusal
            .to_string()
            .contains("another program (sqlite3?) has the store"),
        "{refusal}"
    );
    // So the plugin keeps a DEL in its journal, and the runtime tries an ADD again.
    assert_eq!(refusal.code(), tonic::Code::Unavailable);
    // Nor does STATUS promise what an ADD would not get.
    let status = core.writer.can_allocate().await;
    assert!(matches!(status, Err(Refusal::StoreLocked { .. })), "{status:?}");
    assert_eq!(core.held().await, ["a 10.0.0.1"]);
    behind.execute_batch("ROLLBACK").unwrap();
    core.writer.can_allocate().await.unwrap();
    assert_eq!(core.add("b", &["p"]).await.unwrap(), ["10.0.0.2"]);
}

/// Ends the daemon's core, which must have noticed that its store is not where it was.
async fn is_displaced(mut core: Core, part: &str) -> TempDir {
    let refused = core.add("b", &["p"]).await.unwrap_err();
    // Idle, it may have noticed before.
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
    let fatal = core.ended.wait().await.unwrap_err().to_string();
    assert!(fatal.contains(part) && fatal.contains("/store"), "{fatal}");
    core.folder
}

#[tokio::test]
async fn a_store_that_was_replaced_ends_the_writer_and_what_lies_there_is_left_alone() {
    for theirs in ["{}", "SQLite format 3"] {
        let core = start();
        core.writer.set_table(small()).await.unwrap();
        core.add("a", &["p"]).await.unwrap();
        let (store, aside) = (core.store(), core.folder.path().join("aside"));
        std::fs::rename(&store, &aside).unwrap();
        std::fs::write(&store, theirs).unwrap();
        let folder = is_displaced(core, "was replaced by another file").await;
        assert_eq!(std::fs::read_to_string(&store).unwrap(), theirs);
        // What it had is whole where it is now, and beside the other file no log of it is left.
        let log = folder.path().join("store-wal");
        assert_eq!(std::fs::metadata(&log).unwrap().len(), 0);
        let whole = rusqlite::Connection::open(&aside).unwrap();
        let held: String = whole
            .query_row("SELECT container FROM reservations", [], |row| row.get(0))
            .unwrap();
        assert_eq!(held, "a");
        drop(whole);
        std::fs::rename(&aside, &store).unwrap();
        let core = start_with(folder, BootClock::new().unwrap());
        assert_eq!(core.held().await, ["a 10.0.0.1"]);
    }
}

#[tokio::test]
async fn a_log_that_came_with_another_store_is_left_alone() {
    let core = start();
    core.writer.set_table(small()).await.unwrap();
    core.add("a", &["p"]).await.unwrap();
    let beside = |suffix: &str| core.folder.path().join(format!("store{suffix}"));
    for suffix in ["", "-wal", "-shm"] {
        std::fs::write(beside(".theirs"), format!("their{suffix}")).unwrap();
        std::fs::rename(beside(".theirs"), beside(suffix)).unwrap();
    }
    let folder = is_displaced(core, "was replaced by another file").await;
    for suffix in ["", "-wal", "-shm"] {
        let path = folder.path().join(format!("store{suffix}"));
        assert_eq!(std::fs::read_to_string(path).unwrap(), format!("their{suffix}"));
    }
}

#[tokio::test]
async fn a_store_that_was_removed_ends_the_writer_and_the_next_start_misses_it() {
    // Nothing is in the log of the second one.
    for quiet in [false, true] {
        let mut core = start();
        core.writer.set_table(small()).await.unwrap();
        core.add("a", &["p"]).await.unwrap();
        if quiet {
            core = core.restart().await;
        }
        std::fs::remove_file(core.store()).unwrap();
        let folder = is_displaced(core, "was removed").await;
        let lock = StoreLock::take(&folder.path().join("store")).unwrap();
        let missing = Store::open(lock).unwrap_err().to_string();
        assert!(missing.contains("has been lost"), "{missing}");
    }
}

#[tokio::test]
async fn a_store_that_was_replaced_is_noticed_while_nobody_asks_and_when_told_to_stop() {
    for stop in [false, true] {
        let mut core = start();
        std::fs::remove_file(core.store()).unwrap();
        if stop {
            core.writer.stop().await;
        }
        let fatal = core.ended.wait().await.unwrap_err().to_string();
        assert!(fatal.contains("was removed"), "{fatal}");
    }
}

/// Makes every commit fail that follows an insertion, as a failing disk would: not before the end.
const FAIL_AT_COMMIT: &str = "
    CREATE TABLE nowhere (id INTEGER PRIMARY KEY, other INTEGER REFERENCES nowhere DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER fail AFTER INSERT ON reservations BEGIN INSERT INTO nowhere (other) VALUES (99); END;";

#[tokio::test]
async fn a_failed_commit_refuses_the_whole_batch_and_ends_the_writer() {
    let mut core = start();
    core.writer.set_table(small()).await.unwrap();
    core.add("before", &["p"]).await.unwrap();
    let behind = rusqlite::Connection::open(core.store()).unwrap();
    behind.execute_batch(FAIL_AT_COMMIT).unwrap();
    let (add, del) = futures::join!(
        core.add("a", &["p"]),
        core.writer.deallocate(
            ReleaseCall {
                pools: vec![key("p")],
                network: String::new(),
                owner: owner("before")
            },
            Caller::default()
        ),
    );
    assert!(matches!(add, Err(Refusal::Store(_))), "{add:?}");
    assert_eq!(add.unwrap_err().code(), tonic::Code::Internal);
    assert!(del.is_err(), "{del:?}");
    assert!(
        core.ended
            .wait()
            .await
            .unwrap_err()
            .to_string()
            .contains("start again")
    );
    assert_eq!(core.writer.can_allocate().await, Err(Refusal::Stopping));
    behind.execute_batch("DROP TRIGGER fail").unwrap();
    drop(behind);
    let core = start_with(core.folder, BootClock::new().unwrap());
    assert_eq!(core.held().await, ["before 10.0.0.1"]);
}

fn is_full<T: std::fmt::Debug>(result: &Result<T, Refusal>) -> bool {
    matches!(result, Err(refusal @ Refusal::StoreFull { .. }) if refusal.to_string().contains("make room"))
}

fn start_on_a_small_disk() -> Core {
    let folder = tempfile::tempdir().unwrap();
    let parts = parts(folder.path(), BootClock::new().unwrap());
    limit_pages(&parts.store, 14);
    let metrics = parts.metrics.clone();
    let (writer, ended) = spawn(parts).unwrap();
    Core {
        folder,
        writer,
        ended,
        metrics,
    }
}

#[tokio::test]
async fn a_table_for_which_the_disk_has_no_room_is_not_in_force() {
    let core = start_on_a_small_disk();
    core.writer.set_table(small()).await.unwrap();
    let many = (0..1000).map(|n| pool(&format!("p{n}"), "10.0.0.1", "10.0.0.9"));
    let refused = core.writer.set_table(table(many)).await;
    assert!(is_full(&refused), "{refused:?}");
    assert_eq!(core.writer.table().await.unwrap(), small());
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_reserved_and_everything_released() {
    let core = start_on_a_small_disk();
    core.writer
        .set_table(table(vec![pool("p", "10.0.0.1", "10.0.255.255")]))
        .await
        .unwrap();
    let mut containers = Vec::new();
    let refused = loop {
        let container = format!("c{}", containers.len());
        match core.add(&container, &["p"]).await {
            Ok(_) => containers.push(container),
            refused => break refused,
        }
    };
    assert!(is_full(&refused), "{refused:?}");
    assert!(containers.len() > 10);
    // The two share a batch, and only one comes to nothing. What is released makes no room for what is added.
    let mut long = add("more", &["p"]);
    long.pod.name = "x".repeat(100_000);
    let (released, refused) = futures::join!(
        core.del(&containers[0]),
        core.writer.allocate(long, Caller::default())
    );
    assert!(is_full(&refused), "{refused:?}");
    assert_eq!(released.len(), 1);
    assert_eq!(core.held().await.len(), containers.len() - 1);
    for container in &containers[1..] {
        assert_eq!(core.del(container).await.len(), 1);
    }
    let core = core.restart().await;
    assert!(core.held().await.is_empty());
    core.add("again", &["p"]).await.unwrap();
}

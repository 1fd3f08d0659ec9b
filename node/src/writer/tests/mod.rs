//! The writer on real SQLite files.

mod failures;
mod garbage;
mod places;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use prometheus::Registry;
use rpc::journal::{Entry, FOLDER, Stamp};
use rpc::v1::IpamParameters;
use tempfile::TempDir;

use super::*;
use crate::call::Wish;
use crate::clock::BootClock;
use crate::ledger::testing::{add, key, owner, pool, table};
use crate::store::StoreLock;

/// A daemon's core, and the folder that outlives it.
struct Core {
    folder: TempDir,
    writer: Writer,
    ended: Ended,
    metrics: Metrics,
}

fn parts<C: Clock>(folder: &Path, clock: C) -> Parts<C> {
    let lock = StoreLock::take(&folder.join("store")).unwrap();
    let (store, ledger) = Store::open(lock).unwrap();
    Parts {
        store,
        ledger,
        journal: Some(Journal::open(folder).unwrap()),
        metrics: Metrics::register(&Registry::new()).unwrap(),
        clock,
    }
}

fn start_with<C: Clock>(folder: TempDir, clock: C) -> Core {
    let parts = parts(folder.path(), clock);
    let metrics = parts.metrics.clone();
    let (writer, ended) = spawn(parts).unwrap();
    Core {
        folder,
        writer,
        ended,
        metrics,
    }
}

fn start() -> Core {
    start_with(tempfile::tempdir().unwrap(), BootClock::new().unwrap())
}

impl Core {
    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    async fn end(mut self) -> TempDir {
        self.writer.stop().await;
        self.ended.wait().await.unwrap();
        self.folder
    }

    async fn restart(self) -> Core {
        start_with(self.end().await, BootClock::new().unwrap())
    }

    async fn add(&self, container: &str, pools: &[&str]) -> Result<Vec<String>, Refusal> {
        let grants = self
            .writer
            .allocate(add(container, pools), Caller::default())
            .await?;
        Ok(grants.iter().map(|g| g.address.addr().to_string()).collect())
    }

    async fn del(&self, container: &str) -> Vec<String> {
        let call = ReleaseCall {
            pools: vec![key("p")],
            network: "mynet".to_owned(),
            owner: owner(container),
        };
        let released = self.writer.deallocate(call, Caller::default()).await.unwrap();
        released.iter().map(|r| r.address.to_string()).collect()
    }

    async fn release(&self, rows: Vec<RowId>) -> usize {
        self.writer.release(rows, Caller::default()).await.unwrap().len()
    }

    async fn held(&self) -> Vec<String> {
        let held = self.writer.reservations().await.unwrap();
        held.iter()
            .map(|r| format!("{} {}", r.owner.container, r.address))
            .collect()
    }

    async fn until(&self, held: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.held().await != held {
            assert!(Instant::now() < deadline, "still {:?}", self.held().await);
            tokio::task::yield_now().await;
        }
    }

    fn leave(&self, name: &str, container: &str, stamp: Stamp) -> PathBuf {
        let entry = Entry::new(
            stamp,
            &IpamParameters {
                pools: vec!["p".to_owned()],
                cni_containerid: container.to_owned(),
                cni_ifname: "net1".to_owned(),
                ..IpamParameters::default()
            },
        );
        let path = self.folder.path().join(FOLDER).join(name);
        let unfinished = path.with_extension("tmp");
        std::fs::write(&unfinished, entry.encode().unwrap()).unwrap();
        std::fs::rename(&unfinished, &path).unwrap();
        path
    }
}

fn small() -> Table {
    table([pool("p", "10.0.0.1", "10.0.0.9")])
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let core = start();
    core.writer
        .set_table(table(vec![
            pool("p", "10.0.0.1", "10.0.0.9"),
            pool("q", "fd00::1", "fd00::9"),
        ]))
        .await
        .unwrap();
    assert_eq!(core.add("a", &["p", "q"]).await.unwrap(), ["10.0.0.1", "fd00::1"]);
    assert_eq!(core.add("b", &["p"]).await.unwrap(), ["10.0.0.2"]);
    assert_eq!(core.del("b").await, ["10.0.0.2"]);
    let before = core.writer.reservations().await.unwrap();
    core.writer.mark_seen(vec![before[0].id]).await.unwrap();
    let pools = core.writer.table().await.unwrap().pools;

    let core = core.restart().await;
    let after = core.writer.reservations().await.unwrap();
    assert!(after[0].pod_seen && !after[1].pod_seen);
    assert_eq!(after[1], before[1]);
    assert_eq!(core.writer.table().await.unwrap().pools, pools);
    // It goes on from the persisted table, and after the last address given, not the last one reserved.
    core.writer.can_allocate().await.unwrap();
    assert_eq!(core.add("c", &["p"]).await.unwrap(), ["10.0.0.3"]);
}

#[tokio::test]
async fn an_address_that_was_asked_for_by_name_moves_no_place_not_even_a_stored_one() {
    let core = start();
    core.writer.set_table(small()).await.unwrap();
    let seventh = || AllocateCall {
        wish: Wish {
            static_ips: vec!["10.0.0.7".parse().unwrap()],
            ..Wish::default()
        },
        ..add("by name", &["p"])
    };
    for (container, expected) in [("a", "10.0.0.1"), ("b", "10.0.0.2")] {
        // First in a pool of which nothing is stored yet, then in one that stopped somewhere.
        core.writer.allocate(seventh(), Caller::default()).await.unwrap();
        core.del("by name").await;
        assert_eq!(core.add(container, &["p"]).await.unwrap(), [expected]);
    }
    core.writer.allocate(seventh(), Caller::default()).await.unwrap();
    let core = core.restart().await;
    assert_eq!(core.add("c", &["p"]).await.unwrap(), ["10.0.0.3"]);
}

#[tokio::test]
async fn what_is_unknown_is_missing_only_once_the_api_server_said_so() {
    let core = start();
    assert_eq!(core.add("a", &["p"]).await, Err(Refusal::NoTable));
    assert_eq!(core.writer.can_allocate().await, Err(Refusal::NoTable));
    core.writer.set_table(small()).await.unwrap();
    assert_eq!(
        core.add("a", &["other"]).await,
        Err(Refusal::UnknownPool(key("other")))
    );
    let core = core.restart().await;
    assert_eq!(
        core.add("a", &["other"]).await,
        Err(Refusal::NotSynced(key("other")))
    );
    core.add("a", &["p"]).await.unwrap();
    core.writer.set_table(small()).await.unwrap();
    assert_eq!(
        core.add("a", &["other"]).await,
        Err(Refusal::UnknownPool(key("other")))
    );
}

#[tokio::test]
async fn an_empty_table_is_known_too() {
    let core = start();
    core.writer.set_table(table(Vec::new())).await.unwrap();
    let core = core.restart().await;
    core.writer.can_allocate().await.unwrap();
    assert_eq!(core.add("a", &["p"]).await, Err(Refusal::NotSynced(key("p"))));
}

#[tokio::test]
async fn two_pools_are_given_together_or_not_at_all() {
    let core = start();
    core.writer
        .set_table(table(vec![
            pool("p", "10.0.0.1", "10.0.0.9"),
            pool("q", "fd00::1", "fd00::1"),
        ]))
        .await
        .unwrap();
    core.add("a", &["q"]).await.unwrap();
    assert_eq!(
        core.add("b", &["p", "q"]).await,
        Err(Refusal::NoFreeAddress(key("q")))
    );
    assert_eq!(core.held().await, ["a fd00::1"]);
    assert_eq!(core.add("b", &["p"]).await.unwrap(), ["10.0.0.1"]);
}

#[tokio::test]
async fn requests_that_wait_share_a_commit() {
    let core = start();
    core.writer
        .set_table(table(vec![pool("p", "10.0.0.1", "10.0.1.0")]))
        .await
        .unwrap();
    let commits = core.metrics.batch_size.get_sample_count();
    let adds = (0..64).map(|n| {
        let writer = core.writer.clone();
        async move {
            writer
                .allocate(add(&format!("c{n}"), &["p"]), Caller::default())
                .await
        }
    });
    let grants = futures::future::join_all(adds).await;
    let mut addresses: Vec<_> = grants.into_iter().map(|g| g.unwrap()[0].address).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 64);
    let commits = core.metrics.batch_size.get_sample_count() - commits;
    assert!(commits <= 16, "{commits} commits for 64 requests");
}

#[tokio::test]
async fn what_changes_nothing_writes_nothing() {
    let core = start();
    core.writer.set_table(small()).await.unwrap();
    core.add("a", &["p"]).await.unwrap();
    let reservation = core.writer.reservations().await.unwrap()[0].id;
    core.writer.mark_seen(vec![reservation]).await.unwrap();
    let other = rusqlite::Connection::open(core.store()).unwrap();
    // SQLite says so of every commit of another connection, whatever is in it.
    let version = || -> i64 {
        other
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .unwrap()
    };
    let before = version();
    let of_an_unknown_pool = ReleaseCall {
        pools: vec![key("unknown")],
        network: "mynet".to_owned(),
        owner: owner("a-stranger"),
    };
    let released = core.writer.deallocate(of_an_unknown_pool, Caller::default());
    assert!(released.await.unwrap().is_empty());
    assert!(core.del("b").await.is_empty());
    let file = core.leave("1.json", "b", BootClock::new().unwrap().stamp());
    assert_eq!(core.held().await, ["a 10.0.0.1"]);
    assert!(!file.exists(), "it is applied");
    assert!(core.add("a", &["p"]).await.is_err(), "it has one");
    core.writer.mark_seen(vec![reservation]).await.unwrap();
    core.writer.set_table(small()).await.unwrap();
    assert_eq!(version(), before);
    core.del("a").await;
    assert_ne!(version(), before);
}

#[tokio::test]
async fn a_release_by_row_never_meets_a_successor() {
    let core = start();
    core.writer.set_table(small()).await.unwrap();
    core.add("a", &["p"]).await.unwrap();
    let judged = core.writer.reservations().await.unwrap()[0].id;
    core.del("a").await;
    core.add("a", &["p"]).await.unwrap();
    assert_eq!(core.release(vec![judged]).await, 0);
    assert_eq!(core.held().await, ["a 10.0.0.2"]);
    let core = core.restart().await;
    let row = core.writer.reservations().await.unwrap()[0].id;
    assert!(row > judged);
    assert_eq!(core.release(vec![judged, row]).await, 1);
}

#[tokio::test]
async fn the_journal_is_drained_though_nobody_asks() {
    let core = start();
    core.writer.set_table(small()).await.unwrap();
    core.add("a", &["p"]).await.unwrap();
    core.add("b", &["p"]).await.unwrap();
    let file = core.leave("1.json", "a", BootClock::new().unwrap().stamp());
    core.until(&["b 10.0.0.2"]).await;
    assert!(!file.exists());
}

#[tokio::test]
async fn the_gauge_of_the_journal_counts_what_can_not_be_got_out_of_the_way() {
    let core = start();
    core.writer.set_table(small()).await.unwrap();
    core.add("a", &["p"]).await.unwrap();
    let journal = core.folder.path().join(FOLDER);
    std::fs::create_dir_all(journal.join("0.json.bad/taken")).unwrap();
    std::fs::create_dir(journal.join("0.json")).unwrap();
    for (name, container) in [("1.json", "a"), ("2.json", "b")] {
        let file = core.leave(name, container, BootClock::new().unwrap().stamp());
        let deadline = Instant::now() + Duration::from_secs(10);
        while file.exists() {
            assert!(Instant::now() < deadline, "{name} is not applied");
            tokio::task::yield_now().await;
        }
        // The answer comes after the count of the batch before it.
        assert!(core.held().await.is_empty());
        assert_eq!(core.metrics.journal_pending.get(), 1);
    }
    std::fs::remove_dir(journal.join("0.json")).unwrap();
    core.held().await;
    assert_eq!(core.metrics.journal_pending.get(), 0);
}

#[tokio::test]
async fn the_journal_is_drained_before_the_request_that_comes_after_it() {
    let core = start();
    core.writer
        .set_table(table(vec![pool("p", "10.0.0.1", "10.0.0.1")]))
        .await
        .unwrap();
    for round in 0..20 {
        let container = format!("c{round}");
        core.add(&container, &["p"]).await.unwrap();
        core.leave(
            &format!("{round}.json"),
            &container,
            BootClock::new().unwrap().stamp(),
        );
    }
}

#[tokio::test]
async fn a_journal_entry_leaves_what_was_reserved_after_it() {
    let core = start();
    core.writer.set_table(small()).await.unwrap();
    let clock = BootClock::new().unwrap();
    let before = clock.stamp();
    core.add("a", &["p"]).await.unwrap();
    let file = core.leave("1.json", "a", before.clone());
    // An entry of an earlier boot is older than anything of this one.
    let old = Stamp {
        boot_id: "earlier".to_owned(),
        boottime_ns: u64::MAX,
    };
    let old_file = core.leave("2.json", "a", old);
    core.writer.set_table(table(Vec::new())).await.unwrap();
    assert_eq!(core.held().await, ["a 10.0.0.1"]);
    assert!(!file.exists() && !old_file.exists(), "they are done with");
    core.leave("3.json", "a", clock.stamp());
    core.until(&[]).await;
}

/// A clock that stands still until it is let go: the writer has begun a batch, and takes its time.
struct Slow {
    clock: BootClock,
    asked: Sender<()>,
    go: Receiver<()>,
}

impl Clock for Slow {
    fn stamp(&self) -> Stamp {
        let stamp = self.clock.stamp();
        // Once the test has dropped its ends, the clock is a usual one.
        let _ = self.asked.send(());
        let _ = self.go.recv();
        stamp
    }

    fn boot_id(&self) -> &str {
        self.clock.boot_id()
    }
}

/// With a clock that stands at each look at it: that is said, and the clock goes on when it is told to. Pool `p` is known.
fn start_slow() -> (Core, Receiver<()>, Sender<()>) {
    let (asked, reached) = channel();
    let (let_go, go) = channel();
    let core = start_with(
        tempfile::tempdir().unwrap(),
        Slow {
            clock: BootClock::new().unwrap(),
            asked,
            go,
        },
    );
    let table = tokio::spawn({
        let writer = core.writer.clone();
        async move { writer.set_table(small()).await }
    });
    // An idle tick may come first; batches go by until the table is there.
    while !table.is_finished() {
        if reached.recv_timeout(Duration::from_millis(20)).is_ok() {
            let_go.send(()).unwrap();
        }
    }
    (core, reached, let_go)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waits_for_any_more_is_not_applied() {
    let (core, reached, let_go) = start_slow();
    let spawn_add = |container: &'static str, caller: Caller| {
        let writer = core.writer.clone();
        tokio::spawn(async move { writer.allocate(add(container, &["p"]), caller).await })
    };
    // While the writer stands in a batch, others queue up and are given up.
    reached.recv().unwrap();
    let deadline = Instant::now() + Duration::from_millis(50);
    let late = spawn_add(
        "late",
        Caller {
            deadline: Some(deadline),
            connection: None,
        },
    );
    let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
    let hung_up = spawn_add(
        "hung-up",
        Caller {
            connection: Some(Connection::new(here.into())),
            deadline: None,
        },
    );
    let mut aborted = Box::pin(core.writer.allocate(add("aborted", &["p"]), Caller::default()));
    assert!(futures::poll!(&mut aborted).is_pending());
    let patient = spawn_add("patient", Caller::default());
    drop(aborted);
    drop(there);
    while Instant::now() <= deadline {
        tokio::task::yield_now().await;
    }
    drop((let_go, reached));
    assert_eq!(late.await.unwrap(), Err(Refusal::DeadlinePassed));
    assert_eq!(hung_up.await.unwrap(), Err(Refusal::Canceled));
    patient.await.unwrap().unwrap();
    assert_eq!(core.held().await, ["patient 10.0.0.1"]);
}

#[tokio::test]
async fn metrics_follow_the_table() {
    let core = start();
    let text = || {
        let registry = Registry::new();
        registry
            .register(Box::new(core.metrics.addresses.clone()))
            .unwrap();
        prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap()
    };
    let mut big = pool("p", "fd00::", "fd00::3fff:ffff:ffff:ffff");
    big.gateway = "fd00::1".parse().ok();
    core.writer.set_table(table(vec![big])).await.unwrap();
    core.add("a", &["p"]).await.unwrap();
    // The answer comes before the count; the next question comes after it.
    core.held().await;
    let before = text();
    assert!(before.contains("state=\"free\"} 4611686018427388000"), "{before}");
    assert!(
        before.contains("state=\"used\"} 1\n") && before.contains("state=\"excluded\"} 1\n"),
        "{before}"
    );
    core.del("a").await;
    core.writer.set_table(table(Vec::new())).await.unwrap();
    core.held().await;
    assert_eq!(text(), "");
}

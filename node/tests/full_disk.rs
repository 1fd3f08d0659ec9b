//! A store on a disk that is really full: a small tmpfs in a mount namespace of the test's own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod small_disk;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use api::node_pool::NodePool;
use api::pool_key::{PoolKey, PoolKind};
use api::range::Range;
use node::call::{AllocateCall, ReleaseCall, Wish};
use node::clock::BootClock;
use node::metrics::Metrics;
use node::refusal::Refusal;
use node::reservation::{Owner, Pod};
use node::store::{self, Store, StoreLock};
use node::table::{Knowledge, Table};
use node::writer::{self, Caller, Ended, Parts, Writer};
use prometheus::Registry;
use small_disk::{eat_everything, on_a_small_disk};

fn start(folder: &Path) -> (Writer, Ended) {
    let (store, ledger) = Store::open(StoreLock::take(&folder.join("store")).unwrap()).unwrap();
    let metrics = Metrics::register(&Registry::new()).unwrap();
    writer::spawn(Parts {
        store,
        ledger,
        journal: None,
        metrics,
        clock: BootClock::new().unwrap(),
    })
    .unwrap()
}

fn pools() -> Vec<PoolKey> {
    vec![PoolKey::new(PoolKind::IpPool, "p")]
}

fn table() -> Vec<NodePool> {
    vec![NodePool {
        key: pools().remove(0),
        uid: String::new(),
        subnet: "10.0.0.0/8".parse().unwrap(),
        range: Range::new("10.0.0.1".parse().unwrap(), "10.255.255.254".parse().unwrap()).unwrap(),
        gateway: None,
        exclusions: Vec::new(),
        default_gateway: false,
        routes: Vec::new(),
    }]
}

fn owner(n: usize) -> Owner {
    Owner {
        container: format!("{n:064}"),
        interface: "net1".into(),
    }
}

async fn add(writer: &Writer, n: usize) -> Result<(), Refusal> {
    let call = AllocateCall {
        pools: pools(),
        owner: owner(n),
        pod: Pod {
            uid: String::new(),
            name: "web".to_owned(),
            namespace: "default".into(),
        },
        device_id: String::new(),
        network: "mynet".to_owned(),
        wish: Wish::default(),
    };
    writer.allocate(call, Caller::default()).await.map(drop)
}

async fn del(writer: &Writer, n: usize) -> usize {
    let call = ReleaseCall {
        pools: pools(),
        network: "mynet".to_owned(),
        owner: owner(n),
    };
    writer.deallocate(call, Caller::default()).await.unwrap().len()
}

/// Adds until it is refused, and says how often it wasn't.
async fn fill(writer: &Writer, first: usize) -> usize {
    let mut n = first;
    loop {
        match add(writer, n).await {
            Ok(()) => n += 1,
            Err(refusal @ Refusal::StoreFull { .. }) => {
                assert!(
                    refusal.to_string().contains("make room on the file system of"),
                    "{refusal}"
                );
                return n - first;
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn addresses_are_released_though_not_one_byte_is_left() {
    let Some(disk) = on_a_small_disk("addresses_are_released_though_not_one_byte_is_left") else {
        return;
    };
    let (writer, mut ended) = start(&disk);
    writer
        .set_table(Table::of(table(), Knowledge::Synced))
        .await
        .unwrap();
    let first = fill(&writer, 0).await;
    assert!(first > 300, "{first} reservations");
    eat_everything(&disk.join("other"));
    assert!(matches!(
        writer.can_allocate().await,
        Err(Refusal::StoreFull { .. })
    ));
    // A restart in the middle doesn't change that.
    for n in 0..first / 2 {
        assert_eq!(del(&writer, n).await, 1, "{n} of {first}");
    }
    writer.stop().await;
    ended.wait().await.unwrap();
    eat_everything(&disk.join("more"));
    let (writer, mut ended) = start(&disk);
    assert_eq!(writer.reservations().await.unwrap().len(), first - first / 2);
    for n in first / 2..first {
        assert_eq!(del(&writer, n).await, 1, "{n} of {first}");
    }

    for file in ["other", "more"] {
        fs::remove_file(disk.join(file)).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while writer.can_allocate().await.is_err() {
        assert!(Instant::now() < deadline, "room is not noticed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = fill(&writer, first).await;
    assert!(second > 300, "{second} reservations after {first}");
    let held = writer.reservations().await.unwrap().remove(0);
    writer.stop().await;
    ended.wait().await.unwrap();

    // Nor do the commands need more than was kept for a start.
    eat_everything(&disk.join("commands"));
    let released = store::release(&disk.join("store"), &held.pool, held.address).unwrap();
    assert_eq!(released.unwrap().reservation.id, held.id);
    assert!(disk.join("store.reserve").exists());
    fs::remove_file(disk.join("commands")).unwrap();

    // Without the room that was kept for it, a start says what to do.
    eat_everything(&disk.join("more"));
    fs::remove_file(disk.join("store.reserve")).unwrap();
    eat_everything(&disk.join("most"));
    let refused = Store::open(StoreLock::take(&disk.join("store")).unwrap())
        .unwrap_err()
        .to_string();
    assert!(refused.contains("make room on its file system"), "{refused}");
}

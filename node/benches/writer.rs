//! What an ADD costs from the writer's queue to stable storage and back: `cargo bench -p node`.
//!
//! The store lies in `$TMPDIR`: the figures are those of that disk.

use std::time::{Duration, Instant};

use api::node_pool::NodePool;
use api::pool_key::{PoolKey, PoolKind};
use api::range::Range;
use node::call::{AllocateCall, ReleaseCall, Wish};
use node::clock::BootClock;
use node::metrics::Metrics;
use node::reservation::{Owner, Pod};
use node::store::{Store, StoreLock};
use node::table::{Knowledge, Table};
use node::writer::{Caller, Parts, Writer, spawn};
use prometheus::Registry;

type Failure = Box<dyn std::error::Error>;

/// Calls of each kind that are timed.
const SINGLE: usize = 2000;
const BATCHES: usize = 200;
const BATCH: usize = 64;

fn main() -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(run())
}

async fn run() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let (store, ledger) = Store::open(StoreLock::take(&folder.path().join("store"))?)?;
    let metrics = Metrics::register(&Registry::new())?;
    let parts = Parts {
        store,
        ledger,
        journal: None,
        metrics: metrics.clone(),
        clock: BootClock::new()?,
    };
    let (writer, mut ended) = spawn(parts)?;
    writer
        .set_table(Table::of(vec![pool()?], Knowledge::Synced))
        .await?;

    let mut times = Vec::new();
    for n in 0..SINGLE {
        let start = Instant::now();
        writer
            .allocate(add(&format!("single-{n}")), Caller::default())
            .await?;
        times.push(start.elapsed());
    }
    report("ADD, one at a time", &mut times);

    let before = (metrics.batch_size.get_sample_count(), Instant::now());
    let mut batches = Vec::new();
    for batch in 0..BATCHES {
        let calls = (0..BATCH).map(|n| timed(&writer, format!("batch-{batch}-{n}")));
        let start = Instant::now();
        times.extend(futures::future::try_join_all(calls).await?);
        batches.push(start.elapsed());
    }
    let commits = metrics.batch_size.get_sample_count() - before.0;
    report("ADD, 64 at a time, each", &mut times);
    report("ADD, 64 at a time, all", &mut batches);
    println!(
        "  {} requests in {commits} commits, {:.0} requests per second",
        BATCHES * BATCH,
        f64::from(u32::try_from(BATCHES * BATCH)?) / before.1.elapsed().as_secs_f64()
    );

    for n in 0..SINGLE {
        let start = Instant::now();
        writer
            .deallocate(del(&format!("single-{n}")), Caller::default())
            .await?;
        times.push(start.elapsed());
    }
    report("DEL, one at a time", &mut times);
    writer.stop().await;
    ended.wait().await?;
    let commits = &metrics.commit_duration;
    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    let mean = commits.get_sample_sum() / commits.get_sample_count() as f64;
    println!(
        "commits: {} of {:?} on average",
        commits.get_sample_count(),
        Duration::from_secs_f64(mean)
    );

    let start = Instant::now();
    let (store, ledger) = Store::open(StoreLock::take(&folder.path().join("store"))?)?;
    println!(
        "open and read {} reservations: {:?}",
        ledger.reservations().count(),
        start.elapsed()
    );
    store.close()?;
    Ok(())
}

async fn timed(writer: &Writer, container: String) -> Result<Duration, Failure> {
    let start = Instant::now();
    writer.allocate(add(&container), Caller::default()).await?;
    Ok(start.elapsed())
}

fn report(what: &str, times: &mut Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "{what}: p50 {:?}, p99 {:?}, max {:?} ({} calls)",
        at(50),
        at(99),
        at(100),
        times.len()
    );
    times.clear();
}

fn pool() -> Result<NodePool, Failure> {
    Ok(NodePool {
        key: PoolKey::new(PoolKind::IpPool, "p"),
        uid: String::new(),
        subnet: "10.0.0.0/8".parse()?,
        range: Range::new("10.0.0.1".parse()?, "10.255.255.254".parse()?)?,
        gateway: None,
        exclusions: Vec::new(),
        default_gateway: false,
        routes: Vec::new(),
    })
}

fn owner(container: &str) -> Owner {
    // As long as a container's id is.
    Owner {
        container: format!("{container:0>64}"),
        interface: "net1".into(),
    }
}

fn add(container: &str) -> AllocateCall {
    AllocateCall {
        pools: vec![PoolKey::new(PoolKind::IpPool, "p")],
        owner: owner(container),
        pod: Pod {
            uid: "0b5e7f3a-6f0e-4a53-9d4b-3f1d7c1c2a10".to_owned(),
            name: container.to_owned(),
            namespace: "default".into(),
        },
        device_id: String::new(),
        network: "mynet".to_owned(),
        wish: Wish::default(),
    }
}

fn del(container: &str) -> ReleaseCall {
    ReleaseCall {
        pools: vec![PoolKey::new(PoolKind::IpPool, "p")],
        network: "mynet".to_owned(),
        owner: owner(container),
    }
}

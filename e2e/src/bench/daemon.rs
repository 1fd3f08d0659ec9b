//! The daemon alone, over gRPC: how many operations it makes durable, and how long each waits.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use super::Scale;
use super::container::Container;
use super::fill::{Filled, POOL};
use super::floors::Flushes;
use super::rpc_client::RpcClient;
use super::table::{Table, millis, ratio, times};
use super::times::Times;
use super::usage;
use crate::app::App;
use crate::bed::Bed;
use crate::progress::Step;

const CONNECTIONS: usize = 16;
/// The measurement is cut into so many pieces, and the floor's lies between them.
const ROUNDS: usize = 5;
/// Operations under way, and ADDs, each with its DEL, that each of those who call makes in a round: full and short.
const LOADS: [(usize, usize, usize); 3] = [(1, 100, 40), (32, 40, 10), (256, 16, 4)];

/// ADDs with their DELs, so that the fill stays what it is.
pub(super) async fn run(bed: &Bed, scale: Scale) -> Result<Vec<Table>> {
    let mut filled = Filled::start(bed).await?;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(RpcClient::connect(&filled.socket(), POOL).await?);
    }
    let node = filled.node;
    let folder = node.machine.folder.join("var/lib/cni/nv-ipam");
    let (mut waits, mut rates) = tables();
    for &fill in scale.pick(&[0, 1_000, 10_000, 60_000][..], &[0, 10_000]) {
        filled.grow(fill).await?;
        let step = Step::begin(format!("measuring a daemon with {fill} reservations"));
        for (in_flight, full, short) in LOADS {
            let figures = measure(
                &node.daemon,
                &folder,
                &clients,
                in_flight,
                scale.pick(full, short),
            )
            .await?;
            let name = format!("{fill}, {in_flight}");
            waits.row(figures.waits(&name));
            rates.row(figures.rates(&name)?);
        }
        step.end();
    }
    Ok(vec![waits, rates])
}

/// What a load came to.
#[derive(Default)]
struct Figures {
    flush: Vec<Duration>,
    add: Vec<Duration>,
    del: Vec<Duration>,
    /// How long all of it took, the floor's part left out.
    elapsed: Duration,
    commits: f64,
    daemon: Duration,
    client: Duration,
}

async fn measure(
    daemon: &App,
    folder: &Path,
    clients: &[RpcClient],
    in_flight: usize,
    pairs: usize,
) -> Result<Figures> {
    let mut figures = Figures::default();
    let mut flushes = Flushes::new(folder)?;
    for _ in 0..ROUNDS {
        for _ in 0..50 {
            figures.flush.push(flushes.flush()?);
        }
        let (commits, cpu, own) = (
            commits(daemon).await?,
            usage::cpu(&daemon.service)?,
            usage::own_cpu()?,
        );
        let began = Instant::now();
        let mut callers = JoinSet::new();
        for caller in 0..in_flight {
            callers.spawn(call(clients[caller % clients.len()].clone(), caller, pairs));
        }
        while let Some(done) = callers.join_next().await {
            for (add, del) in done?? {
                figures.add.push(add);
                figures.del.push(del);
            }
        }
        figures.elapsed += began.elapsed();
        figures.commits += self::commits(daemon).await? - commits;
        figures.daemon += usage::cpu(&daemon.service)?.saturating_sub(cpu);
        figures.client += usage::own_cpu()?.own.saturating_sub(own.own);
    }
    Ok(figures)
}

/// ADD and DEL, one after the other, `pairs` times.
async fn call(client: RpcClient, caller: usize, pairs: usize) -> Result<Vec<(Duration, Duration)>> {
    let mut took = Vec::with_capacity(pairs);
    for number in 0..pairs {
        let container = Container::new("pair", caller * pairs + number);
        let began = Instant::now();
        client.add(&container).await?;
        let add = began.elapsed();
        client.del(&container).await?;
        took.push((add, began.elapsed().saturating_sub(add)));
    }
    Ok(took)
}

/// How many commits there were since the daemon began.
async fn commits(daemon: &App) -> Result<f64> {
    daemon
        .scrape()
        .await?
        .value("nv_ipam_commit_duration_seconds_count", &[])
}

fn tables() -> (Table, Table) {
    const LOAD: &str = "reservations, in flight";
    let mut waits = Table::new(
        "how long an operation waits",
        &[
            LOAD,
            "ADD p50",
            "p99",
            "max",
            "DEL p50",
            "p99",
            "max",
            "flush p50",
            "ADD, x flush",
        ],
    );
    waits.remark(
        "Over 16 connections, each caller one operation after the other. Flush, the floor: 4 KiB appended and flushed \
         (fdatasync) on the same disk. Target with 256 in flight: p99 under 50 ms, at any fill.",
    );
    let mut rates = Table::new(
        "how many operations are made durable",
        &[
            LOAD,
            "a second",
            "flushes a second",
            "x flushes",
            "commits a second",
            "a commit",
            "daemon's CPU",
            "client's CPU",
        ],
    );
    rates.remark(
        "The same calls, ADDs and DELs together. The flushes are one after the other. CPU time is microseconds an operation; \
         the client runs on the same cores. Target with 256 in flight: 15,000 a second, at any fill.",
    );
    (waits, rates)
}

impl Figures {
    fn waits(&self, name: &str) -> Vec<String> {
        let [add, del, flush] = [&self.add, &self.del, &self.flush].map(|times| Times::new(times.clone()));
        let mut cells = vec![name.to_owned()];
        cells.extend(add.cells());
        cells.extend(del.cells());
        cells.push(millis(flush.median()));
        cells.push(ratio(add.median(), flush.median()));
        cells
    }

    fn rates(&self, name: &str) -> Result<Vec<String>> {
        let operations = u32::try_from(self.add.len() + self.del.len())?;
        let seconds = self.elapsed.as_secs_f64();
        let rate = f64::from(operations) / seconds;
        let flushing: Duration = self.flush.iter().sum();
        let flush_rate = f64::from(u32::try_from(self.flush.len())?) / flushing.as_secs_f64();
        let micros = |cpu: Duration| format!("{} us", (cpu / operations).as_micros());
        Ok(vec![
            name.to_owned(),
            format!("{rate:.0}"),
            format!("{flush_rate:.0}"),
            times(rate, flush_rate),
            format!("{:.0}", self.commits / seconds),
            format!("{:.1}", f64::from(operations) / self.commits),
            micros(self.daemon),
            micros(self.client),
        ])
    }
}

//! One node that joins a pool of thousands, and one that leaves.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::pool_watch::PoolWatch;
use super::{create_node, status};
use crate::bed::Bed;
use crate::bench::table::{Table, megabytes, millis, ratio};
use crate::bench::times::Times;
use crate::bench::usage::{self, Memory};
use crate::pods;

/// The controller writes the less often the more changes there are, until there has been none for so long.
const QUIET: Duration = Duration::from_millis(2_500);

/// What changes of one kind took.
#[derive(Default)]
struct Costs {
    times: Vec<Duration>,
    cpu: Duration,
    writes: usize,
    bytes: u32,
}

/// Lets a node join `nodes` others and leave again, `rounds` times, each time another one.
pub(super) async fn measure(bed: &Bed, watch: &mut PoolWatch, nodes: usize, rounds: u32) -> Result<Table> {
    let mut floor = Vec::new();
    let (mut joins, mut leaves) = (Costs::default(), Costs::default());
    sleep(QUIET).await;
    for round in 0..rounds {
        let name = format!("worker-{:05}-{round}.example.com", nodes / 2);
        floor.push(both_writes(bed, watch, round).await?);
        sleep(QUIET).await;
        joins.add(bed, watch, create_node(bed, &name)).await?;
        leaves
            .add(bed, watch, pods::delete_node(&bed.client, &name))
            .await?;
    }
    let memory = Memory::of(&bed.controller().service)?;
    Ok(table(nodes, rounds, &Times::new(floor), [joins, leaves], memory))
}

/// What a node that joins can't cost less than: it is created, and the status is written.
async fn both_writes(bed: &Bed, watch: &mut PoolWatch, round: u32) -> Result<Duration> {
    let began = Instant::now();
    // The pool isn't for it.
    pods::create_fake_node(&bed.client, &format!("other-{round}"), &[]).await?;
    Ok(began.elapsed() + status::write(bed, watch).await?)
}

impl Costs {
    /// Waits until watchers have what comes of `change`, and then for whatever else may come of it.
    async fn add(
        &mut self,
        bed: &Bed,
        watch: &mut PoolWatch,
        change: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        let controller = &bed.controller().service;
        let (before, cpu_before) = (watch.seen(), usage::cpu(controller)?);
        let began = Instant::now();
        change.await?;
        let seen = watch.wait(|seen| seen.events > before.events).await?;
        self.times.push(seen.at - began);
        sleep(QUIET).await;
        self.cpu += usage::cpu(controller)?.saturating_sub(cpu_before);
        self.writes += watch.seen().events - before.events;
        self.bytes += watch.seen().bytes - before.bytes;
        Ok(())
    }
}

fn table(nodes: usize, rounds: u32, floor: &Times, costs: [Costs; 2], memory: Memory) -> Table {
    let mut table = Table::new(
        format!("one node, beside {nodes} others"),
        &[
            "",
            "p50",
            "max",
            "x floor",
            "writes",
            "to each watcher",
            "controller's CPU",
        ],
    );
    let [joins, leaves] = costs;
    let cells = |times: &Times| {
        [
            millis(times.median()),
            millis(times.max()),
            ratio(times.median(), floor.median()),
        ]
    };
    table.row(
        ["floor: a node created, a status written".to_owned()]
            .into_iter()
            .chain(cells(floor)),
    );
    for (name, costs) in [
        ("joins: until its block is known", joins),
        ("leaves: until that is known", leaves),
    ] {
        let row = [name.to_owned()]
            .into_iter()
            .chain(cells(&Times::new(costs.times)));
        table.row(row.chain([
            format!("{} in {rounds}", costs.writes),
            megabytes((costs.bytes / rounds).into()),
            millis(costs.cpu / rounds),
        ]));
    }
    table.remark(format!(
        "Bytes and CPU time are means; the CPU time includes the 2.5 s after each. ipam-controller's VmRSS after all of it: {}. \
         Target: one write for a node that joins.",
        megabytes(memory.resident * 1024)
    ));
    table
}

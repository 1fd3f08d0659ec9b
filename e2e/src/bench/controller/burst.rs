//! Thousands of nodes that come at once.

use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::pool_watch::{PoolWatch, Seen};
use super::{FOR_POOL, POOL, status};
use crate::bed::Bed;
use crate::bench::table::{Table, megabytes, millis, ratio, times};
use crate::bench::times::Times;
use crate::bench::usage::{self, Memory};
use crate::pods;

/// How many requests for nodes are under way at a time.
const IN_FLIGHT: usize = 16;

/// What `nodes` nodes took.
pub(super) struct Burst {
    nodes: usize,
    creating: Duration,
    to_last_block: Duration,
    one_write: Times,
    writes: usize,
    bytes: u32,
    last_event: u32,
    cpu: Duration,
    memory: Memory,
}

/// Creates the nodes, and waits until watchers know that each of them has a block.
pub(super) async fn measure(bed: &Bed, watch: &mut PoolWatch, nodes: usize) -> Result<Burst> {
    let controller = &bed.controller().service;
    let (before, cpu_before) = (watch.seen(), usage::cpu(controller)?);
    let began = Instant::now();
    create(bed, nodes).await?;
    let created = Instant::now();
    let Seen {
        events,
        bytes,
        last,
        at,
        ..
    } = watch.wait(|seen| seen.entries == nodes).await?;
    let cpu = usage::cpu(controller)?.saturating_sub(cpu_before);
    let memory = Memory::of(controller)?;
    // It would plan after each of these writes, on the same two cores.
    controller.pause()?;
    let mut one_write = Vec::new();
    for _ in 0..5 {
        one_write.push(status::write(bed, watch).await?);
    }
    controller.resume()?;
    Ok(Burst {
        nodes,
        creating: created - began,
        to_last_block: at.saturating_duration_since(created),
        one_write: Times::new(one_write),
        writes: events - before.events,
        bytes: bytes - before.bytes,
        last_event: last,
        cpu,
        memory,
    })
}

async fn create(bed: &Bed, nodes: usize) -> Result<()> {
    let mut tasks = JoinSet::new();
    for first in 0..IN_FLIGHT {
        let client = bed.client.clone();
        tasks.spawn(async move {
            for number in (first..nodes).step_by(IN_FLIGHT) {
                let name = format!("worker-{number:05}.example.com");
                pods::create_fake_node(&client, &name, &[(FOR_POOL, POOL)]).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// A column for each.
pub(super) fn table(bursts: &[Burst]) -> Table {
    let sizes: Vec<String> = bursts
        .iter()
        .map(|burst| format!("{} nodes", burst.nodes))
        .collect();
    let columns: Vec<&str> = std::iter::once("at once")
        .chain(sizes.iter().map(String::as_str))
        .collect();
    let mut table = Table::new("nodes that come at once", &columns);
    let mut row = |name: &str, cell: fn(&Burst) -> String| {
        table.row(std::iter::once(name.to_owned()).chain(bursts.iter().map(cell)));
    };
    row("creating the nodes, 16 in flight", |burst| millis(burst.creating));
    row("last node to last block", |burst| millis(burst.to_last_block));
    row("floor: one write of that status", |burst| {
        millis(burst.one_write.median())
    });
    row("last node to last block, x floor", |burst| {
        ratio(burst.to_last_block, burst.one_write.median())
    });
    row("status writes", |burst| burst.writes.to_string());
    row("to each watcher", |burst| megabytes(burst.bytes.into()));
    row("to each watcher, x the last write alone", |burst| {
        times(burst.bytes.into(), burst.last_event.into())
    });
    row("CPU of ipam-controller", |burst| millis(burst.cpu));
    row("VmRSS", |burst| megabytes(burst.memory.resident * 1024));
    row("VmHWM", |burst| megabytes(burst.memory.peak * 1024));
    table.remark(
        "The cluster's etcd flushes nothing, so a status write looks cheaper here than it is elsewhere.",
    );
    table.remark(
        "The floor is the benchmark's own write of the same status with another condition, until watchers have it. \
         Watchers get JSON; counted before TLS. Target: VmRSS under 60 MB with 10,000 nodes.",
    );
    table
}

//! The plugin, from spawn to exit.

mod rounds;
mod syscalls;

use anyhow::Result;
use tokio::task;

use super::Scale;
use super::caller::Plugin;
use super::fill::Filled;
use super::floor::Floor;
use super::host_local::HostLocal;
use super::table::{Table, micros, millis, ratio};
use super::times::Times;
use crate::bed::Bed;
use crate::progress::Step;
use crate::service::Service;

use rounds::{Outcome, Plan};

/// How many calls host-local makes in a turn: each takes the longer the more it has reserved, and those that are short differ
/// most from each other.
fn peer_calls(fill: usize) -> usize {
    match fill {
        0 => 25,
        1..=5_000 => 5,
        _ => 0,
    }
}

/// Who is measured.
struct Contenders<'a> {
    floor: Floor,
    plugin: Plugin,
    /// Whom the plugin asks.
    daemon: &'a Service,
    peer: HostLocal,
}

pub(super) async fn run(bed: &Bed, scale: Scale) -> Result<Vec<Table>> {
    let mut filled = Filled::start(bed).await?;
    let node = filled.node;
    let floor = Floor::start(bed).await?;
    let mut contenders = Contenders {
        plugin: Plugin::nv_ipam(node, &floor.folder)?,
        daemon: &node.daemon.service,
        peer: HostLocal::new(bed, node, &floor.folder)?,
        floor,
    };
    let mut report = Report::new();
    for &fill in scale.pick(&[0, 1_000, 5_000, 10_000, 60_000][..], &[0, 1_000, 10_000]) {
        filled.grow(fill).await?;
        if peer_calls(fill) > 0 {
            contenders.peer.grow(fill)?;
        }
        for callers in [1, 16] {
            let alone = callers == 1;
            let plan = Plan {
                callers,
                rounds: scale.pick(20, 2),
                calls: if alone { 100 } else { 10 },
                peer_calls: if alone { peer_calls(fill) } else { 0 },
            };
            let step = Step::begin(format!("{fill} reservations, callers at once: {callers}"));
            let outcome = task::block_in_place(|| rounds::carry_out(&contenders, plan))?;
            step.end();
            report.add(fill, plan, &outcome);
        }
    }
    let mut tables = report.tables();
    tables.push(syscalls::count(&contenders).await?);
    contenders.floor.stop().await?;
    Ok(tables)
}

/// The three tables that grow by a row with each outcome.
struct Report {
    times: Table,
    cpu: Table,
    peer: Table,
}

impl Report {
    fn new() -> Self {
        let mut times = Table::new(
            "one call, from spawn to exit",
            &[
                "reservations",
                "callers",
                "ADD p50",
                "p99",
                "max",
                "DEL p50",
                "p99",
                "max",
                "floor p50",
                "p99",
                "max",
                "ADD x floor p50",
                "p99",
            ],
        );
        times.remark(
            "Floor: a static program that sends 200 bytes through a unix socket to one that appends them to a file, flushes \
             and sends them back. With several callers one flush is for all who wait.",
        );
        times.remark(
            "Target for one caller at any fill: p50 at most 2 x the floor, p99 at most 3 x the floor's p99.",
        );
        let mut cpu = Table::new(
            "CPU time of one call",
            &[
                "reservations",
                "callers",
                "nv-ipam",
                "ipam-node",
                "together",
                "floor",
                "its echo",
                "together",
                "x floor",
            ],
        );
        cpu.remark("Means of ADD and DEL. Target for 16 callers: at most 3 x the floor.");
        let mut peer = Table::new(
            "against host-local 1.9.1",
            &[
                "reservations",
                "ADD p50",
                "host-local",
                "faster",
                "DEL p50",
                "host-local",
                "faster",
            ],
        );
        peer.remark("host-local flushes nothing. Target for ADD: at least 4 x faster at 0, 60 x at 5,000.");
        Self { times, cpu, peer }
    }

    fn add(&mut self, fill: usize, plan: Plan, outcome: &Outcome) {
        let Outcome {
            ours,
            cpu,
            floor,
            floor_cpu,
            peer,
        } = outcome;
        let names = || [fill.to_string(), plan.callers.to_string()].into_iter();
        let figures = [&ours.add, &ours.del, floor].into_iter().flat_map(Times::cells);
        let ratios = [
            ratio(ours.add.median(), floor.median()),
            ratio(ours.add.quantile(99), floor.quantile(99)),
        ];
        self.times.row(names().chain(figures).chain(ratios));
        let figures = [cpu, floor_cpu]
            .into_iter()
            .flat_map(|cpu| [cpu.asking, cpu.answering, cpu.total()].map(micros));
        self.cpu.row(
            names()
                .chain(figures)
                .chain([ratio(cpu.total(), floor_cpu.total())]),
        );
        if plan.peer_calls > 0 {
            let figures = [(&ours.add, &peer.add), (&ours.del, &peer.del)]
                .into_iter()
                .map(|(ours, theirs)| (ours.median(), theirs.median()))
                .flat_map(|(ours, theirs)| [millis(ours), millis(theirs), ratio(theirs, ours)]);
            self.peer.row(std::iter::once(fill.to_string()).chain(figures));
        }
    }

    fn tables(self) -> Vec<Table> {
        vec![self.times, self.cpu, self.peer]
    }
}

//! The plugin, from spawn to exit.

use std::sync::Arc;

use anyhow::Result;

use super::Scale;
use super::caller::Caller;
use super::fill::{Filled, POOL};
use super::floors;
use super::table::{Table, ratio};
use super::times::Times;
use crate::bed::Bed;
use crate::ours;
use crate::progress::Step;

pub(super) async fn run(bed: &Bed, scale: Scale) -> Result<Vec<Table>> {
    let filled = Filled::start(bed).await?;
    let node = filled.node;
    let caller = Arc::new(Caller::new(
        bed.cluster()?.folder.join(ours::FOLDER).join("nv-ipam"),
        &node.machine,
        POOL,
    ));
    let folder = node.machine.folder.join("var/lib/cni/nv-ipam");
    let step = Step::begin("measuring single calls");
    let table = tokio::task::spawn_blocking(move || single(&caller, &folder, scale.pick(500, 100))).await??;
    step.end();
    Ok(vec![table])
}

fn single(caller: &Caller, folder: &std::path::Path, count: usize) -> Result<Table> {
    let [mut process, mut disk, mut add, mut check, mut del] = [const { Vec::new() }; 5];
    let mut flushes = floors::Flushes::new(folder)?;
    for number in 0..count {
        let container = format!("single-{number}");
        process.push(caller.call("VERSION", "none")?);
        disk.push(flushes.flush()?);
        add.push(caller.call("ADD", &container)?);
        check.push(caller.call("CHECK", &container)?);
        del.push(caller.call("DEL", &container)?);
    }
    let [process, disk, add, check, del] = [process, disk, add, check, del].map(Times::new);
    let floor = process.median() + disk.median();
    let mut table = Table::new(
        "one call at a time",
        &["call", "p50", "p99", "max", "x process + disk"],
    );
    for (name, times) in [
        ("VERSION: the process", &process),
        ("append 4 KiB, fdatasync: the disk", &disk),
        ("ADD", &add),
        ("CHECK", &check),
        ("DEL", &del),
    ] {
        let cells = times.cells().into_iter().chain([ratio(times.median(), floor)]);
        table.row(std::iter::once(name.to_owned()).chain(cells));
    }
    table.remark("process + disk is the sum of the first two medians.");
    Ok(table)
}

//! How often each side of a call goes to the kernel.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::task;

use super::Contenders;
use crate::bench::caller;
use crate::bench::container::Container;
use crate::bench::table::{Table, times};
use crate::prerequisites;
use crate::service::{Place, Service};
use crate::wait;

/// While so many calls are made the answering side is watched.
const CALLS: usize = 100;

/// Counts with strace, if it is there.
pub(super) async fn count(contenders: &Contenders<'_>) -> Result<Table> {
    let mut table = Table::new(
        "system calls of one call",
        &["side", "ADD", "DEL", "floor", "ADD x floor"],
    );
    let Some(strace) = prerequisites::find("strace") else {
        table.remark("Left out: there is no `strace` in PATH.");
        return Ok(table);
    };
    let Contenders {
        floor,
        plugin,
        daemon,
        ..
    } = contenders;
    let tracer = Tracer {
        strace: strace.to_string_lossy().into_owned(),
        folder: &floor.folder,
    };
    let container = |number| Container::new("traced", number);
    let mut row = |side: &str, [add, del, floor]: [f64; 3]| {
        let figures = [add, del, floor].map(|count| format!("{count:.0}"));
        let cells = [side.to_owned()].into_iter().chain(figures);
        table.row(cells.chain([times(add, floor)]));
    };
    row(
        "the one that asks",
        [
            tracer.run(|by| plugin.command(by, "ADD", &container(0)))?,
            tracer.run(|by| plugin.command(by, "DEL", &container(0)))?,
            tracer.run(|by| Ok(floor.command(by)))?,
        ],
    );
    let calls = |verb| move |number| plugin.call(verb, &container(number)).map(drop);
    row(
        "the one that answers",
        [
            tracer.watch(daemon, calls("ADD")).await?,
            tracer.watch(daemon, calls("DEL")).await?,
            tracer.watch(&floor.echo, |_| floor.call().map(drop)).await?,
        ],
    );
    table.remark(format!(
        "Counted by strace, one call after the other; of the side that answers, the mean of {CALLS}."
    ));
    Ok(table)
}

struct Tracer<'a> {
    strace: String,
    folder: &'a Path,
}

impl Tracer<'_> {
    /// How many system calls a program makes from its first to its last.
    fn run(&self, command: impl FnOnce(&[&str]) -> Result<Command>) -> Result<f64> {
        let summary = self.folder.join("strace");
        let output = summary.to_string_lossy();
        let by = [&self.strace, "-f", "-c", "-o", &output];
        caller::time(&mut command(&by)?)?;
        read(&summary)
    }

    /// How many a service makes for each of these calls, and what it does meanwhile on its own account.
    async fn watch(&self, service: &Service, call: impl Fn(usize) -> Result<()>) -> Result<f64> {
        let process = service.process().context("it is not running")?;
        let summary = self.folder.join("strace");
        let argv = [
            &self.strace,
            "-f",
            "-c",
            "-o",
            &summary.to_string_lossy(),
            "-p",
            &process.pid.to_string(),
        ]
        .map(str::to_owned);
        let tracer = Service::new("strace", Place::Host, self.folder, argv.to_vec());
        let mark = tracer.log_length();
        tracer.start().await?;
        wait::until("strace to be attached", wait::USUAL, async || {
            if let Err(error) = tracer.must_be_running() {
                return wait::done(Err(error));
            }
            let said = tracer.log_since(mark);
            if said.contains("attached") {
                wait::done(Ok(()))
            } else {
                wait::not_yet(said)
            }
        })
        .await??;
        let made = task::block_in_place(|| (0..CALLS).try_for_each(call));
        tracer.signal(Signal::INT)?;
        tracer.wait_end(wait::USUAL).await?;
        made?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let calls = CALLS as f64;
        Ok(read(&summary)? / calls)
    }
}

fn read(summary: &Path) -> Result<f64> {
    let text =
        fs::read_to_string(summary).with_context(|| format!("could not read {}", summary.display()))?;
    total(&text).with_context(|| format!("strace counted nothing: {text}"))
}

/// The number in the column "calls" of the line "total".
fn total(summary: &str) -> Option<f64> {
    let line = summary.lines().find(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_with_errors_and_without() {
        let lines = "% time     seconds  usecs/call     calls    errors syscall\n\
                     100.00    0.000011          11         1           close\n\
                     ------ ----------- ----------- --------- --------- ----------------\n";
        let with = format!("{lines}100.00    0.000011           0        57         3 total\n");
        let without = format!("{lines}100.00    0.000011           0        58           total\n");
        assert_eq!((total(&with), total(&without)), (Some(57.0), Some(58.0)));
        assert_eq!(total(lines), None);
    }
}

//! The daemon, from exec to its first answer.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task;
use tokio::time::{sleep, timeout};

use super::Scale;
use super::caller;
use super::fill::{Filled, POOL};
use super::rpc_client::RpcClient;
use super::table::{Table, ratio};
use super::times::Times;
use crate::bed::Bed;
use crate::machine;
use crate::progress::Step;
use crate::wait;

/// Between two looks at whether it answers.
const PAUSE: Duration = Duration::from_millis(1);

/// How the run before the start ended.
#[derive(Debug, Clone, Copy)]
enum End {
    /// By SIGTERM: the store was closed.
    Stopped,
    /// By SIGKILL: what is in the log is yet to be read.
    Killed,
}

pub(super) async fn run(bed: &Bed, scale: Scale) -> Result<Vec<Table>> {
    let mut filled = Filled::start(bed).await?;
    let mut table = Table::new(
        "ipam-node, from exec to its first answer",
        &[
            "reservations, end before",
            "p50",
            "max",
            "floor p50",
            "max",
            "x floor",
        ],
    );
    for &fill in scale.pick(&[0, 10_000, 60_000][..], &[0, 10_000]) {
        filled.grow(fill).await?;
        for end in [End::Stopped, End::Killed] {
            let name = match end {
                End::Stopped => format!("{fill}, stopped"),
                End::Killed => format!("{fill}, killed"),
            };
            let step = Step::begin(format!("starting the daemon: {name}"));
            let (mut started, mut floor) = (Vec::new(), Vec::new());
            for _ in 0..scale.pick(20, 3) {
                floor.push(task::block_in_place(|| least(&filled))?);
                started.push(restart(&filled, end).await?);
            }
            step.end();
            let (started, floor) = (Times::new(started), Times::new(floor));
            let [p50, _, max] = started.cells();
            let [floor_p50, _, floor_max] = floor.cells();
            table.row([
                name,
                p50,
                max,
                floor_p50,
                floor_max,
                ratio(started.median(), floor.median()),
            ]);
        }
    }
    table.remark(
        "The answer is to a STATUS, over its socket: an ADD could be served. Floor: `ipam-node --version`, spawn to exit, and \
         one read of each file of the store, which lies in the page cache for both. Target: under 0.5 s with 60,000.",
    );
    Ok(vec![table])
}

/// Ends the daemon and starts it again; how long until it answers.
async fn restart(filled: &Filled<'_>, end: End) -> Result<Duration> {
    let daemon = &filled.node.daemon;
    match end {
        End::Stopped => daemon.stop().await.map(drop)?,
        End::Killed => daemon.kill().await?,
    }
    let socket = filled.socket();
    let began = Instant::now();
    let answer = async {
        loop {
            if let Ok(client) = RpcClient::connect(&socket, POOL).await
                && client.status().await.is_ok()
            {
                return began.elapsed();
            }
            sleep(PAUSE).await;
        }
    };
    let (started, took) = tokio::join!(daemon.service.start(), timeout(wait::USUAL, answer));
    started?;
    took.with_context(|| {
        format!(
            "no answer; the daemon's log ends with: {}",
            daemon.service.tail(10)
        )
    })
}

/// What a start can't do without: a process, in the node's machine as the daemon is, and the bytes of its store.
fn least(filled: &Filled<'_>) -> Result<Duration> {
    let machine = &filled.node.machine;
    let argv = filled.node.daemon.service.argv();
    let program = argv.first().context("a daemon without a program")?;
    let words = machine.enter(&[program, "--version"]);
    let (first, rest) = words.split_first().context("no words")?;
    let mut command = Command::new(first);
    command
        .args(rest)
        .env_clear()
        .envs(machine::environment())
        .stdin(Stdio::null());
    let process = caller::time(&mut command)?;
    Ok(process + read(&machine.folder.join("var/lib/cni/nv-ipam"))?)
}

fn read(folder: &Path) -> Result<Duration> {
    let mut took = Duration::ZERO;
    for entry in fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_file() {
            let began = Instant::now();
            fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
            took += began.elapsed();
        }
    }
    Ok(took)
}

//! A plugin that is killed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::cni::Scratch;
use e2e::progress::say;
use futures::future::try_join_all;

use super::dice::{self, Dice};
use super::journal;
use super::plugin::{Outcome, PATIENCE, Plugin};
use super::slow_daemon::nothing_is_left;
use crate::setting;

const ADDS: usize = 150;
const DELS: usize = 150;
const CONTAINERS: usize = 8;
/// `timeout` takes 0 for no limit.
const SHORTEST: Duration = Duration::from_micros(10);

/// How long an undisturbed call takes here, at least; the way into the machine included.
async fn time_of(verb: &str, plugin: &Plugin<'_>, containers: &[impl AsRef<str>]) -> Result<Duration> {
    let mut shortest = Duration::MAX;
    for container in containers {
        let began = Instant::now();
        plugin
            .cut_off(verb, container.as_ref(), Duration::from_secs(60))
            .await?
            .success()?;
        shortest = shortest.min(began.elapsed());
    }
    Ok(shortest)
}

/// Killed at any moment with a daemon that answers, and with one that is stopped and finds what they sent later.
pub(super) async fn add(bed: Arc<Bed>) -> Result<()> {
    let seed = dice::seed()?;
    let mut dice = Dice::new(seed, 0);
    let node = setting::first_node(&bed, "killed-add", "10.77.0.0/16", 40).await?;
    let scratch = Scratch::create(node, "killed-add").await?;
    let plugin = Plugin::new(node, scratch.path(), "killed-add", PATIENCE);
    let wholes = ["whole-1", "whole-2", "whole-3"];
    let whole = time_of("ADD", &plugin, &wholes).await?;
    try_join_all(wholes.iter().map(|name| plugin.del(name))).await?;
    let mut killed = 0;
    for number in 0..ADDS {
        let limit = dice.time(SHORTEST, whole)?;
        let container = format!("killed-add-{number}");
        match plugin.cut_off("ADD", &container, limit).await? {
            Outcome::Killed => killed += 1,
            other => drop(other.success()?),
        }
        plugin.del(&container).await?;
    }
    nothing_is_left(&plugin).await?;

    node.daemon.service.pause()?;
    let names: Vec<String> = (0..CONTAINERS).map(|n| format!("killed-stopped-{n}")).collect();
    let limits: Vec<Duration> = names
        .iter()
        .map(|_| dice.time(Duration::from_millis(1), Duration::from_millis(200)))
        .collect::<Result<_>>()?;
    let cut_off = names
        .iter()
        .zip(limits)
        .map(|(name, limit)| plugin.cut_off("ADD", name, limit));
    let outcomes = try_join_all(cut_off).await?;
    ensure!(
        outcomes.iter().all(|outcome| *outcome == Outcome::Killed),
        "{outcomes:?}"
    );
    // Nobody answers these, so they are to give up soon.
    let brief = Plugin::new(node, scratch.path(), "killed-add", 1);
    try_join_all(names.iter().map(|name| brief.del(name))).await?;
    node.daemon.service.resume()?;
    nothing_is_left(&plugin).await?;
    say(format!("seed {seed}: {killed} of {ADDS} ADDs were killed"));
    ensure!(
        killed > 0 && killed < ADDS,
        "E2E_SEED={seed}: nothing was at stake: {killed}"
    );
    Ok(())
}

/// Killed while the daemon is away, at any moment of leaving the DEL in the journal.
pub(super) async fn del(bed: Arc<Bed>) -> Result<()> {
    let seed = dice::seed()?;
    let mut dice = Dice::new(seed, 0);
    let node = setting::first_node(&bed, "killed-del", "10.77.0.0/16", 40).await?;
    let scratch = Scratch::create(node, "killed-del").await?;
    let plugin = Plugin::new(node, scratch.path(), "killed-del", PATIENCE);
    let names: Vec<String> = (0..CONTAINERS).map(|n| format!("killed-del-{n}")).collect();
    try_join_all(names.iter().map(async |name| plugin.add(name).await?.success())).await?;
    node.daemon.kill().await?;
    let whole = time_of("DEL", &plugin, &names).await?;
    let mut killed = 0;
    for number in 0..DELS {
        let limit = dice.time(SHORTEST, whole)?;
        if plugin.cut_off("DEL", &names[number % CONTAINERS], limit).await? == Outcome::Killed {
            killed += 1;
        }
        // Every entry that is there is whole.
        journal::containers(node)?;
    }
    let unfinished = journal::files(node)?
        .iter()
        .filter(|name| name.starts_with('.'))
        .count();
    try_join_all(names.iter().map(|name| plugin.del(name))).await?;
    node.daemon.start().await?;
    nothing_is_left(&plugin).await?;
    say(format!(
        "seed {seed}: {killed} of {DELS} DELs were killed, {unfinished} in the middle of writing their entry"
    ));
    ensure!(
        killed > 0 && killed < DELS,
        "E2E_SEED={seed}: nothing was at stake: {killed}"
    );
    Ok(())
}

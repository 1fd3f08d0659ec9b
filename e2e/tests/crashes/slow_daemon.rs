//! A daemon that is stopped for a while: the kernel takes its connections, and what was sent is read much later.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::bed::Bed;
use e2e::cni::Scratch;
use e2e::store;
use futures::future::try_join_all;

use super::dice::{self, Dice};
use super::journal;
use super::plugin::{Outcome, PATIENCE, Plugin};
use crate::setting;

const ROUNDS: usize = 6;
const CONTAINERS: usize = 8;
/// What the plugin grants the daemon, in seconds, where it is to give up: the least that it can be told.
const TIMEOUT: u32 = 1;

/// How long the daemon is stopped from about the start of the calls on: it goes on before their deadline, about then,
/// or when all of them have given up.
fn stopped(dice: &mut Dice) -> Result<Duration> {
    let millis = Duration::from_millis;
    match dice.below(4) {
        0 => dice.time(millis(1200), millis(1300)),
        1 => dice.time(millis(100), millis(900)),
        _ => dice.time(millis(980), millis(1060)),
    }
}

/// DEL and, as soon as it has ended, ADD again for the same container and interface.
pub(super) async fn late_del(bed: Arc<Bed>) -> Result<()> {
    let seed = dice::seed()?;
    let mut dice = Dice::new(seed, 0);
    let node = setting::first_node(&bed, "late-del", "10.77.0.0/16", 40).await?;
    let scratch = Scratch::create(node, "late-del").await?;
    let plugin = Plugin::new(node, scratch.path(), "late-del", TIMEOUT);
    let patient = Plugin::new(node, scratch.path(), "late-del", PATIENCE);
    let daemon = &node.daemon.service;
    let names: Vec<String> = (0..CONTAINERS).map(|n| format!("late-del-{n}")).collect();
    for round in 0..ROUNDS {
        try_join_all(names.iter().map(async |name| patient.add(name).await?.success())).await?;
        // Some DELs are sent before it stops, or have been carried out but not answered.
        let before = dice.time(Duration::ZERO, Duration::from_millis(12))?;
        let stopped = stopped(&mut dice)?;
        let stop = async {
            tokio::time::sleep(before).await;
            daemon.pause()?;
            tokio::time::sleep(stopped).await;
            daemon.resume()
        };
        let again = names.iter().map(async |name| {
            plugin.del(name).await?;
            // If the daemon goes on too late for this ADD as well, the runtime tries again.
            loop {
                match plugin.add(name).await? {
                    Outcome::NoAnswer(_) => plugin.del(name).await?,
                    other => return other.success(),
                }
            }
        });
        let ((), given) = futures::try_join!(stop, try_join_all(again))?;
        journal::wait_drained(node).await?;
        journal::wait_connections_closed(node).await?;
        let held: Vec<(String, String)> = store::reservations(node)
            .await?
            .into_iter()
            .map(|row| (row.container, format!("{}/16", row.address)))
            .collect();
        for pair in names.iter().cloned().zip(given) {
            ensure!(
                held.contains(&pair),
                "E2E_SEED={seed}, round {round}, stopped after {before:?} for {stopped:?}: {pair:?} is not in {held:?}"
            );
            patient.check(&pair.0).await?.success()?;
        }
        ensure!(held.len() == names.len(), "round {round}: {held:?}");
        try_join_all(names.iter().map(|name| patient.del(name))).await?;
    }
    Ok(())
}

/// ADD, and DEL after those that failed.
pub(super) async fn late_add(bed: Arc<Bed>) -> Result<()> {
    let seed = dice::seed()?;
    let mut dice = Dice::new(seed, 0);
    let node = setting::first_node(&bed, "late-add", "10.77.0.0/16", 40).await?;
    let scratch = Scratch::create(node, "late-add").await?;
    let plugin = Plugin::new(node, scratch.path(), "late-add", TIMEOUT);
    let daemon = &node.daemon.service;
    let names: Vec<String> = (0..CONTAINERS).map(|n| format!("late-add-{n}")).collect();

    // Stopped for the whole time of ADD and DEL.
    daemon.pause()?;
    let timed_out = try_join_all(names.iter().map(|name| plugin.add(name))).await?;
    ensure!(
        timed_out.iter().all(|outcome| *outcome == Outcome::NoAnswer(999)),
        "{timed_out:?}"
    );
    try_join_all(names.iter().map(|name| plugin.del(name))).await?;
    let entries = journal::containers(node)?;
    ensure!(names.iter().all(|name| entries.contains(name)), "{entries:?}");
    daemon.resume()?;
    nothing_is_left(&plugin).await?;

    // It goes on about when the ADDs give up, before the DELs or while they run.
    for round in 0..ROUNDS {
        let stopped = stopped(&mut dice)?;
        daemon.pause()?;
        let resume = async {
            tokio::time::sleep(stopped).await;
            daemon.resume()
        };
        let calls = names.iter().map(async |name| {
            let outcome = plugin.add(name).await?;
            ensure!(
                matches!(outcome, Outcome::Success(_) | Outcome::NoAnswer(999)),
                "{outcome:?}"
            );
            plugin.del(name).await
        });
        futures::try_join!(resume, try_join_all(calls))?;
        nothing_is_left(&plugin)
            .await
            .with_context(|| format!("E2E_SEED={seed}, round {round}, stopped for {stopped:?}"))?;
    }
    Ok(())
}

/// Insists that nothing is reserved once the daemon has read all that was meant for it.
pub(super) async fn nothing_is_left(plugin: &Plugin<'_>) -> Result<()> {
    journal::wait_drained(plugin.node).await?;
    journal::wait_connections_closed(plugin.node).await?;
    let left = store::reservations(plugin.node).await?;
    ensure!(left.is_empty(), "left in the store: {left:?}");
    Ok(())
}

/// Entries as an older plugin, a restored folder or an earlier boot would leave them; the daemon running and not.
pub(super) async fn entry_by_hand(bed: Arc<Bed>) -> Result<()> {
    let pool = "by-hand";
    let node = setting::first_node(&bed, pool, "10.77.0.0/16", 40).await?;
    let scratch = Scratch::create(node, pool).await?;
    let plugin = Plugin::new(node, scratch.path(), pool, PATIENCE);
    for down in [false, true] {
        for name in ["earlier", "again", "of-this-boot"] {
            plugin.add(name).await?.success()?;
        }
        let stamp = journal::now()?;
        plugin.del("again").await?;
        plugin.add("again").await?.success()?;
        plugin.add("later").await?.success()?;
        if down {
            node.daemon.kill().await?;
        }
        let of_an_earlier_boot = journal::Stamp {
            boot_id: "00000000-0000-0000-0000-000000000000".to_owned(),
            boottime_ns: stamp.boottime_ns + 3_600_000_000_000,
        };
        for name in ["earlier", "again", "later"] {
            journal::put(node, &stamp, pool, name)?;
        }
        journal::put(node, &of_an_earlier_boot, pool, "of-this-boot")?;
        if down {
            node.daemon.start().await?;
        }
        journal::wait_drained(node).await?;
        let mut held: Vec<String> = store::reservations(node)
            .await?
            .into_iter()
            .map(|row| row.container)
            .collect();
        held.sort();
        ensure!(
            held == ["again", "later", "of-this-boot"],
            "daemon down: {down}: {held:?}"
        );
        for name in &held {
            plugin.check(name).await?.success()?;
            plugin.del(name).await?;
        }
    }
    Ok(())
}

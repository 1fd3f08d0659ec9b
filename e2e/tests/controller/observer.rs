//! Watching every pool's entries, to see that none of them ever changes.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use e2e::wait;
use futures::StreamExt;
use kube::Client;
use kube::api::DynamicObject;
use kube::runtime::watcher::{Config, Event, watcher};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::pool::{Entries, ensure_disjoint, entries, pools};

/// A watch that goes on beside the test.
pub(crate) struct Observer {
    statuses: watch::Receiver<usize>,
    task: JoinHandle<Result<()>>,
}

impl Observer {
    /// Watches from now on.
    pub(crate) fn start(client: Client) -> Self {
        let (count, statuses) = watch::channel(0);
        let task = tokio::spawn(observe(client, count));
        Self { statuses, task }
    }

    /// How many different sets of entries have been seen.
    pub(crate) fn seen(&self) -> usize {
        *self.statuses.borrow()
    }

    /// Waits until that many have been seen.
    pub(crate) async fn wait(&mut self, count: usize) -> Result<()> {
        let reached = self.statuses.wait_for(|seen| *seen >= count);
        let outcome = tokio::time::timeout(wait::USUAL, reached).await;
        let ended = outcome.map(|reached| reached.is_err());
        match ended {
            Ok(false) => Ok(()),
            Ok(true) => self.finish().await.and_then(|()| bail!("the watch ended")),
            Err(_) => bail!("waited for {count} statuses and saw {}", self.seen()),
        }
    }

    /// Ends the watch. An error if it has seen an entry change, or two that intersect.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        self.task.abort();
        match (&mut self.task).await {
            Ok(outcome) => outcome,
            Err(error) if error.is_cancelled() => Ok(()),
            Err(error) => Err(error).context("the watch failed"),
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Ends with an error only.
async fn observe(client: Client, count: watch::Sender<usize>) -> Result<()> {
    let mut known: BTreeMap<String, Entries> = BTreeMap::new();
    let mut events = watcher(pools(client), Config::default()).boxed();
    while let Some(event) = events.next().await {
        let (Event::Apply(pool) | Event::InitApply(pool)) = event? else {
            continue;
        };
        if judge(&mut known, &pool)? {
            count.send_modify(|seen| *seen += 1);
        }
    }
    bail!("the watch ended")
}

/// Compares a pool with what was known of it. True if there is more than before.
fn judge(known: &mut BTreeMap<String, Entries>, pool: &DynamicObject) -> Result<bool> {
    let name = pool.metadata.name.clone().unwrap_or_default();
    let now = entries(pool)?;
    ensure_disjoint(&now)?;
    let before = known.entry(name.clone()).or_default();
    for (node, entry) in &*before {
        match now.get(node) {
            Some(same) if same == entry => {}
            other => bail!("pool {name}: {node} had {entry}, and then {other:?}"),
        }
    }
    let more = now.len() > before.len();
    *before = now;
    Ok(more)
}

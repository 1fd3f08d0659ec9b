//! Follows the IPPools and gives the writer this node's table.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use api::pool_key::PoolKey;
use futures::StreamExt;
use kube::runtime::reflector;
use kube::runtime::watcher::Event;
use kube::{Api, Client, ResourceExt};
use process::readiness::Gate;

use crate::refusal::Refusal;
use crate::table::{Change, PoolObject, Table};
use crate::writer::Writer;

/// How long to wait before a table is offered again that the writer could not take: its disk is full, or its queue.
const RETRY: Duration = Duration::from_secs(5);

/// Follows the pools of one namespace for one node.
pub struct PoolWatch {
    /// For the API server.
    pub client: Client,
    /// Where the pools are.
    pub namespace: String,
    /// This node.
    pub node: String,
    /// Gets the table.
    pub writer: Writer,
    /// Opened when the writer has a table made of what the API server has.
    pub synced: Gate,
}

impl PoolWatch {
    /// Runs until the writer has ended, which is an error.
    ///
    /// The writer gets its first table when all pools are known, and another one whenever something in it changes. Until
    /// then, and while the API server is away, it goes on with what it has.
    pub async fn run(self) -> Result<(), Refusal> {
        let mut keeper = TableKeeper {
            in_force: Table::stored(self.writer.table().await?),
            outside: BTreeMap::new(),
            node: self.node.clone(),
            writer: self.writer,
            synced: self.synced,
            is_synced: false,
            refused: None,
        };
        let api: Api<PoolObject> = Api::namespaced(self.client, &self.namespace);
        let mut events = pin!(super::events(api, None, "IPPools", move |object| slim(
            object, &self.node
        )));
        let (pools, mut cache) = reflector::store();
        let mut offer_again = false;
        loop {
            tokio::select! {
                Some(event) = events.next() => {
                    cache.apply_watcher_event(&event);
                    // While a list comes in, the cache shows what it had before.
                    if matches!(event, Event::Init | Event::InitApply(_)) {
                        continue;
                    }
                }
                () = tokio::time::sleep(RETRY), if offer_again => {}
                // A watch never ends by itself.
                else => return Ok(()),
            }
            offer_again = !keeper.update(&pools.state()).await?;
        }
    }
}

/// Leaves what [`Table::follow`] needs: of an object that grows with the cluster, a part that doesn't.
fn slim(object: &mut PoolObject, node: &str) {
    object.managed_fields_mut().clear();
    if let Ok(pool) = &mut object.0
        && let Some(status) = &mut pool.status
    {
        status
            .allocations
            .retain(|allocation| allocation.node_name == node);
        status.allocations.shrink_to_fit();
        status.conditions.clear();
    }
}

/// Keeps the writer's table the one that follows from the pool objects.
struct TableKeeper {
    in_force: Table,
    /// Reserved addresses outside of this node's ranges that were reported.
    outside: BTreeMap<PoolKey, Vec<IpAddr>>,
    node: String,
    writer: Writer,
    synced: Gate,
    is_synced: bool,
    /// Why the writer didn't take the last table, which was said.
    refused: Option<Refusal>,
}

impl TableKeeper {
    /// Hands over the table that follows from `objects`, if that is news. Whether the writer is up to date now; the only
    /// error is that it has ended.
    async fn update(&mut self, objects: &[impl AsRef<PoolObject>]) -> Result<bool, Refusal> {
        let next = self
            .in_force
            .follow(objects.iter().map(AsRef::as_ref), &self.node);
        let changes = next.changes_since(&self.in_force);
        let is_news = !self.is_synced || next.pools != self.in_force.pools;
        if is_news {
            match self
                .writer
                .set_table(next.pools.values().cloned().collect())
                .await
            {
                Ok(()) => self.refused = None,
                Err(Refusal::Stopping) => return Err(Refusal::Stopping),
                Err(refusal) => {
                    if self.refused.as_ref() != Some(&refusal) {
                        tracing::warn!(
                            "the changed pools can't be stored, so the old ones stay in force: {refusal}"
                        );
                    }
                    if !self.is_synced {
                        self.synced.close(format!(
                            "known from the API server, but they can't be stored: {refusal}"
                        ));
                    }
                    self.refused = Some(refusal);
                    return Ok(false);
                }
            }
        }
        self.in_force = next;
        for change in changes {
            match change {
                Change::Trouble { .. } => tracing::warn!("{change}"),
                Change::Set(_) | Change::Gone(_) => tracing::info!("{change}"),
            }
        }
        if !self.is_synced {
            self.is_synced = true;
            self.synced.open();
            tracing::info!(
                pools = self.in_force.pools.len(),
                "the pools of this node are known"
            );
        }
        if is_news {
            self.report_outside().await?;
        }
        Ok(true)
    }

    async fn report_outside(&mut self) -> Result<(), Refusal> {
        let reservations = match self.writer.outside().await {
            Err(Refusal::Stopping) => return Err(Refusal::Stopping),
            // It is a report only, and the next change makes it.
            Err(_) => return Ok(()),
            Ok(reservations) => reservations,
        };
        let mut outside: BTreeMap<PoolKey, Vec<IpAddr>> = BTreeMap::new();
        for reservation in reservations {
            outside
                .entry(reservation.pool)
                .or_default()
                .push(reservation.address);
        }
        for (pool, addresses) in &outside {
            if self.outside.get(pool) != Some(addresses) {
                tracing::warn!(
                    ?addresses,
                    "pool {pool}: addresses are reserved that lie in no range that this node has now; they stay reserved \
                     until their pods are gone"
                );
            }
        }
        self.outside = outside;
        Ok(())
    }
}

//! Follows the pools, of both kinds, and gives the writer this node's table.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use api::pool_key::PoolKey;
use futures::{StreamExt, stream};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{Error, Event};
use kube::{Api, Client};
use process::readiness::Gate;

use super::objects::Objects;
use super::synced::Synced;
use crate::brief;
use crate::ledger::Outside;
use crate::refusal::Refusal;
use crate::table::{Change, Table};
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
    /// Opened when the writer has a table made of what the API server has: all pools of a kind, and of the other kind too,
    /// unless the API server refuses those (see [`PoolWatch::run`]).
    pub synced: Gate,
}

/// What one of the two watches came across.
enum News {
    IpPools(Result<Event<DeserializeGuard<IPPool>>, Error>),
    CidrPools(Result<Event<DeserializeGuard<CIDRPool>>, Error>),
}

impl PoolWatch {
    /// Runs until the writer has ended, which is an error.
    ///
    /// The writer gets a table as soon as all pools of a kind are known, and another one whenever something in it changes.
    /// Until then, and while the API server is away, it goes on with what it has.
    ///
    /// The kinds don't wait for each other. A kind that the API server doesn't have, or that this daemon has no right to,
    /// doesn't keep the daemon from being ready with the other one: pools of it that are known from before stay in force,
    /// an ADD from any other is Unavailable, and it is asked for again and again.
    pub async fn run(self) -> Result<(), Refusal> {
        let mut keeper = TableKeeper {
            in_force: self.writer.table().await?,
            outside: BTreeMap::new(),
            writer: self.writer,
            synced: Synced::new(self.synced),
            refused: None,
        };
        let mut ippools = Objects::<IPPool>::new(&self.node);
        let mut cidrpools = Objects::<CIDRPool>::new(&self.node);
        let api_of_ippools = Api::namespaced(self.client.clone(), &self.namespace);
        let api_of_cidrpools = Api::namespaced(self.client, &self.namespace);
        let mut news = pin!(stream::select(
            super::outcomes(api_of_ippools, None, "IPPools").map(News::IpPools),
            super::outcomes(api_of_cidrpools, None, "CIDRPools").map(News::CidrPools),
        ));
        let mut offer_again = false;
        loop {
            tokio::select! {
                Some(news) = news.next() => {
                    let is_change = match news {
                        News::IpPools(outcome) => ippools.observe(outcome),
                        News::CidrPools(outcome) => cidrpools.observe(outcome),
                    };
                    if !is_change {
                        continue;
                    }
                }
                () = tokio::time::sleep(RETRY), if offer_again => {}
                // A watch never ends by itself.
                else => return Ok(()),
            }
            offer_again = !keeper.update(&ippools, &cidrpools).await?;
        }
    }
}

/// Keeps the writer's table the one that follows from the pool objects.
struct TableKeeper {
    in_force: Table,
    /// Reserved addresses outside of this node's ranges that were reported.
    outside: BTreeMap<(PoolKey, Outside), Vec<IpAddr>>,
    writer: Writer,
    synced: Synced,
    /// Why the writer didn't take the last table, which was said.
    refused: Option<Refusal>,
}

impl TableKeeper {
    /// Hands over the table that follows from the objects, if that is news. Whether the writer is up to date now; the only
    /// error is that it has ended.
    async fn update(
        &mut self,
        ippools: &Objects<IPPool>,
        cidrpools: &Objects<CIDRPool>,
    ) -> Result<bool, Refusal> {
        let next = cidrpools.followed_from(&ippools.followed_from(&self.in_force));
        let changes = next.changes_since(&self.in_force);
        let is_news = !next.serves_as(&self.in_force);
        if is_news && !self.hand_over(&next).await? {
            return Ok(false);
        }
        // A table that was refused may also be out of date before it is taken.
        self.refused = None;
        self.synced.table_stored();
        self.in_force = next;
        for change in changes {
            match change {
                Change::Trouble { .. } => tracing::warn!("{change}"),
                Change::Set(_) | Change::Gone(_) => tracing::info!("{change}"),
            }
        }
        self.become_synced(ippools, cidrpools);
        if is_news {
            self.report_outside().await?;
        }
        Ok(true)
    }

    /// Whether the writer took the table.
    async fn hand_over(&mut self, table: &Table) -> Result<bool, Refusal> {
        let refusal = match self.writer.set_table(table.clone()).await {
            Ok(()) => return Ok(true),
            Err(Refusal::Stopping) => return Err(Refusal::Stopping),
            Err(refusal) => refusal,
        };
        if self.refused.as_ref() != Some(&refusal) {
            tracing::warn!("the changed pools can't be stored, so the old ones stay in force: {refusal}");
        }
        self.synced.table_refused(&refusal);
        self.refused = Some(refusal);
        Ok(false)
    }

    /// Opens the gate once, when all is known that the API server is ready to say.
    fn become_synced(&mut self, ippools: &Objects<IPPool>, cidrpools: &Objects<CIDRPool>) {
        let (is_synced, refused) = match (ippools.are_known(), cidrpools.are_known()) {
            (true, true) => (true, None),
            (true, false) => (cidrpools.are_refused(), Some("CIDRPools")),
            (false, true) => (ippools.are_refused(), Some("IPPools")),
            (false, false) => (false, None),
        };
        if !is_synced || !self.synced.open() {
            return;
        }
        tracing::info!(
            pools = self.in_force.pools.len(),
            "the pools of this node are known"
        );
        if let Some(kind) = refused {
            tracing::warn!(
                "the API server doesn't say which {kind} there are: ADD from those not known from before is answered with \
                 Unavailable until it does, all other pools are served"
            );
        }
    }

    /// Says which addresses are reserved that this node would not give to just anybody now.
    async fn report_outside(&mut self) -> Result<(), Refusal> {
        let reserved = match self.writer.outside().await {
            Err(Refusal::Stopping) => return Err(Refusal::Stopping),
            // It is a report only, and the next change makes it.
            Err(_) => return Ok(()),
            Ok(reserved) => reserved,
        };
        let mut outside: BTreeMap<_, Vec<IpAddr>> = BTreeMap::new();
        for (reservation, place) in reserved {
            outside
                .entry((reservation.pool.clone(), place))
                .or_default()
                .push(reservation.address);
        }
        for (place, addresses) in &outside {
            if self.outside.get(place) == Some(addresses) {
                continue;
            }
            let addresses = brief::list(addresses.iter());
            match place {
                (pool, Outside::OfNode(node)) => tracing::warn!(
                    addresses,
                    "pool {pool}: addresses are reserved here that are now in the range of node {node}, which may hand them \
                     out too; they stay reserved until their pods are gone"
                ),
                (pool, Outside::Nobodys) => tracing::info!(
                    addresses,
                    "pool {pool}: addresses are reserved that are in no node's range; they were asked for by name, or this \
                     node had another range before"
                ),
                (pool, Outside::Unknown) => tracing::warn!(
                    addresses,
                    "pool {pool}: addresses are reserved that lie in no range that this node has now; they stay reserved \
                     until their pods are gone"
                ),
            }
        }
        self.outside = outside;
        Ok(())
    }
}

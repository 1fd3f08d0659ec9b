//! A daemon with a large block, and as many reservations in it as a benchmark is about.

use std::path::PathBuf;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::container::Container;
use super::rpc_client::RpcClient;
use crate::bed::Bed;
use crate::names::NAMESPACE;
use crate::node::Node;
use crate::progress::Step;
use crate::wait;

/// The pool that all of them use.
pub(super) const POOL: &str = "bench";

/// How many addresses the node has: the largest fill, and whatever is under way on top of it.
const BLOCK: u32 = 100_000;

/// How many ADDs are under way at once.
const IN_FLIGHT: usize = 256;

/// The daemon of the bed's first node, running, and its reservations.
#[derive(Debug)]
pub(super) struct Filled<'a> {
    pub(super) node: &'a Node,
    held: usize,
}

impl<'a> Filled<'a> {
    /// Deals the pool to the nodes and starts the first one's daemon, which holds nothing yet. The controller, which has
    /// nothing more to do, is stopped again.
    pub(super) async fn start(bed: &'a Bed) -> Result<Self> {
        let node = bed.nodes().first().context("the bed has no node")?;
        let pool = json!({
            "apiVersion": "nv-ipam.nvidia.com/v1alpha1",
            "kind": "IPPool",
            "metadata": { "name": POOL, "namespace": NAMESPACE },
            "spec": { "subnet": "10.0.0.0/8", "perNodeBlockSize": BLOCK, "gateway": "10.0.0.1" },
        });
        bed.apply(&pool.to_string()).await?;
        bed.controller().start().await?;
        let names: Vec<&str> = bed.nodes().iter().map(|node| node.name.as_str()).collect();
        bed.wait_blocks(POOL, &names).await?;
        bed.controller().stop().await?;
        node.daemon.start().await?;
        node.daemon.wait_block(POOL).await?;
        Ok(Self { node, held: 0 })
    }

    /// Where the daemon listens, as this process can open it.
    pub(super) fn socket(&self) -> PathBuf {
        self.node.machine.path("/var/lib/cni/nv-ipam/daemon.sock")
    }

    /// Adds reservations until there are `count`. They only become more.
    pub(super) async fn grow(&mut self, count: usize) -> Result<()> {
        if count <= self.held {
            return Ok(());
        }
        let step = Step::begin(format!("making {} reservations", count - self.held));
        let client = RpcClient::connect(&self.socket(), POOL).await?;
        stream::iter(self.held..count)
            .map(|number| {
                let client = client.clone();
                async move { client.add(&Container::new("fill", number)).await }
            })
            .buffer_unordered(IN_FLIGHT)
            .try_collect::<()>()
            .await?;
        self.held = count;
        step.end();
        self.verify().await
    }

    /// A fill that isn't what a table says would be worse than none.
    async fn verify(&self) -> Result<()> {
        let used = [("pool", POOL), ("state", "used")];
        let what = format!("the daemon to count {} reservations", self.held);
        wait::until(&what, wait::USUAL, async || {
            let page = self.node.daemon.scrape().await;
            match page.and_then(|page| page.value("nv_ipam_addresses", &used)) {
                Ok(count) if count.to_string() == self.held.to_string() => wait::done(()),
                Ok(count) => wait::not_yet(count.to_string()),
                Err(error) => wait::not_yet(format!("{error:#}")),
            }
        })
        .await
    }
}

//! Looking into a daemon's store, as an administrator would: with sqlite3.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::node::Node;

/// Where the daemon keeps its store unless a flag says otherwise.
pub const PATH: &str = "/var/lib/cni/nv-ipam/store";

/// One address held by one interface of one container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Reservation {
    /// The pool key.
    pub pool: String,
    /// The address.
    pub address: String,
    /// The container's id.
    pub container: String,
    /// The interface's name.
    pub interface: String,
    /// The pod's name.
    pub pod_name: String,
}

/// All reservations of a node, in the order in which they were made. Works while the daemon is running and while it isn't.
pub async fn reservations(node: &Node) -> Result<Vec<Reservation>> {
    query(
        node,
        "SELECT pool, address, container, interface, pod_name FROM reservations ORDER BY id",
    )
    .await
}

/// The rows that a query returns.
pub async fn query<T: for<'de> Deserialize<'de>>(node: &Node, sql: &str) -> Result<Vec<T>> {
    // Read and write, as WAL needs it, but never created by looking.
    let uri = format!("file:{PATH}?mode=rw");
    let argv = ["sqlite3", "-json", "-cmd", ".timeout 5000", &uri, sql];
    let text = node.exec(&argv).await?.success()?;
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(&text).with_context(|| format!("sqlite3 on {} answered: {text}", node.name))
}

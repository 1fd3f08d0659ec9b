//! How reservations are listed. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use api::node_pool::NodePool;
use api::pool_key::PoolKey;
use api::range::number;
use serde::Serialize;

use crate::reservation::Reservation;
use crate::store::{Content, Stored};

/// One reservation, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pool: String,
    address: IpAddr,
    /// Which address of this node's range it is, from 0; `None` if it is none of them.
    index: Option<u128>,
    pod_namespace: String,
    pod_name: String,
    #[serde(rename = "podUID")]
    pod_uid: String,
    pod_seen: bool,
    container: String,
    interface: String,
    #[serde(rename = "deviceID")]
    device_id: String,
    network: String,
    created: String,
}

/// What is listed, by pool and address.
pub(super) fn rows(content: Content) -> Vec<Row> {
    let table: HashMap<PoolKey, NodePool> = content
        .table
        .into_iter()
        .map(|pool| (pool.key.clone(), pool))
        .collect();
    let mut rows: Vec<Row> = content
        .reservations
        .into_iter()
        .map(|stored| row(table.get(&stored.reservation.pool), stored))
        .collect();
    rows.sort_by(|a, b| (&a.pool, a.address).cmp(&(&b.pool, b.address)));
    rows
}

fn row(pool: Option<&NodePool>, stored: Stored) -> Row {
    let Reservation {
        pool: key,
        address,
        owner,
        pod,
        network,
        pod_seen,
        ..
    } = stored.reservation;
    Row {
        index: pool
            .map(|pool| pool.range)
            .filter(|range| range.contains(address))
            .map(|range| number(address) - number(range.first())),
        pool: key.as_str().to_owned(),
        address,
        pod_namespace: pod.namespace.to_string(),
        pod_name: pod.name,
        pod_uid: pod.uid,
        pod_seen,
        container: owner.container,
        interface: owner.interface.to_string(),
        device_id: stored.device_id,
        network: network.to_string(),
        created: stored.created,
    }
}

/// All there is, as a JSON list.
pub(super) fn json(rows: &[Row]) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(rows)?;
    text.push('\n');
    Ok(text)
}

/// A table for people: what is needed to find the pod, and to release the address.
pub(super) fn table(rows: &[Row]) -> String {
    let header = [
        "POOL",
        "ADDRESS",
        "INDEX",
        "POD",
        "CONTAINER",
        "INTERFACE",
        "NETWORK",
        "SEEN",
        "CREATED",
    ]
    .map(ToOwned::to_owned);
    let lines: Vec<[String; 9]> = std::iter::once(header).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..9).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let padded: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:width$}"))
            .collect();
        text.push_str(padded.join("   ").trim_end());
        text.push('\n');
    }
    text
}

fn cells(row: &Row) -> [String; 9] {
    // As crictl prints it.
    let container: String = row.container.chars().take(13).collect();
    [
        row.pool.clone(),
        row.address.to_string(),
        row.index.map(|index| index.to_string()).unwrap_or_default(),
        if row.pod_namespace.is_empty() && row.pod_name.is_empty() {
            String::new()
        } else {
            format!("{}/{}", row.pod_namespace, row.pod_name)
        },
        container,
        row.interface.clone(),
        row.network.clone(),
        if row.pod_seen { "yes" } else { "no" }.to_owned(),
        row.created.clone(),
    ]
    .map(|cell| {
        if cell.is_empty() {
            "-".to_owned()
        } else {
            // Names come from whoever calls; a terminal must not obey them.
            cell.replace(char::is_control, "?")
        }
    })
}

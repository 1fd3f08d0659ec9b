//! More pods than addresses.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use e2e::node::Node;
use e2e::{pods, store, wait};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use crate::setting;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::nodes(
        "node::full_block::more_pods_than_addresses_share_it_and_none_shares_one",
        crowd,
    )]
}

const PODS: usize = 18;
/// As many as the pods that wait are started when the first have gone.
const BLOCK: u32 = 12;

async fn crowd(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "small", "10.64.0.0/24", BLOCK).await?;
    let network = json!({
        "cniVersion": "1.0.0", "name": "small", "type": "bridge", "bridge": "small0",
        "ipam": { "type": "nv-ipam" },
    });
    node.install_network("10-small.conf", &network.to_string())
        .await?;
    for number in 0..PODS {
        pods::create(&bed.client, &format!("crowd-{number}"), &node.name).await?;
    }

    let all = BLOCK as usize;
    let first = wait_running(&bed, all).await?;
    wait_event(&bed, "no free addresses in the pool \"small\"").await?;
    same_as_reserved(node, &first).await?;

    for (name, _) in first.iter().take(PODS - all) {
        pods::api(&bed.client)
            .delete(name, &DeleteParams::default())
            .await?;
    }
    for (name, _) in first.iter().take(PODS - all) {
        pods::wait_gone(&bed.client, name).await?;
    }
    let second = wait_running(&bed, all).await?;
    same_as_reserved(node, &second).await
}

/// Waits until exactly so many pods run, none of them on its way out; returns the name and address of each.
async fn wait_running(bed: &Bed, count: usize) -> Result<Vec<(String, Ipv4Addr)>> {
    wait::until(&format!("{count} pods to be Running"), wait::USUAL, async || {
        let list = match pods::api(&bed.client).list(&ListParams::default()).await {
            Ok(list) => list.items,
            Err(error) => return wait::not_yet(error.to_string()),
        };
        let running: Vec<_> = list.iter().filter_map(running).collect();
        if running.len() == count {
            wait::done(running)
        } else {
            wait::not_yet(format!("{} of {} run", running.len(), list.len()))
        }
    })
    .await
}

fn running(pod: &Pod) -> Option<(String, Ipv4Addr)> {
    let status = pod.status.as_ref()?;
    let runs = status.phase.as_deref() == Some("Running") && pod.metadata.deletion_timestamp.is_none();
    let address = status.pod_ip.as_ref()?.parse().ok()?;
    runs.then(|| Some((pod.metadata.name.clone()?, address)))?
}

/// Waits until the cluster says this of a pod that can't start.
async fn wait_event(bed: &Bed, text: &str) -> Result<()> {
    let events: Api<Event> = Api::namespaced(bed.client.clone(), pods::NAMESPACE);
    let of_pods = ListParams::default().fields("involvedObject.kind=Pod,type=Warning");
    wait::until(&format!("an event with {text:?}"), wait::USUAL, async || {
        let list = match events.list(&of_pods).await {
            Ok(list) => list.items,
            Err(error) => return wait::not_yet(error.to_string()),
        };
        let messages: Vec<_> = list.into_iter().filter_map(|event| event.message).collect();
        if messages.iter().any(|message| message.contains(text)) {
            wait::done(())
        } else {
            wait::not_yet(messages.join("\n"))
        }
    })
    .await
}

/// Every address of the block has one pod, and it is the pod that the daemon gave it to.
async fn same_as_reserved(node: &Node, pods: &[(String, Ipv4Addr)]) -> Result<()> {
    let addresses: BTreeSet<_> = pods.iter().map(|(_, address)| *address).collect();
    let block: BTreeSet<_> = (1..=BLOCK)
        .map(|host| Ipv4Addr::from(0x0a40_0000 + host))
        .collect();
    ensure!(
        pods.len() == block.len() && addresses == block,
        "{pods:?} are not one for each of {block:?}"
    );
    let reserved = store::reservations(node).await?;
    let reserved: BTreeSet<_> = reserved
        .into_iter()
        .map(|reservation| (reservation.pod_name, reservation.address))
        .collect();
    let shown: BTreeSet<_> = pods
        .iter()
        .map(|(name, address)| (name.clone(), address.to_string()))
        .collect();
    ensure!(reserved == shown, "{shown:?} run, and reserved are {reserved:?}");
    Ok(())
}

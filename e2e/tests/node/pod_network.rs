//! What a running pod has of the network, as seen from inside.

use anyhow::Result;
use e2e::bed::Bed;
use e2e::pods;
use serde_json::{Value, json};

use crate::setting;

/// A bridge network whose addresses come of these pools. The bridge has the gateways' addresses.
pub(crate) fn bridge(name: &str, pools: &str, kind: &str) -> Value {
    json!({
        "cniVersion": "1.0.0", "name": name, "type": "bridge", "bridge": format!("{name}0"), "isGateway": true,
        "ipam": { "type": "nv-ipam", "poolName": pools, "poolType": kind },
    })
}

/// Runs `ip` in the pod.
pub(crate) async fn ip(bed: &Bed, pod: &str, words: &str) -> Result<String> {
    let words: Vec<&str> = ["exec", pod, "--", "ip"]
        .into_iter()
        .chain(words.split(' '))
        .collect();
    bed.kubectl.run(&words).await
}

/// Insists that the pod has these addresses and routes, each as `ip` prints it.
pub(crate) async fn ensure_shown(bed: &Bed, pod: &str, addresses: &[&str], routes: &[&str]) -> Result<()> {
    setting::says(&ip(bed, pod, "address show dev eth0").await?, addresses)?;
    let both = [ip(bed, pod, "route").await?, ip(bed, pod, "-6 route").await?];
    setting::says(&both.concat(), routes)
}

/// Insists that somebody answers the pod at this address.
pub(crate) async fn ensure_answers(bed: &Bed, pod: &str, address: &str) -> Result<()> {
    let ping = ["exec", pod, "--", "ping", "-c", "1", "-W", "10", address];
    bed.kubectl.run(&ping).await.map(drop)
}

/// The addresses that the API has of a pod.
pub(crate) async fn addresses(bed: &Bed, pod: &str) -> Result<Vec<String>> {
    let status = pods::api(&bed.client).get(pod).await?.status.unwrap_or_default();
    Ok(status
        .pod_ips
        .unwrap_or_default()
        .into_iter()
        .map(|address| address.ip)
        .collect())
}

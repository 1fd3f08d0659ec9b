//! Whether the API server serves a kind of pool at all. Clusters of older Go versions don't know CIDRPools: there the image
//! can be exchanged, and what they know works.

use std::time::Duration;

use kube::{Client, Resource};
use process::readiness::Gate;
use tokio::time::sleep;

use crate::call::within;
use crate::watch::Retries;

/// How long one question may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Waits while the API server says that it doesn't serve `K`, and keeps `gate` open so long: there is nothing to wait for. Any
/// other answer ends it, and so does none: what is wrong then is for the watch to find out.
pub(crate) async fn wait_until_served<K: Resource<DynamicType = ()>>(client: &Client, gate: &Gate) {
    if !is_absent::<K>(client).await {
        return;
    }
    let kind = K::plural(&());
    tracing::warn!(
        "{kind} are off: the API server doesn't serve them; apply config/crd/nv-ipam.nvidia.com.yaml to get them, it is asked again every few seconds"
    );
    gate.open();
    for pause in Retries::default() {
        sleep(pause).await;
        if !is_absent::<K>(client).await {
            break;
        }
    }
    gate.close("not yet");
    tracing::info!("{kind} are on: the API server serves them now");
}

async fn is_absent<K: Resource<DynamicType = ()>>(client: &Client) -> bool {
    let version = K::api_version(&());
    // Everybody may ask this, also who may not list the kind.
    match within(LIMIT, client.list_api_group_resources(&version)).await {
        Ok(served) => !served.resources.iter().any(|kind| kind.name == K::plural(&())),
        // Of a group that it doesn't serve at all it says so in plain text, without a reason.
        Err(error) => error.status().is_some_and(|status| status.code == 404),
    }
}

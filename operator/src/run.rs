//! The controller, put together.

use std::sync::Arc;
use std::time::Duration;

use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use api::selector::NodeLabels;
use futures::{FutureExt, StreamExt, future};
use k8s_openapi::api::core::v1::Node;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::{Api, Client};
use process::Fatal;
use process::readiness::Gate;
use process::shutdown::Shutdown;
use prometheus::Registry;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cache;
use crate::election::Timing;
use crate::election::elector::{Elector, Lost};
use crate::election::lease::{KubeLease, identity};
use crate::events;
use crate::leadership::Leadership;
use crate::metrics::Metrics;
use crate::objects::{PoolObject, node_labels};
use crate::pool::Pool;
use crate::served::wait_until_served;
use crate::status::StatusWriter;
use crate::tools::{Gates, Tools};
use crate::watch::{self, Events};
use crate::webhook::other_pools::OtherPools;
use crate::worker::Worker;

/// How long a write that is under way may go on once the process is asked to end.
const LAST_WRITE: Duration = Duration::from_millis(300);

/// What the controller is told by its flags.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the pools.
    pub pools_namespace: String,
    /// Namespace and timing of the election; `None` for no election.
    pub election: Option<(String, Timing)>,
}

/// Runs the controller until `shutdown` is requested, or until it loses its lease, which is an error.
///
/// When it returns without error, nothing of it writes any more, and the lease, if it was held, is given back.
pub async fn run(
    settings: Settings,
    client: Client,
    registry: &Registry,
    gates: Gates,
    other_pools: OtherPools,
    shutdown: Shutdown,
) -> Result<(), Fatal> {
    let metrics = Metrics::new(registry)?;
    let (recorder, poster) = events::recorder(client.clone(), events::RETRY);
    // Dropping it at any return aborts what it holds.
    let mut background = JoinSet::new();
    background.spawn(poster.run());

    let release = Shutdown::new();
    let mut election = JoinSet::<Result<(), Lost>>::new();
    let leadership = match &settings.election {
        None => Leadership::forever(),
        Some((namespace, timing)) => {
            let (terms, leadership) = Leadership::elected();
            let store = KubeLease::new(client.clone(), namespace);
            let elector = Elector::new(identity()?, *timing, store, terms);
            election.spawn(elector.run(release.clone()));
            leadership
        }
    };
    background.spawn(show_leadership(leadership.clone(), metrics.clone()));

    let tools = Tools {
        leadership,
        recorder,
        metrics: metrics.clone(),
        gates,
        other_pools,
    };
    let (telling, [for_ippools, for_cidrpools]) = watch::shared(nodes(client.clone()));
    background.spawn(telling);
    let namespace = &settings.pools_namespace;
    let workers = future::join(
        work::<IPPool>(&tools, &client, namespace, for_ippools, shutdown.clone()),
        work::<CIDRPool>(&tools, &client, namespace, for_cidrpools, shutdown.clone()),
    );
    tokio::pin!(workers);
    tokio::select! {
        _ = &mut workers => {}
        () = shutdown.requested() => {
            if !end_in_time(&mut workers).await {
                tracing::warn!("a status write was under way and is left to itself");
            }
        }
        Some(ended) = election.join_next() => return Err(match ended {
            Ok(Err(lost)) => lost.into(),
            Ok(Ok(())) => "the election ended unasked".into(),
            Err(panic) => panic.into(),
        }),
    }
    metrics.leads(false);
    release.request();
    while let Some(ended) = election.join_next().await {
        ended??;
    }
    Ok(())
}

/// Waits for `workers`, which stop by themselves, unless they wait for an answer. Whether they did.
async fn end_in_time<T>(workers: impl Future<Output = T>) -> bool {
    timeout(LAST_WRITE, workers).await.is_ok()
}

/// Works on the pools of one kind.
fn work<K: Pool>(
    tools: &Tools,
    client: &Client,
    namespace: &str,
    nodes: Events<Arc<NodeLabels>>,
    shutdown: Shutdown,
) -> impl Future<Output = ()> + use<K> {
    let writer = StatusWriter::new(client.clone(), namespace);
    let pools = pools::<K>(client.clone(), namespace, tools.gates.of_kind(K::KIND).clone());
    Worker::new(tools.clone(), writer).run(nodes, pools, shutdown)
}

fn nodes(client: Client) -> Events<Arc<NodeLabels>> {
    let nodes: Api<PartialObjectMeta<Node>> = Api::all(client);
    watch::events(
        nodes,
        "nodes",
        "see config/operator/role.yaml for the rights that are needed",
    )
    .map(|event| cache::map(event, node_labels))
    .boxed()
}

/// The pools of one kind. Readiness, which `gate` is for, doesn't wait for a kind that the API server doesn't serve: of that
/// kind there is no pool.
fn pools<K: Pool>(client: Client, namespace: &str, gate: Gate) -> Events<PoolObject<K>> {
    let pools: Api<DeserializeGuard<K>> = Api::namespaced(client.clone(), namespace);
    let once_served = async move {
        wait_until_served::<K>(&client, &gate).await;
        watch::events(
            pools,
            K::plural(&()),
            "see config/crd for the CRDs and config/operator/role.yaml for the rights that are needed",
        )
        .map(|event| cache::map(event, PoolObject::from))
    };
    once_served.flatten_stream().boxed()
}

/// Keeps the metric of leadership true.
async fn show_leadership(mut leadership: Leadership, metrics: Metrics) {
    leadership.gained().await;
    metrics.leads(true);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status;

    #[tokio::test(start_paused = true)]
    async fn what_hangs_at_the_end_is_not_waited_for_until_it_fails() {
        let hangs = tokio::time::sleep(status::LIMIT);
        assert!(!end_in_time(hangs).await);
        assert!(end_in_time(future::ready(())).await);
    }
}

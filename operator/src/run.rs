//! The controller, put together.

use std::time::Duration;

use api::ippool::IPPool;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::{Api, Client};
use process::Fatal;
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
use crate::status::StatusWriter;
use crate::tools::{Gates, Tools};
use crate::watch::{self, Events};
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
        writer: StatusWriter::new(client.clone(), &settings.pools_namespace),
        recorder,
        metrics: metrics.clone(),
        gates,
    };
    let worker = Worker::<IPPool>::new(tools).run(
        nodes(client.clone()),
        pools(Api::namespaced(client, &settings.pools_namespace)),
        shutdown.clone(),
    );
    tokio::pin!(worker);
    tokio::select! {
        () = &mut worker => {}
        () = shutdown.requested() => {
            // It stops by itself, unless it waits for an answer.
            if timeout(LAST_WRITE, &mut worker).await.is_err() {
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

fn nodes(client: Client) -> Events<api::selector::NodeLabels> {
    let nodes: Api<PartialObjectMeta<Node>> = Api::all(client);
    watch::events(
        nodes,
        "nodes",
        "see config/operator/role.yaml for the rights that are needed",
    )
    .map(|event| cache::map(event, node_labels))
    .boxed()
}

fn pools<K: Pool>(pools: Api<DeserializeGuard<K>>) -> Events<PoolObject<K>> {
    watch::events(
        pools,
        "pools",
        "see config/crd for the CRDs and config/operator/role.yaml for the rights that are needed",
    )
    .map(|event| cache::map(event, PoolObject::from))
    .boxed()
}

/// Keeps the metric of leadership true.
async fn show_leadership(mut leadership: Leadership, metrics: Metrics) {
    leadership.gained().await;
    metrics.leads(true);
}

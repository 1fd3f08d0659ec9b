//! Pods that are created together, and deleted together.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use tokio::time::{Instant, timeout};

use crate::pods;

/// How many requests for pods are under way at a time.
const IN_FLIGHT: usize = 16;
/// All of them, on a slow machine.
const LIMIT: Duration = Duration::from_secs(600);

/// What pods to make.
pub(super) struct Crowd {
    /// What their names begin with.
    pub(super) prefix: String,
    pub(super) node: String,
    pub(super) count: usize,
    /// What their addresses begin with.
    pub(super) addresses: &'static str,
}

/// How long it took.
pub(super) struct Took {
    /// From the first request until all are Running.
    pub(super) all_running: Duration,
    /// Each, from its own request on.
    pub(super) running: Vec<Duration>,
    /// From the request to delete them until none is left.
    pub(super) all_gone: Duration,
}

type Events = BoxStream<'static, watcher::Result<Event<Pod>>>;

impl Crowd {
    /// Creates them, waits until they run, deletes them, and waits until they are gone.
    pub(super) async fn measure(&self, client: &Client) -> Result<Took> {
        let mut events = watcher(pods::api(client), watcher::Config::default()).boxed();
        while !matches!(next(&mut events).await?, Event::InitDone) {}
        let began = Instant::now();
        let both = async { tokio::try_join!(self.create(client), self.running(&mut events)) };
        let (created, running) = timeout(LIMIT, both)
            .await
            .context("not all pods were Running in 10 minutes")??;
        let all_running = began.elapsed();
        let since = |(name, created): (&String, &Instant)| Some(*running.get(name)? - *created);
        let running = created.iter().filter_map(since).collect();
        let began = Instant::now();
        pods::api(client)
            .delete_collection(&DeleteParams::default(), &ListParams::default())
            .await?;
        timeout(LIMIT, self.gone(&mut events))
            .await
            .context("not all pods were gone in 10 minutes")??;
        Ok(Took {
            all_running,
            running,
            all_gone: began.elapsed(),
        })
    }

    /// When each was asked for.
    async fn create(&self, client: &Client) -> Result<BTreeMap<String, Instant>> {
        stream::iter(0..self.count)
            .map(|number| async move {
                let name = format!("{}-{number:03}", self.prefix);
                let asked = Instant::now();
                pods::create(client, &name, &self.node).await?;
                anyhow::Ok((name, asked))
            })
            .buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await
    }

    /// When each was first seen to be Running.
    async fn running(&self, events: &mut Events) -> Result<BTreeMap<String, Instant>> {
        let mut running = BTreeMap::new();
        while running.len() < self.count {
            let Event::Apply(pod) = next(events).await? else {
                continue;
            };
            let status = pod.status.as_ref();
            if status.and_then(|status| status.phase.as_deref()) != Some("Running") {
                continue;
            }
            if let Some(address) = status.and_then(|status| status.pod_ip.as_deref()) {
                ensure!(
                    address.starts_with(self.addresses),
                    "{} got {address} from another network",
                    pod.name_any()
                );
                running.entry(pod.name_any()).or_insert_with(Instant::now);
            }
        }
        Ok(running)
    }

    async fn gone(&self, events: &mut Events) -> Result<()> {
        let mut gone = 0;
        while gone < self.count {
            gone += usize::from(matches!(next(events).await?, Event::Delete(_)));
        }
        Ok(())
    }
}

async fn next(events: &mut Events) -> Result<Event<Pod>> {
    events
        .next()
        .await
        .context("the watch of pods ended")?
        .context("the watch of pods failed")
}

//! Follows the pods of this node.
//!
//! The cache tells the cleaner which reservations still have a pod, and each event is the occasion to record durably that
//! a reservation's pod was seen in the API: a pod that lives for seconds only is gone at the cleaner's next check.

use std::pin::pin;
use std::slice;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{self, ObjectRef, store};
use kube::runtime::watcher::Event;
use kube::{Api, Client, ResourceExt};

use crate::cleaner::judge::{self, Evidence};
use crate::cleaner::pod::{ApiPod, PodName, STATIC_POD_ANNOTATIONS};
use crate::refusal::Refusal;
use crate::writer::Writer;

type PodMeta = PartialObjectMeta<Pod>;

/// The pods of this node, as the last events had them.
#[derive(Clone, Debug)]
pub struct PodCache(reflector::Store<PodMeta>);

impl PodCache {
    /// Waits until all pods of this node are known. Never returns if the watch has ended before.
    pub async fn ready(&self) {
        if self.0.wait_until_ready().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The pod of that name, if this node has one.
    #[must_use]
    pub fn get(&self, name: &PodName) -> Option<ApiPod> {
        self.0
            .get(&ObjectRef::new(&name.name).within(&name.namespace))
            .map(|pod| ApiPod::of(&pod.metadata))
    }
}

/// Follows the pods of one node.
pub struct PodWatch {
    client: Client,
    node: String,
    writer: Writer,
    cache: store::Writer<PodMeta>,
}

impl PodWatch {
    /// The watch of `node`'s pods, and the cache that it fills once it runs.
    #[must_use]
    pub fn new(client: Client, node: String, writer: Writer) -> (Self, PodCache) {
        let (pods, cache) = reflector::store();
        (
            Self {
                client,
                node,
                writer,
                cache,
            },
            PodCache(pods),
        )
    }

    /// Runs until the writer has ended, which is an error.
    pub async fn run(mut self) -> Result<(), Refusal> {
        let api: Api<PodMeta> = Api::all(self.client);
        let of_this_node = Some(format!("spec.nodeName={}", self.node));
        let events = super::events(api, of_this_node, "the pods of this node");
        let mut events = pin!(events.map(|event| event.modify(slim)));
        let pods = self.cache.as_reader();
        while let Some(event) = events.next().await {
            self.cache.apply_watcher_event(&event);
            match &event {
                Event::Init | Event::InitApply(_) => {}
                Event::InitDone => {
                    let pods = pods.state();
                    record_seen(&self.writer, pods.iter().map(AsRef::as_ref)).await?;
                }
                Event::Apply(pod) | Event::Delete(pod) => {
                    record_seen(&self.writer, slice::from_ref(pod)).await?;
                }
            }
        }
        Ok(())
    }
}

/// Leaves what identifies a pod: a node's worth of whole metadata is megabytes.
fn slim(pod: &mut PodMeta) {
    pod.managed_fields_mut().clear();
    pod.labels_mut().clear();
    pod.owner_references_mut().clear();
    pod.finalizers_mut().clear();
    pod.annotations_mut()
        .retain(|key, _| STATIC_POD_ANNOTATIONS.contains(&key.as_str()));
}

/// Records which reservations are of one of `pods`. The only error is that the writer has ended: whatever else it can't
/// record now, the cleaner's next check does.
async fn record_seen<'a>(
    writer: &Writer,
    pods: impl IntoIterator<Item = &'a PodMeta>,
) -> Result<(), Refusal> {
    let evidence: Evidence = pods.into_iter().filter_map(named).collect();
    let reservations = match writer.reservations().await {
        Ok(reservations) => reservations,
        Err(Refusal::Stopping) => return Err(Refusal::Stopping),
        Err(_) => return Ok(()),
    };
    let seen = judge::newly_seen(&reservations, &evidence);
    if seen.is_empty() {
        return Ok(());
    }
    match writer.mark_seen(seen).await {
        Err(Refusal::Stopping) => Err(Refusal::Stopping),
        _ => Ok(()),
    }
}

fn named(pod: &PodMeta) -> Option<(PodName, ApiPod)> {
    let metadata = &pod.metadata;
    let name = PodName::new(metadata.namespace.as_deref()?, metadata.name.as_deref()?)?;
    Some((name, ApiPod::of(metadata)))
}

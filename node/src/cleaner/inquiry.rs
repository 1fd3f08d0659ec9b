//! Asks for the pods of reservations.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::Status;
use kube::core::response::StatusDetails;
use kube::{Api, Client};
use tokio::time;

use super::judge::{self, Evidence};
use super::pod::{ApiPod, PodName};
use crate::reservation::Reservation;
use crate::watch::pods::PodCache;

/// How long the API server may take to say whether there is a pod.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// So many pods are asked for at a time.
const AT_A_TIME: usize = 8;

/// Who knows which pods there are: the cache of this node's, and where that doesn't show the very pod, the API server, which
/// has the last word.
#[derive(Clone)]
pub struct Inquiry {
    /// For the API server.
    pub client: Client,
    /// The pods of this node.
    pub pods: PodCache,
}

/// Why it isn't known whether there is a pod.
#[derive(Debug, thiserror::Error)]
pub enum InquiryError {
    /// The API server can't be asked, or it answered an error.
    #[error("asking for pod {}/{}: {source}", pod.namespace, pod.name)]
    Api {
        /// The pod.
        pod: PodName,
        /// How it failed.
        source: kube::Error,
    },
    /// The API server is silent.
    #[error("asking for pod {}/{}: no answer in {} seconds", .0.namespace, .0.name, ANSWER_TIMEOUT.as_secs())]
    NoAnswer(PodName),
    /// What came is neither that pod nor that it isn't there.
    #[error("asking for pod {}/{}: the answer is something else", .0.namespace, .0.name)]
    Nonsense(PodName),
}

impl Inquiry {
    /// All pods of `reservations` that there are, or nothing.
    pub async fn gather(&self, reservations: &[Arc<Reservation>]) -> Result<Evidence, InquiryError> {
        let mut evidence = Evidence::default();
        // Pod by pod, each looked up once, and without a copy of every name: there can be many.
        let mut by_pod: Vec<&Reservation> = reservations.iter().map(AsRef::as_ref).collect();
        by_pod.sort_unstable_by(|a, b| pod_of(a).cmp(&pod_of(b)));
        let mut missing = Vec::new();
        for of_one in by_pod.chunk_by(|a, b| pod_of(a) == pod_of(b)) {
            let Some(name) = judge::pod_name(of_one[0]) else {
                continue;
            };
            let pod = self.pods.get(&name);
            if !pod
                .as_ref()
                .is_some_and(|pod| of_one.iter().all(|r| pod.is_of(r)))
            {
                missing.push(of_one[0]);
            }
            if let Some(pod) = pod {
                evidence.add(name, pod);
            }
        }
        let missing = missing.into_iter().filter_map(judge::pod_name);
        let mut answers = stream::iter(missing)
            .map(|name| self.ask(name))
            .buffer_unordered(AT_A_TIME);
        while let Some((name, pod)) = answers.try_next().await? {
            if let Some(pod) = pod {
                evidence.add(name, pod);
            }
        }
        Ok(evidence)
    }

    async fn ask(&self, name: PodName) -> Result<(PodName, Option<ApiPod>), InquiryError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &name.namespace);
        let pod = match time::timeout(ANSWER_TIMEOUT, pods.get_metadata(&name.name)).await {
            Ok(Ok(pod)) if is_presence(&pod.metadata, &name) => Some(ApiPod::of(&pod.metadata)),
            Ok(Ok(_)) => return Err(InquiryError::Nonsense(name)),
            Ok(Err(kube::Error::Api(status))) if is_absence(&status, &name) => None,
            Ok(Err(source)) => return Err(InquiryError::Api { pod: name, source }),
            Err(_) => return Err(InquiryError::NoAnswer(name)),
        };
        Ok((name, pod))
    }
}

fn pod_of(reservation: &Reservation) -> (&str, &str) {
    (&reservation.pod.namespace, &reservation.pod.name)
}

impl InquiryError {
    /// Whether it is only that the API server can't be reached, which [`crate::watch::api_server`] says for all.
    pub(super) fn is_said_elsewhere(&self) -> bool {
        matches!(self, Self::Api { source, .. } if !matches!(source, kube::Error::Api(_) | kube::Error::SerdeError(_)))
    }
}

/// Whether what came is a pod of that name.
fn is_presence(metadata: &ObjectMeta, pod: &PodName) -> bool {
    metadata.name.as_ref() == Some(&pod.name) && metadata.uid.is_some()
}

/// Whether the API server says that there is no such pod. A path that it doesn't know (yet) is "not found" too, and so is
/// anything to a proxy on the way: that must not cost a pod its address.
fn is_absence(status: &Status, pod: &PodName) -> bool {
    let names_the_pod = |details: &StatusDetails| details.kind == "pods" && details.name == pod.name;
    status.code == 404 && status.reason == "NotFound" && status.details.as_ref().is_some_and(names_the_pod)
}

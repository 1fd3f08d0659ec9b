//! Releases the addresses of pods that are gone without a DEL.

pub mod judge;
pub mod pod;

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::Status;
use kube::core::response::StatusDetails;
use kube::{Api, Client};
use prometheus::IntCounter;
use tokio::time;

use crate::refusal::Refusal;
use crate::reservation::Reservation;
use crate::watch::pods::PodCache;
use crate::writer::Writer;
use judge::{Evidence, Judge};
use pod::{ApiPod, PodName};

/// How long the API server may take to say whether there is a pod.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How often and how patiently the cleaner checks.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the end of a check to the next one.
    pub interval: Duration,
    /// At how many checks in a row a pod may be missing.
    pub allowed_misses: u32,
}

impl Default for Pace {
    /// As the Go version: an address is free three to four minutes after its pod has vanished.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            allowed_misses: judge::ALLOWED_MISSES,
        }
    }
}

/// Checks the reservations of one node.
pub struct Cleaner {
    /// For the API server.
    pub client: Client,
    /// The pods of this node.
    pub pods: PodCache,
    /// Has the reservations.
    pub writer: Writer,
    /// The boot that runs now.
    pub boot_id: String,
    /// When to check.
    pub pace: Pace,
    /// Counts what is released.
    pub released: IntCounter,
}

/// Why a check came to no verdict.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(transparent)]
    Writer(#[from] Refusal),
    #[error("asking for pod {}/{}: {source}", pod.namespace, pod.name)]
    Api { pod: PodName, source: kube::Error },
    #[error("asking for pod {}/{}: no answer in {} seconds", .0.namespace, .0.name, ANSWER_TIMEOUT.as_secs())]
    NoAnswer(PodName),
    #[error("asking for pod {}/{}: the answer is something else", .0.namespace, .0.name)]
    Nonsense(PodName),
}

impl CheckError {
    /// Whether it is only that the API server can't be reached, which [`crate::watch::api_server`] says for all.
    fn is_said_elsewhere(&self) -> bool {
        matches!(self, Self::Api { source, .. } if !matches!(source, kube::Error::Api(_) | kube::Error::SerdeError(_)))
    }
}

impl Cleaner {
    /// Runs until the writer has ended, which is an error. The first check comes when the pods of this node are known.
    pub async fn run(self) -> Result<(), Refusal> {
        self.pods.ready().await;
        let mut judge = Judge::new(self.boot_id.clone(), self.pace.allowed_misses);
        let mut is_failing = false;
        loop {
            match self.check(&mut judge).await {
                Ok(()) => is_failing = false,
                Err(CheckError::Writer(Refusal::Stopping)) => return Err(Refusal::Stopping),
                Err(error) if error.is_said_elsewhere() => {}
                Err(error) => {
                    if !is_failing {
                        tracing::warn!(
                            "can't check whether pods are gone, so their addresses stay reserved: {error}"
                        );
                    }
                    is_failing = true;
                }
            }
            time::sleep(self.pace.interval).await;
        }
    }

    /// One check. When anything can't be asked it leaves everything as it was, what the judge remembers too.
    async fn check(&self, judge: &mut Judge) -> Result<(), CheckError> {
        let reservations = self.writer.reservations().await?;
        let evidence = self.gather(&reservations).await?;
        let seen = judge::newly_seen(&reservations, &evidence);
        if !seen.is_empty() {
            // A full disk refuses it, and must not end the releasing that needs no room. What isn't recorded now is tried
            // again at the next check; this one has the evidence itself.
            if let Err(Refusal::Stopping) = self.writer.mark_seen(seen).await {
                return Err(Refusal::Stopping.into());
            }
        }
        let verdicts = judge.check(&reservations, &evidence);
        for reservation in verdicts.unexplained {
            report(reservation);
        }
        if verdicts.gone.is_empty() {
            return Ok(());
        }
        let rows = verdicts.gone.iter().map(|reservation| reservation.id).collect();
        let released = self.writer.release(rows).await?;
        self.released.inc_by(released as u64);
        for reservation in verdicts.gone {
            log_release(reservation);
        }
        Ok(())
    }

    /// The pods of `reservations`: from the cache, and where that doesn't show the very pod, from the API server, which
    /// has the last word.
    async fn gather(&self, reservations: &[Reservation]) -> Result<Evidence, CheckError> {
        let mut evidence: Evidence = reservations
            .iter()
            .filter_map(judge::pod_name)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .filter_map(|name| self.pods.get(&name).map(|pod| (name, pod)))
            .collect();
        let missing: BTreeSet<PodName> = reservations
            .iter()
            .filter(|reservation| !evidence.has_pod_of(reservation))
            .filter_map(judge::pod_name)
            .collect();
        for name in missing {
            if let Some(pod) = self.ask(&name).await? {
                evidence.add(name, pod);
            }
        }
        Ok(evidence)
    }

    async fn ask(&self, name: &PodName) -> Result<Option<ApiPod>, CheckError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &name.namespace);
        match time::timeout(ANSWER_TIMEOUT, pods.get_metadata(&name.name)).await {
            Ok(Ok(pod)) if is_presence(&pod.metadata, name) => Ok(Some(ApiPod::of(&pod.metadata))),
            Ok(Ok(_)) => Err(CheckError::Nonsense(name.clone())),
            Ok(Err(kube::Error::Api(status))) if is_absence(&status, name) => Ok(None),
            Ok(Err(source)) => Err(CheckError::Api {
                pod: name.clone(),
                source,
            }),
            Err(_) => Err(CheckError::NoAnswer(name.clone())),
        }
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

fn report(reservation: &Reservation) {
    tracing::warn!(
        pool = %reservation.pool,
        address = %reservation.address,
        pod = format_args!("{}/{}", reservation.pod.namespace, reservation.pod.name),
        pod_uid = reservation.pod.uid,
        container = reservation.owner.container,
        interface = reservation.owner.interface,
        created = reservation.created,
        "an address is reserved for a pod that the API server never had; it stays reserved until its DEL comes or the \
         machine restarts, as a container may be using it"
    );
}

fn log_release(reservation: &Reservation) {
    tracing::info!(
        pool = %reservation.pool,
        address = %reservation.address,
        pod = format_args!("{}/{}", reservation.pod.namespace, reservation.pod.name),
        pod_uid = reservation.pod.uid,
        container = reservation.owner.container,
        interface = reservation.owner.interface,
        "released: the pod is gone and no DEL came for it"
    );
}

//! Which pod of the API a reservation is for.

use api::validate::is_dns_subdomain;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::reservation::Reservation;

/// Where a mirror pod says which static pod it stands for. The kubelet passes the static pod's own UID to plugins, which
/// the API server never sees but here.
pub(crate) const STATIC_POD_ANNOTATIONS: [&str; 2] =
    ["kubernetes.io/config.hash", "kubernetes.io/config.mirror"];

/// A name that a pod in the API can have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodName {
    /// Its namespace.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

impl PodName {
    /// `None` if no pod can have that name: nobody needs to ask for it, and it must not get into the path of a request.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Option<Self> {
        let possible = is_dns_subdomain(namespace) && !namespace.contains('.') && is_dns_subdomain(name);
        possible.then(|| Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// What identifies a pod in the API: its UID, and for a mirror pod the UIDs of the static pod that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiPod(Vec<String>);

impl ApiPod {
    /// The identity of the pod with this metadata.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Self {
        let annotations = metadata.annotations.as_ref();
        let static_pod = STATIC_POD_ANNOTATIONS
            .iter()
            .filter_map(|key| annotations?.get(*key));
        Self(metadata.uid.iter().chain(static_pod).cloned().collect())
    }

    /// Whether `reservation`, made for a pod of this name, is for this very pod. One that was made without a UID can only
    /// be told by the name.
    #[must_use]
    pub fn is_of(&self, reservation: &Reservation) -> bool {
        reservation.pod.uid.is_empty() || self.0.contains(&reservation.pod.uid)
    }
}

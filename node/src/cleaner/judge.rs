//! Which reservations have outlived their pod (contract B.10 with its decisions). Pure.
//!
//! The whole rule: a reservation is released when its pod was not in the API at several checks in a row, and it is certain
//! that the pod had been there, or that the container ended with an earlier boot of this machine. Doubt never releases:
//! a check that could not ask everything it had to ask must not be put before the judge.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use super::pod::{ApiPod, PodName};
use crate::reservation::{Reservation, RowId};

/// At how many checks in a row a pod may be missing before its reservations go: released at the next.
pub const ALLOWED_MISSES: u32 = 3;

/// Pods that are in the API. A name may have several: what the cache had, and what the API server said a moment later.
#[derive(Clone, Debug, Default)]
pub struct Evidence(BTreeMap<PodName, Vec<ApiPod>>);

impl Evidence {
    /// Adds a pod that is in the API.
    pub fn add(&mut self, name: PodName, pod: ApiPod) {
        self.0.entry(name).or_default().push(pod);
    }

    /// Whether the very pod of `reservation` is among them.
    #[must_use]
    pub fn has_pod_of(&self, reservation: &Reservation) -> bool {
        let pods = pod_name(reservation).and_then(|name| self.0.get(&name));
        pods.is_some_and(|pods| pods.iter().any(|pod| pod.is_of(reservation)))
    }
}

impl FromIterator<(PodName, ApiPod)> for Evidence {
    fn from_iter<I: IntoIterator<Item = (PodName, ApiPod)>>(pods: I) -> Self {
        let mut evidence = Self::default();
        for (name, pod) in pods {
            evidence.add(name, pod);
        }
        evidence
    }
}

/// The name to ask the API server for. `None` if no pod can have the name that `reservation` was made with.
#[must_use]
pub fn pod_name(reservation: &Reservation) -> Option<PodName> {
    PodName::new(&reservation.pod.namespace, &reservation.pod.name)
}

/// Reservations of pods in `evidence` for which that isn't recorded yet.
#[must_use]
pub fn newly_seen(reservations: &[impl Borrow<Reservation>], evidence: &Evidence) -> Vec<RowId> {
    reservations
        .iter()
        .map(Borrow::borrow)
        .filter(|reservation: &&Reservation| !reservation.pod_seen && evidence.has_pod_of(reservation))
        .map(|reservation| reservation.id)
        .collect()
}

/// Reservations whose pods are not in `evidence`, which holds every pod of theirs that is in the API.
#[must_use]
pub fn without_pod(reservations: &[impl Borrow<Reservation>], evidence: &Evidence) -> Vec<RowId> {
    reservations
        .iter()
        .map(Borrow::borrow)
        .filter(|reservation: &&Reservation| !evidence.has_pod_of(reservation))
        .map(|reservation| reservation.id)
        .collect()
}

/// What a check says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdicts<'a> {
    /// To release: their pods are gone.
    pub gone: Vec<&'a Reservation>,
    /// To report: there is no pod of theirs and never was one that we know of, but a container may be using the address.
    pub unexplained: Vec<&'a Reservation>,
}

/// Remembers between checks for how long pods have been missing.
#[derive(Debug)]
pub struct Judge {
    boot_id: String,
    allowed_misses: u32,
    /// Misses in a row. A row's number is never used again, so a later reservation begins anew.
    misses: BTreeMap<RowId, u32>,
}

impl Judge {
    /// A judge that has seen no check yet, in the boot `boot_id`.
    #[must_use]
    pub fn new(boot_id: String, allowed_misses: u32) -> Self {
        Self {
            boot_id,
            allowed_misses,
            misses: BTreeMap::new(),
        }
    }

    /// Judges all `reservations` that there are. `evidence` holds every pod of theirs that is in the API.
    ///
    /// Reservations without a pod's name and namespace are not judged. Pods that have ended count while they are in the
    /// API. What is unexplained is reported once.
    pub fn check<'a>(
        &mut self,
        reservations: &'a [impl Borrow<Reservation>],
        evidence: &Evidence,
    ) -> Verdicts<'a> {
        let mut verdicts = Verdicts::default();
        let mut misses = BTreeMap::new();
        for reservation in reservations.iter().map(Borrow::<Reservation>::borrow) {
            let pod = &reservation.pod;
            if pod.name.is_empty() || pod.namespace.is_empty() || evidence.has_pod_of(reservation) {
                continue;
            }
            let count = self
                .misses
                .get(&reservation.id)
                .copied()
                .unwrap_or(0)
                .saturating_add(1);
            misses.insert(reservation.id, count);
            if count <= self.allowed_misses {
                continue;
            }
            if self.outlived_its_pod(reservation) {
                verdicts.gone.push(reservation);
            } else if count == self.allowed_misses + 1 {
                verdicts.unexplained.push(reservation);
            }
        }
        self.misses = misses;
        verdicts
    }

    /// Whether a pod that is missing was there before, or the container ended with an earlier boot. Then the address is
    /// released, as by the Go version (contract B.10). That proves of the second only that no container uses it: a pod
    /// that was deleted by force may be gone while its container can't be killed. Of a pod that was never in the API
    /// (made by hand, by a DRA driver, under another name) its absence says nothing. A reservation that doesn't say its
    /// boot may be of this one.
    fn outlived_its_pod(&self, reservation: &Reservation) -> bool {
        let boot_id = &reservation.made.boot_id;
        reservation.pod_seen || (!boot_id.is_empty() && **boot_id != *self.boot_id)
    }
}

#[cfg(test)]
mod tests;

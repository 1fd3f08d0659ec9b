//! What is said of reservations without a pod.

use crate::reservation::Reservation;

/// It was released, because of `why`.
pub(crate) fn released(reservation: &Reservation, why: &str) {
    tracing::info!(
        pool = %reservation.pool,
        address = %reservation.address,
        pod = format_args!("{}/{}", reservation.pod.namespace, reservation.pod.name),
        pod_uid = reservation.pod.uid,
        container = reservation.owner.container,
        interface = reservation.owner.interface,
        network = reservation.network,
        created = reservation.created,
        "released: {why}"
    );
}

/// It stays.
pub(super) fn unexplained(reservation: &Reservation) {
    tracing::warn!(
        pool = %reservation.pool,
        address = %reservation.address,
        pod = format_args!("{}/{}", reservation.pod.namespace, reservation.pod.name),
        pod_uid = reservation.pod.uid,
        container = reservation.owner.container,
        interface = reservation.owner.interface,
        network = reservation.network,
        created = reservation.created,
        "an address is reserved for a pod that the API server never had; it stays reserved until its DEL or its network's \
         GC comes or the machine restarts, as a container may be using it"
    );
}

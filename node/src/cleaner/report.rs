//! What is said of reservations without a pod.

use crate::reservation::Reservation;

/// Logs what `$text` says of a reservation, with all that tells which one it is. A macro, because an event's level is a constant.
macro_rules! say {
    ($level:ident, $reservation:expr, $($text:tt)+) => {
        tracing::$level!(
            pool = %$reservation.pool,
            address = %$reservation.address,
            pod = format_args!("{}/{}", $reservation.pod.namespace, $reservation.pod.name),
            pod_uid = $reservation.pod.uid,
            container = $reservation.owner.container,
            interface = &*$reservation.owner.interface,
            network = &*$reservation.network,
            $($text)+
        )
    };
}

/// It was released, because of `why`.
pub(crate) fn released(reservation: &Reservation, why: &str) {
    say!(info, reservation, "released: {why}");
}

/// It stays.
pub(super) fn unexplained(reservation: &Reservation) {
    say!(warn, reservation, "{}", why_it_stays(reservation));
}

fn why_it_stays(reservation: &Reservation) -> String {
    // Without a network, as of one that was taken over from the Go version, no GC can mean it.
    let garbage_collection = if reservation.network.is_empty() {
        ""
    } else {
        ", its network's GC"
    };
    format!(
        "an address is reserved for a pod that is not in the API and that this daemon never saw there; a container may be \
         using it, so it stays reserved until its DEL{garbage_collection} or a restart of the machine; if nothing uses it: \
         ipam-node store release --pool {} --address {}",
        reservation.pool, reservation.address
    )
}

#[cfg(test)]
mod tests {
    use api::pool_key::{PoolKey, PoolKind};
    use api::range::Family;

    use super::*;
    use crate::ledger::testing;

    #[test]
    fn who_reads_that_an_address_stays_can_release_it_and_knows_what_else_would() {
        let pool = PoolKey::new(PoolKind::CidrPool, "rail");
        let mut reservation = testing::reservation(1, &pool, Family::V4, 0x0a00_0007, testing::owner("c"));
        let text = why_it_stays(&reservation);
        assert!(
            text.contains("until its DEL, its network's GC or a restart"),
            "{text}"
        );
        assert!(
            text.ends_with("ipam-node store release --pool cidrpool/rail --address 10.0.0.7"),
            "{text}"
        );
        reservation.network = "".into();
        let text = why_it_stays(&reservation);
        assert!(text.contains("until its DEL or a restart"), "{text}");
    }
}

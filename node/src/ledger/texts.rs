//! Texts that many reservations have alike.

use std::collections::HashSet;
use std::sync::Arc;

use crate::reservation::Reservation;

/// Each text, in memory once.
#[derive(Debug, Default)]
pub(super) struct Texts(HashSet<Arc<str>>);

impl Texts {
    /// Makes `reservation`, one of `count`, share its texts with the others.
    pub(super) fn share(&mut self, reservation: &mut Reservation, count: usize) {
        // What is shared by nobody any more goes, at a cost that is small for each.
        if self.0.len() > 2 * count + 100 {
            self.0.retain(|text| Arc::strong_count(text) > 1);
        }
        for text in [
            &mut reservation.owner.interface,
            &mut reservation.pod.namespace,
            &mut reservation.network,
            &mut reservation.made.boot_id,
        ] {
            if let Some(known) = self.0.get(text) {
                *text = known.clone();
            } else {
                self.0.insert(text.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use api::pool_key::{PoolKey, PoolKind};
    use api::range::Family;

    use super::*;
    use crate::ledger::testing::{owner, reservation};

    fn made(id: i64, network: &str) -> Reservation {
        let pool = PoolKey::new(PoolKind::IpPool, "p");
        let mut reservation = reservation(id, &pool, Family::V4, 1, owner("c"));
        reservation.network = network.into();
        reservation
    }

    #[test]
    fn equal_texts_are_one() {
        let mut texts = Texts::default();
        let (mut first, mut second) = (made(1, "net"), made(2, "net"));
        texts.share(&mut first, 0);
        texts.share(&mut second, 1);
        assert_eq!(second.network, made(2, "net").network);
        assert!(Arc::ptr_eq(&first.network, &second.network));
        assert!(Arc::ptr_eq(&first.made.boot_id, &second.made.boot_id));
    }

    #[test]
    fn what_nobody_has_any_more_is_forgotten() {
        let mut texts = Texts::default();
        let mut held = made(0, "held");
        texts.share(&mut held, 0);
        for id in 1..10_000 {
            texts.share(&mut made(id, &format!("net-{id}")), 1);
            assert!(texts.0.len() < 120, "{}", texts.0.len());
        }
        assert!(texts.0.contains("held"));
    }
}

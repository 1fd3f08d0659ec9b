//! What a CNI GC may release. Pure.
//!
//! The whole rule: a reservation goes if its network's own GC asks, the runtime doesn't list its interface as alive, it was
//! committed before the plugin began, and its pod is not in the API. The runtime's list is older than the plugin, so what is
//! reserved while a GC is under way is in no list and alive all the same; and a main plugin that passes a GC on may know a part
//! of the attachments only. So the list alone never releases.

use std::collections::HashSet;

use rpc::journal::Stamp;
use rpc::v1::CollectGarbageRequest;

use crate::refusal::Refusal;
use crate::reservation::{Owner, Reservation, RowId};

/// A GC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GarbageCall {
    /// The CNI network that asks; never empty.
    pub network: String,
    /// What its runtime has.
    pub live: HashSet<Owner>,
    /// When the plugin began.
    pub began: Stamp,
}

impl GarbageCall {
    /// The call in `request`. One that doesn't say clearly what it is about is refused: doubt never releases.
    pub fn parse(request: CollectGarbageRequest) -> Result<Self, Refusal> {
        let required = |field: &str| Refusal::Invalid(format!("{field} is required field"));
        if request.network_name.is_empty() {
            return Err(required("network_name"));
        }
        let began = request.began.filter(|stamp| !stamp.boot_id.is_empty());
        let began = began.ok_or_else(|| required("began"))?;
        let owner = |(i, attachment): (usize, rpc::v1::Attachment)| {
            if attachment.cni_containerid.is_empty() {
                return Err(required(&format!("live[{i}].cni_containerid")));
            }
            if attachment.cni_ifname.is_empty() {
                return Err(required(&format!("live[{i}].cni_ifname")));
            }
            Ok(Owner {
                container: attachment.cni_containerid,
                interface: attachment.cni_ifname.into(),
            })
        };
        Ok(Self {
            network: request.network_name,
            live: request
                .live
                .into_iter()
                .enumerate()
                .map(owner)
                .collect::<Result<_, _>>()?,
            began,
        })
    }

    /// Whether `reservation` goes unless its pod is there. `newest` is the newest row that was certainly committed before
    /// [`GarbageCall::began`].
    #[must_use]
    pub fn covers(&self, reservation: &Reservation, newest: RowId) -> bool {
        *reservation.network == *self.network
            && reservation.id <= newest
            && !self.live.contains(&reservation.owner)
    }
}

#[cfg(test)]
mod tests {
    use api::range::Family;
    use rpc::v1::Attachment;

    use super::*;
    use crate::ledger::testing::{key, owner, reservation};

    fn request() -> CollectGarbageRequest {
        CollectGarbageRequest {
            network_name: "mynet".to_owned(),
            live: vec![Attachment {
                cni_containerid: "alive".to_owned(),
                cni_ifname: "net1".to_owned(),
            }],
            began: Some(Stamp {
                boot_id: "boot".to_owned(),
                boottime_ns: 7,
            }),
        }
    }

    #[test]
    fn only_what_the_network_itself_reserved_before_and_does_not_list_is_covered() {
        let call = GarbageCall::parse(request()).unwrap();
        let covers = |id, container: &str, network: &str| {
            let mut row = reservation(id, &key("p"), Family::V4, 1, owner(container));
            row.network = network.into();
            call.covers(&row, RowId(7))
        };
        assert!(covers(7, "dead", "mynet"));
        assert!(!covers(7, "alive", "mynet"));
        assert!(!covers(8, "dead", "mynet"), "committed later");
        assert!(!covers(7, "dead", "other"));
        assert!(!covers(7, "dead", ""), "nobody knows whose it is");
        let mut other_interface = reservation(7, &key("p"), Family::V4, 1, owner("alive"));
        other_interface.owner.interface = "net2".into();
        assert!(call.covers(&other_interface, RowId(7)));
    }

    #[test]
    fn a_call_that_is_not_clear_is_refused() {
        type Break = fn(&mut CollectGarbageRequest);
        let breaks: [(&str, Break); 5] = [
            ("network_name", |r| r.network_name.clear()),
            ("began", |r| r.began = None),
            ("began", |r| r.began = Some(Stamp::default())),
            ("live[0].cni_containerid", |r| r.live[0].cni_containerid.clear()),
            ("live[0].cni_ifname", |r| r.live[0].cni_ifname.clear()),
        ];
        for (field, apply) in breaks {
            let mut request = request();
            apply(&mut request);
            let refusal = GarbageCall::parse(request).unwrap_err();
            assert_eq!(refusal, Refusal::Invalid(format!("{field} is required field")));
        }
    }
}

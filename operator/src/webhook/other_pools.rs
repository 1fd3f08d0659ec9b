//! The networks of all pools, as the controller's watches know them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use api::pool_key::PoolKind;
use api::warnings;
use ipnet::IpNet;

/// The networks of the pools that are known, shared by whoever learns of pools and whoever judges one.
///
/// It may know less than there is, above all in the beginning: then less is warned of.
#[derive(Clone, Debug, Default)]
pub struct OtherPools(Arc<Mutex<BTreeMap<(PoolKind, String), IpNet>>>);

impl OtherPools {
    /// None known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The pool's network is `net`; `None` if it has none that can be read, or is no more.
    pub fn set(&self, kind: PoolKind, name: &str, net: Option<IpNet>) {
        let mut nets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (kind, name.to_owned());
        match net {
            Some(net) => nets.insert(key, net),
            None => nets.remove(&key),
        };
    }

    /// A warning, if the network of this pool, which stands in `field`, overlaps those of others.
    #[must_use]
    pub fn warning(&self, kind: PoolKind, name: &str, field: &str, net: &IpNet) -> Option<String> {
        let nets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let others = nets
            .iter()
            .filter(|((other_kind, other_name), _)| (*other_kind, other_name.as_str()) != (kind, name))
            .map(|((kind, name), net)| (*kind, name.as_str(), *net));
        warnings::overlaps(field, net, others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_none_of_the_others_to_itself_and_one_to_that_of_the_other_kind() {
        let other_pools = OtherPools::new();
        let net: IpNet = "10.0.0.0/16".parse().unwrap();
        let warning = |kind| other_pools.warning(kind, "pool1", "spec.subnet", &net);
        assert_eq!(warning(PoolKind::IpPool), None);
        other_pools.set(PoolKind::IpPool, "pool1", Some(net));
        assert_eq!(warning(PoolKind::IpPool), None);
        assert!(
            warning(PoolKind::CidrPool)
                .unwrap()
                .contains("ippool/pool1 (10.0.0.0/16)")
        );
        other_pools.set(PoolKind::IpPool, "pool1", None);
        assert_eq!(warning(PoolKind::CidrPool), None);
    }
}

//! Reservations: one address, held by one interface of one container.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use api::pool_key::PoolKey;
use ipnet::IpNet;
use rpc::journal::Stamp;

/// Which row of the store a reservation is. Never used again after its release, so who judges a reservation by what he
/// looked up meanwhile can't release its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(pub i64);

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who holds an address: an interface of a container. In each pool it holds one at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// CNI_CONTAINERID.
    pub container: String,
    /// CNI_IFNAME.
    pub interface: Arc<str>,
}

/// The pod that an address is for, as the plugin was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Empty where the runtime doesn't pass it.
    pub uid: String,
    /// Name of the pod.
    pub name: String,
    /// Its namespace.
    pub namespace: Arc<str>,
}

/// When a reservation was made: a [`Stamp`] to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The boot's id. Empty where it isn't known.
    pub boot_id: Arc<str>,
    /// See [`Stamp::boottime_ns`].
    pub boottime_ns: u64,
}

impl Made {
    /// Whether it certainly lies before `moment`, see [`Stamp::is_after`].
    #[must_use]
    pub fn is_before(&self, moment: &Stamp, current_boot_id: &str) -> bool {
        moment.is_after(&self.boot_id, self.boottime_ns, current_boot_id)
    }
}

impl From<&Stamp> for Made {
    fn from(stamp: &Stamp) -> Self {
        Self {
            boot_id: stamp.boot_id.as_str().into(),
            boottime_ns: stamp.boottime_ns,
        }
    }
}

/// One address, reserved. What nothing is decided by is in the store only. Texts that many have alike can be shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Its row in the store.
    pub id: RowId,
    /// The pool that the address was taken from.
    pub pool: PoolKey,
    /// The address.
    pub address: IpAddr,
    /// Who holds it.
    pub owner: Owner,
    /// The pod it is for; its fields may be empty in reservations of other programs.
    pub pod: Pod,
    /// The CNI network that asked for it; empty if the plugin didn't say.
    pub network: Arc<str>,
    /// When it was made, on the clock that orders it against DELs: not after its commit.
    pub made: Made,
    /// Whether its pod was ever seen in the API.
    pub pod_seen: bool,
}

/// What an ADD gets from one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The pool.
    pub pool: PoolKey,
    /// The address, with the prefix length of the pool's subnet.
    pub address: IpNet,
    /// The gateway to use, if any.
    pub gateway: Option<IpAddr>,
    /// Destinations behind the gateway: the default route first, then by address and mask, each once. Empty without a
    /// gateway.
    pub routes: Vec<IpNet>,
}

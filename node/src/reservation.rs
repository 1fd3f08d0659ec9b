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
    pub interface: String,
}

/// The pod that an address is for, as the plugin was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Empty where the runtime doesn't pass it.
    pub uid: String,
    /// Name of the pod.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

/// When a reservation was made: a [`Stamp`], of which a node keeps many. Those of one boot can share its id.
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

/// One address, reserved.
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
    /// PCI address of the device that the interface uses; may be empty.
    pub device_id: String,
    /// The CNI network that asked for it; empty if the plugin didn't say.
    pub network: String,
    /// When it was made, RFC 3339 with nanoseconds. For people and for export; nothing here is decided by it.
    pub created: String,
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

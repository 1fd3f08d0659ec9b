//! The DEL journal: how a DEL survives a daemon that does not answer.
//!
//! When the daemon gives no answer, the plugin writes the request as one file into the folder [`FOLDER`] beside the
//! daemon's unix socket, durably, and reports success to the runtime. The daemon watches the folder and applies what it
//! finds before it serves anything else. Without this, a pod stays Terminating for as long as its node's daemon is away.
//!
//! An entry carries the moment at which its DEL began. It releases only reservations that were committed before that
//! moment: a runtime may ADD the same container and interface again after the DEL, and that reservation must stand.
//! Moments are compared on one boot's monotonic clock (`CLOCK_BOOTTIME`), which no time adjustment moves; everything
//! from an earlier boot lies before everything of this one.

use serde::{Deserialize, Serialize};

use crate::v1::{IpamParameters, PoolType};

pub use crate::v1::Stamp;

/// The journal's folder, beside the daemon's unix socket.
pub const FOLDER: &str = "released";

/// File names of complete entries end in this. Anything else in the folder is an unfinished write: it was never
/// answered for, and can be removed once its writer is gone.
pub const SUFFIX: &str = ".json";

impl Stamp {
    /// The file from which the kernel says which boot this is.
    pub const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

    /// The moment `seconds` and `nanoseconds` of `CLOCK_BOOTTIME`, in the boot whose file [`Stamp::BOOT_ID`] reads
    /// `boot_id`. That clock is never negative, and fits for 584 years.
    #[must_use]
    pub fn at(boot_id: &str, seconds: i64, nanoseconds: i64) -> Self {
        let seconds = u64::try_from(seconds).unwrap_or_default();
        let nanoseconds = u64::try_from(nanoseconds).unwrap_or_default();
        Self {
            boot_id: boot_id.trim().to_owned(),
            boottime_ns: seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds),
        }
    }

    /// Whether the moment `boottime_ns` of the boot `boot_id` certainly lies before `self`, both seen from the boot in
    /// which `self` was made or a later one.
    ///
    /// A moment of another boot lies before: the journal is drained in the boot that wrote it or a later one, so a
    /// reservation that an entry meets is of the entry's boot, or older, or (`current`) of the boot that drains.
    #[must_use]
    pub fn is_after(&self, boot_id: &str, boottime_ns: u64, current_boot_id: &str) -> bool {
        if boot_id == self.boot_id {
            boottime_ns < self.boottime_ns
        } else {
            boot_id != current_boot_id
        }
    }
}

/// One DEL that got no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When the DEL began.
    pub stamp: Stamp,
    /// The CNI network that makes the call; it may be empty.
    pub network_name: String,
    /// Pools that the network configuration names; it may be empty.
    pub pools: Vec<String>,
    /// `ippool` or `cidrpool`: the type of all of `pools`.
    pub pool_type: EntryPoolType,
    /// CNI_CONTAINERID; never empty.
    pub container_id: String,
    /// CNI_IFNAME; never empty.
    pub interface_name: String,
}

/// The type of the pools that an [`Entry`] names, as the CNI configuration spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryPoolType {
    /// The pools are IPPools.
    IpPool,
    /// The pools are CIDRPools.
    CidrPool,
}

/// Why a journal entry can't be used.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Not JSON, or not of this shape.
    #[error("not a journal entry: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It doesn't say whose reservation to release.
    #[error("a journal entry without container ID or interface name")]
    Incomplete,
}

impl Entry {
    /// The request `parameters`, as a DEL that began at `stamp`.
    #[must_use]
    pub fn new(stamp: Stamp, parameters: &IpamParameters) -> Self {
        Self {
            stamp,
            network_name: parameters.network_name.clone(),
            pools: parameters.pools.clone(),
            pool_type: match parameters.pool_type() {
                PoolType::Cidrpool => EntryPoolType::CidrPool,
                PoolType::Unspecified | PoolType::Ippool => EntryPoolType::IpPool,
            },
            container_id: parameters.cni_containerid.clone(),
            interface_name: parameters.cni_ifname.clone(),
        }
    }

    /// The bytes of the entry's file.
    pub fn encode(&self) -> Result<Vec<u8>, EntryError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Reads what [`Entry::encode`] wrote. Unknown fields are ignored: a newer plugin may write more.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let entry: Self = serde_json::from_slice(bytes)?;
        if entry.container_id.is_empty() || entry.interface_name.is_empty() {
            return Err(EntryError::Incomplete);
        }
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(boot_id: &str, boottime_ns: u64) -> Stamp {
        Stamp {
            boot_id: boot_id.to_owned(),
            boottime_ns,
        }
    }

    fn entry() -> Entry {
        Entry::new(
            stamp("a", 7),
            &IpamParameters {
                pools: vec!["rail".to_owned()],
                cni_containerid: "c1".to_owned(),
                cni_ifname: "net1".to_owned(),
                pool_type: PoolType::Cidrpool.into(),
                network_name: "mynet".to_owned(),
                ..IpamParameters::default()
            },
        )
    }

    #[test]
    fn an_entry_survives_its_file() {
        assert_eq!(Entry::decode(&entry().encode().unwrap()).unwrap(), entry());
    }

    #[test]
    fn the_file_is_stable_across_releases() {
        assert_eq!(
            String::from_utf8(entry().encode().unwrap()).unwrap(),
            r#"{"stamp":{"boot_id":"a","boottime_ns":7},"networkName":"mynet","pools":["rail"],"poolType":"cidrpool","containerId":"c1","interfaceName":"net1"}"#
        );
    }

    #[test]
    fn an_entry_that_names_nobody_is_refused() {
        let mut nobody = entry();
        nobody.container_id.clear();
        assert!(matches!(
            Entry::decode(&nobody.encode().unwrap()),
            Err(EntryError::Incomplete)
        ));
        assert!(matches!(Entry::decode(b"{"), Err(EntryError::Malformed(_))));
    }

    #[test]
    fn a_stamp_counts_nanoseconds_of_its_boot() {
        assert_eq!(Stamp::at("a\n", 2, 5), stamp("a", 2_000_000_005));
        assert_eq!(Stamp::at("a", -1, -1), stamp("a", 0));
        assert_eq!(Stamp::at("a", i64::MAX, 0).boottime_ns, u64::MAX);
    }

    #[test]
    fn a_later_reservation_of_the_same_boot_stands() {
        assert!(stamp("a", 7).is_after("a", 6, "a"));
        assert!(!stamp("a", 7).is_after("a", 7, "a"));
        assert!(!stamp("a", 7).is_after("a", 8, "a"));
    }

    #[test]
    fn boots_are_ordered_by_which_one_runs() {
        // An old reservation meets an entry of this boot, and the other way round.
        assert!(stamp("now", 1).is_after("old", 9, "now"));
        assert!(!stamp("old", 9).is_after("now", 1, "now"));
    }
}

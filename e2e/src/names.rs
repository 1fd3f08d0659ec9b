//! Names, versions and addresses that more than one file speaks of.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// The Kubernetes version, as linked into its binaries. `go/kubernetes/go.mod` pins the same.
pub const KUBERNETES_VERSION: &str = "v1.36.3";
/// The image of pods that tests start: busybox, with its applets in /bin.
pub const POD_IMAGE: &str = "nv-ipam.test/busybox:1";
/// The image of pod sandboxes: the same files, a command that sleeps.
pub const SANDBOX_IMAGE: &str = "nv-ipam.test/pause:1";
/// Where pools, ServiceAccounts and the Lease live.
pub const NAMESPACE: &str = "kube-system";
/// Inside a machine: the folder of this library.
pub const INSIDE: &str = "/run/nv-ipam-e2e";

/// Where everything of ours lies on the host: binaries, and the folder of each cluster.
/// `$XDG_CACHE_HOME/nv-ipam-e2e`, or `~/.cache/nv-ipam-e2e`.
pub fn cache_root() -> Result<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
            .join(".cache"),
    };
    Ok(cache.join("nv-ipam-e2e"))
}

/// The host's cable to a cluster's switch.
#[must_use]
pub fn host_link(id: &str) -> String {
    format!("e2e-{id}")
}

/// The repository this crate was compiled in.
#[must_use]
pub fn repository() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .map_or_else(|| here.clone(), std::path::Path::to_path_buf)
}

/// The network between the machines of one cluster: a /24 out of 198.18.0.0/15, which RFC 2544 sets aside for benchmarks,
/// so that it meets neither people's networks nor the pools of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet(u8);

impl Subnet {
    /// The subnet with this number.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    const fn address(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.0, host)
    }

    /// The control plane, where the API server listens.
    #[must_use]
    pub const fn control_plane(self) -> Ipv4Addr {
        self.address(1)
    }

    /// The node with this index.
    #[must_use]
    pub const fn node(self, index: u8) -> Ipv4Addr {
        self.address(10 + index)
    }

    /// The host's end, from which tests speak to the cluster.
    #[must_use]
    pub const fn host(self) -> Ipv4Addr {
        self.address(254)
    }

    /// True if `address` is in this subnet.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.octets()[..3] == self.address(0).octets()[..3]
    }
}

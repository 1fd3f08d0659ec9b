//! The peer: host-local, which keeps a file for each address.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use super::caller::{Plugin, install};
use super::container::Container;
use crate::bed::Bed;
use crate::node::Node;

/// Its data begin in here, at the address after the gateway, as many as there are reservations.
const SUBNET: &str = "10.0.0.0/8";
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// host-local and what it holds.
#[derive(Debug)]
pub(super) struct HostLocal {
    pub(super) plugin: Plugin,
    /// A file for each address, and one that says which was given last.
    addresses: PathBuf,
    held: usize,
}

impl HostLocal {
    /// With nothing in its folder, which is in `folder`.
    pub(super) fn new(bed: &Bed, node: &Node, folder: &Path) -> Result<Self> {
        let data = folder.join("host-local");
        let addresses = data.join("bench");
        fs::create_dir_all(&addresses).with_context(|| format!("could not make {}", addresses.display()))?;
        let ipam = json!({ "type": "host-local", "dataDir": data, "ranges": [[{ "subnet": SUBNET }]] });
        let program = install(&bed.cluster()?.assets.on_host("host-local"), folder)?;
        Ok(Self {
            plugin: Plugin::new(program, node, folder, &ipam)?,
            addresses,
            held: 0,
        })
    }

    /// Adds reservations until there are `count`, as it would have written them itself.
    pub(super) fn grow(&mut self, count: usize) -> Result<()> {
        for number in self.held..count {
            let address = Ipv4Addr::from_bits(FIRST.to_bits() + u32::try_from(number)?);
            let holder = format!("{}\r\neth0", Container::new("fill", number).id);
            fs::write(self.addresses.join(address.to_string()), holder)?;
            fs::write(self.addresses.join("last_reserved_ip.0"), address.to_string())?;
        }
        self.held = self.held.max(count);
        Ok(())
    }
}

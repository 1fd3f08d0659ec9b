//! The links between the host and the machines of one cluster: a switch in the control plane's network, and a cable to it
//! from each node and from the host. Every cable goes with the machine at its end, so there is nothing to clean.

use anyhow::{Result, bail};

use crate::command;
use crate::machine::Machine;
use crate::names::{self, Subnet};
use crate::node::NodeSpec;

/// Makes the switch, and the host's cable to it.
pub async fn build_switch(plane: &Machine, subnet: Subnet, id: &str) -> Result<()> {
    let cable = names::host_link(id);
    let address = subnet.control_plane();
    plane
        .ip(&format!(
            "link add switch type bridge\naddr add {address}/24 dev switch\nlink set switch up\n"
        ))
        .await?;
    let pid = plane.first.pid;
    host_ip(&format!("link add {cable} type veth peer name host netns {pid}")).await?;
    plane.ip("link set host master switch up\n").await?;
    host_ip(&format!("addr add {}/24 dev {cable}", subnet.host())).await?;
    host_ip(&format!("link set {cable} up")).await
}

/// Connects a node to the switch and gives it its address.
pub async fn plug_in(spec: &NodeSpec, node: &Machine, plane: &Machine) -> Result<()> {
    let port = format!("port{}", spec.index);
    let (from, to) = (plane.first.pid, node.first.pid);
    host_ip(&format!(
        "link add {port} netns {from} type veth peer name eth0 netns {to}"
    ))
    .await?;
    plane.ip(&format!("link set {port} master switch up\n")).await?;
    let (address, gateway) = (spec.address(), spec.subnet.control_plane());
    node.ip(&format!(
        "addr add {address}/24 dev eth0\nlink set eth0 up\nroute add default via {gateway}\n"
    ))
    .await
}

/// A subnet that neither another cluster nor the host's own links use, tried from `start` on.
pub async fn free_subnet(start: u8, taken: &[u8]) -> Result<Subnet> {
    let addresses = command::run(command::command(&["ip", "-4", "-oneline", "addr", "show"]), b"")
        .await?
        .success()?;
    let local: Vec<std::net::Ipv4Addr> = addresses
        .split_whitespace()
        .filter_map(|word| word.split('/').next()?.parse().ok())
        .collect();
    let candidates = (0..=u8::MAX).map(|offset| start.wrapping_add(offset));
    for number in candidates.filter(|number| !taken.contains(number)) {
        let subnet = Subnet::new(number);
        if !local.iter().any(|&address| subnet.contains(address)) {
            return Ok(subnet);
        }
    }
    bail!("every network in 198.18.0.0/16 is in use on this machine")
}

async fn host_ip(arguments: &str) -> Result<()> {
    let words: Vec<&str> = std::iter::once("ip")
        .chain(arguments.split_whitespace())
        .collect();
    command::run(command::command(&words), b"").await?.success()?;
    Ok(())
}

//! Taking everything off a node that a test put there.

use anyhow::Result;

use crate::node::Node;

/// Removes networks, the plugin and the store of nv-ipam, and the namespaces and links that tests made. Pods must be gone
/// and the daemon not running.
pub async fn clean(node: &Node) -> Result<()> {
    let script = "
        find /etc/cni/net.d -mindepth 1 -maxdepth 1 ! -name '90-default.conflist' -exec rm -rf {} +
        for mount in $(grep -o ' /run/mnt/[^ ]*' /proc/mounts); do umount $mount; done
        rm -rf /var/lib/cni/nv-ipam /opt/cni/bin/nv-ipam
        for netns in $(ip netns list | grep -v '^cni-' | cut -d' ' -f1); do ip netns delete $netns; done
        for kind in bridge dummy veth; do
            for link in $(ip -oneline link show type $kind | cut -d: -f2 | cut -d@ -f1); do
                case $link in cni0 | eth0) ;; *) ip link delete $link 2>/dev/null || ! ip link show $link 2>/dev/null ;; esac
            done
        done
    ";
    node.exec(&["sh", "-ec", script]).await?.success()?;
    node.wait_networks_read().await
}

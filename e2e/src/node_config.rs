//! The configuration files of a node's containerd and kubelet, and the network that pods have until a test installs its own.

use anyhow::Result;
use serde_json::json;

use crate::names::{self, SANDBOX_IMAGE};

/// Where the kubelet finds static pods: a manifest in a file each. Not in /etc, which shows what the host has.
pub const STATIC_PODS: &str = "/run/static-pods";

/// containerd: its defaults, but for what a machine inside a machine can't do.
#[must_use]
pub fn containerd() -> String {
    // `native` copies instead of mounting, so it works whatever file system the machine's folder is on; the images are small.
    // At level debug it says which change of /etc/cni/net.d it has seen, which `Node::install_network` waits for.
    // Lowering an OOM score needs CAP_SYS_RESOURCE, which root in a virtual machine may lack.
    format!(
        r#"version = 3
[debug]
  level = "debug"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "native"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{SANDBOX_IMAGE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  snapshotter = "native"
"#
    )
}

/// The kubelet of node `name`, with everything it starts in `cgroup`.
pub fn kubelet(name: &str, cgroup: &str) -> Result<String> {
    let pki = |file: &str| format!("{}/cluster/pki/{file}", names::INSIDE);
    Ok(serde_json::to_string_pretty(&json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": pki("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": pki(&format!("kubelet-{name}.crt")),
        "tlsPrivateKeyFile": pki(&format!("kubelet-{name}.key")),
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{cgroup}"),
        "enforceNodeAllocatable": [],
        // The machine's files are the host's: how full its disk is, is not ours to act on.
        "evictionHard": { "memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "failSwapOn": false,
        "protectKernelDefaults": true,
        "makeIPTablesUtilChains": false,
        "resolvConf": "",
        // Tests wait for a node to turn NotReady and back.
        "nodeStatusUpdateFrequency": "2s",
        "shutdownGracePeriod": "0s",
        "staticPodPath": STATIC_PODS,
    }))?)
}

/// A bridge with addresses from host-local, so that a node is Ready and pods run before any pool exists.
#[must_use]
pub fn default_network(index: u8) -> String {
    json!({
        "cniVersion": "1.0.0",
        "name": "default",
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "ipam": { "type": "host-local", "ranges": [[{ "subnet": format!("10.244.{index}.0/24") }]] },
        }],
    })
    .to_string()
}

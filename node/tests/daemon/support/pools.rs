//! The pools of the API server in memory.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::NODE;
use super::api_server::{ApiServer, Kind};

impl ApiServer {
    /// Creates or replaces an IPPool whose status gives `node` the block from `first` to `last`.
    pub(crate) fn put_pool(&self, name: &str, subnet: &str, node: &str, first: &str, last: &str) {
        self.put_shared_pool(name, subnet, &[(node, first, last)]);
    }

    /// Creates or replaces an IPPool whose status has these blocks.
    pub(crate) fn put_shared_pool(&self, name: &str, subnet: &str, blocks: &[(&str, &str, &str)]) {
        let allocation = |(node, first, last): &_| json!({"nodeName": node, "startIP": first, "endIP": last});
        let spec = json!({"subnet": subnet, "perNodeBlockSize": 24});
        let status = json!({"allocations": blocks.iter().map(allocation).collect::<Vec<_>>()});
        self.put(Kind::IpPool, name, object("IPPool", name, &spec, &status));
    }

    /// Creates or replaces an IPPool that is no IPPool.
    pub(crate) fn put_unreadable_pool(&self, name: &str) {
        let spec = json!({"subnet": ["not", "a", "subnet"]});
        self.put(Kind::IpPool, name, object("IPPool", name, &spec, &json!({})));
    }

    pub(crate) fn delete_pool(&self, name: &str) {
        self.delete(Kind::IpPool, name);
    }

    /// Creates or replaces a CIDRPool of prefixes of length 24, the first address of each being the gateway, whose status
    /// gives this node `prefix`.
    pub(crate) fn put_cidr_pool(&self, name: &str, cidr: &str, prefix: &str) {
        let spec = json!({"cidr": cidr, "perNodeNetworkPrefix": 24, "gatewayIndex": 1});
        let status = json!({"allocations": [{"nodeName": NODE, "prefix": prefix}]});
        self.put(Kind::CidrPool, name, object("CIDRPool", name, &spec, &status));
    }

    pub(crate) fn delete_cidr_pool(&self, name: &str) {
        self.delete(Kind::CidrPool, name);
    }

    /// From now on it answers with this code when it is asked for CIDRPools, or with CIDRPools again.
    pub(crate) fn refuse_cidr_pools(&self, code: Option<StatusCode>) {
        self.objects.lock().unwrap().cidrpools_refused = code;
    }
}

fn object(kind: &str, name: &str, spec: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "kube-system", "uid": format!("uid-of-{name}")},
        "spec": spec, "status": status,
    })
}

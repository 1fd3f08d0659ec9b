//! What tests of the ledger and of its users build from.

use api::node_pool::NodePool;
use api::pool_key::{PoolKey, PoolKind};
use api::range::{Family, Range};
use ipnet::IpNet;
use rpc::journal::Stamp;

use crate::call::{AllocateCall, Wish};
use crate::reservation::{Owner, Pod, Reservation, RowId};

pub(crate) fn key(name: &str) -> PoolKey {
    PoolKey::new(PoolKind::IpPool, name)
}

/// A pool without gateway, exclusions and routes, in a subnet that is the whole family.
pub(crate) fn pool(name: &str, first: &str, last: &str) -> NodePool {
    let range = Range::new(first.parse().unwrap(), last.parse().unwrap()).unwrap();
    NodePool {
        key: key(name),
        uid: format!("uid-{name}"),
        subnet: IpNet::new(range.family().address(0), 0).unwrap(),
        range,
        gateway: None,
        exclusions: Vec::new(),
        default_gateway: false,
        routes: Vec::new(),
    }
}

pub(crate) fn owner(container: &str) -> Owner {
    Owner {
        container: container.to_owned(),
        interface: "net1".to_owned(),
    }
}

pub(crate) fn add(container: &str, pools: &[&str]) -> AllocateCall {
    AllocateCall {
        pools: pools.iter().map(|name| key(name)).collect(),
        owner: owner(container),
        pod: Pod {
            uid: String::new(),
            name: container.to_owned(),
            namespace: "default".to_owned(),
        },
        device_id: String::new(),
        network: "mynet".to_owned(),
        wish: Wish::default(),
    }
}

pub(crate) fn reservation(id: i64, pool: &PoolKey, family: Family, n: u128, owner: Owner) -> Reservation {
    Reservation {
        id: RowId(id),
        pool: pool.clone(),
        address: family.address(n),
        owner,
        pod: Pod::default(),
        device_id: String::new(),
        network: "mynet".to_owned(),
        created: String::new(),
        stamp: Stamp {
            boot_id: "boot".to_owned(),
            boottime_ns: u64::try_from(id).unwrap(),
        },
        pod_seen: false,
    }
}

//! What tests of the ledger and of its users build from.

use std::sync::Arc;

use api::ippool::IPPool;
use api::node_pool::{Neighbours, NodePool, NodeView};
use api::pool_key::{PoolKey, PoolKind};
use api::range::{Family, Range, number};
use api::subnet::Subnet;
use ipnet::IpNet;
use serde_json::json;

use super::{Ledger, allocate};
use crate::call::{AllocateCall, ReleaseCall, Wish};
use crate::refusal::Refusal;
use crate::reservation::{Grant, Made, Owner, Pod, Reservation, RowId};
use crate::table::{Knowledge, Table};

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

/// What a daemon knows that has just read all pools, and these are its own.
pub(crate) fn table(pools: impl IntoIterator<Item = NodePool>) -> Table {
    Table::of(pools, Knowledge::Synced)
}

/// Who has these ranges of an IPPool, whose subnet is the 256 addresses around the first, and whose `spec.exclusions` are
/// these.
pub(crate) fn neighbours(ranges: &[(String, Range)], excluded: &[Range]) -> Arc<Neighbours> {
    let first = ranges.iter().map(|(_, range)| range).chain(excluded).next();
    let subnet = first.and_then(|range| Subnet::of(range.first(), range.family().bits() - 8));
    let subnet = subnet.map_or("10.0.0.0/8".to_owned(), |subnet| subnet.to_string());
    let ends = |range: &Range| (range.first().to_string(), range.last().to_string());
    let allocation = |(node, range): &(String, Range)| {
        let (first, last) = ends(range);
        json!({ "nodeName": node, "startIP": first, "endIP": last })
    };
    let exclusion = |range: &Range| {
        let (first, last) = ends(range);
        json!({ "startIP": first, "endIP": last })
    };
    let pool: IPPool = serde_json::from_value(json!({
        "metadata": { "name": "p" },
        "spec": {
            "subnet": subnet, "perNodeBlockSize": 1,
            "exclusions": excluded.iter().map(exclusion).collect::<Vec<_>>(),
        },
        "status": { "allocations": ranges.iter().map(allocation).collect::<Vec<_>>() },
    }))
    .unwrap();
    Arc::new(pool.neighbours("this node"))
}

pub(crate) fn owner(container: &str) -> Owner {
    Owner {
        container: container.to_owned(),
        interface: "net1".into(),
    }
}

pub(crate) fn add(container: &str, pools: &[&str]) -> AllocateCall {
    AllocateCall {
        pools: pools.iter().map(|name| key(name)).collect(),
        owner: owner(container),
        pod: Pod {
            uid: String::new(),
            name: container.to_owned(),
            namespace: "default".into(),
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
        network: "mynet".into(),
        made: Made {
            boot_id: "boot".into(),
            boottime_ns: u64::try_from(id).unwrap(),
        },
        pod_seen: false,
    }
}

/// What the writer does, without a store.
#[derive(Default)]
pub(crate) struct Writerless {
    pub(crate) ledger: Ledger,
    made: i64,
}

impl Writerless {
    pub(crate) fn add(&mut self, call: &AllocateCall) -> Result<Vec<Grant>, Refusal> {
        let planned = allocate(&self.ledger, call)?;
        for p in &planned {
            self.made += 1;
            let address = p.grant.address.addr();
            let row = Reservation {
                network: call.network.as_str().into(),
                ..reservation(
                    self.made,
                    &p.grant.pool,
                    Family::of(address),
                    number(address),
                    call.owner.clone(),
                )
            };
            self.ledger.insert(row).unwrap();
            if p.any {
                self.ledger.set_last(&p.grant.pool, address);
            }
        }
        Ok(planned.into_iter().map(|p| p.grant).collect())
    }

    pub(crate) fn del(&mut self, call: &ReleaseCall) {
        for id in self.ledger.released_by(call) {
            self.ledger.remove(id);
        }
    }
}

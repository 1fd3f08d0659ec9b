//! What an ADD gets (contract B.4, B.6).

use std::net::IpAddr;

use api::node_pool::NodePool;
use api::pool_key::PoolKey;
use api::range::{Range, number};
use ipnet::IpNet;

use super::pool::{Place, Pool};
use super::{Ledger, picker, routes};
use crate::call::{AllocateCall, Wish};
use crate::refusal::Refusal;
use crate::reservation::Grant;
use crate::table::Knowledge;

/// An address that will be reserved if the store takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What the caller gets.
    pub grant: Grant,
    /// Whether any address would have done: then the next one of the pool is looked for after this one.
    pub any: bool,
}

/// What `call` gets: one address of each pool, or nothing.
pub fn allocate(ledger: &Ledger, call: &AllocateCall) -> Result<Vec<Planned>, Refusal> {
    if !ledger.known.is_anything() {
        return Err(Refusal::NoTable);
    }
    let mut planned: Vec<Planned> = Vec::with_capacity(call.pools.len());
    for key in &call.pools {
        if planned.iter().any(|p| p.grant.pool == *key) {
            return Err(Refusal::AlreadyAllocated(key.clone()));
        }
        planned.push(from_pool(ledger, call, key)?);
    }
    let given = |ip: &IpAddr| planned.iter().any(|p| p.grant.address.addr() == *ip);
    match call.wish.static_ips.iter().find(|ip| !given(ip)) {
        Some(ip) => Err(Refusal::Unmatched(*ip)),
        None => Ok(planned),
    }
}

fn from_pool(ledger: &Ledger, call: &AllocateCall, key: &PoolKey) -> Result<Planned, Refusal> {
    let pool = ledger.pools.get(key);
    let Some((pool, config)) = pool.and_then(|pool| Some((pool, pool.config.as_ref()?))) else {
        return Err(match ledger.known.of(key.kind()) {
            Knowledge::Synced => Refusal::UnknownPool(key.clone()),
            Knowledge::Nothing | Knowledge::Persisted => Refusal::NotSynced(key.clone()),
        });
    };
    let wanted = wanted(pool, config, &call.wish)?;
    if ledger.held_by(&call.owner, key).is_some() {
        return Err(Refusal::AlreadyAllocated(key.clone()));
    }
    let address = match wanted {
        Some(ip) if pool.reserved.contains_key(&ip) => return Err(Refusal::Taken(key.clone())),
        Some(ip) => ip,
        None => {
            let last = pool.last.filter(|ip| config.range.contains(*ip)).map(number);
            picker::next(&pool.free, &config.range, last)
                .map(|n| config.range.family().address(n))
                .ok_or_else(|| Refusal::NoFreeAddress(key.clone()))?
        }
    };
    // Who is the gateway needs none.
    let gateway = config.gateway.filter(|_| !call.wish.gateway);
    Ok(Planned {
        grant: Grant {
            pool: key.clone(),
            address: IpNet::new(address, config.subnet.prefix_len()).unwrap_or_else(|_| address.into()),
            gateway,
            routes: gateway
                .map(|gateway| routes::through(gateway, config))
                .unwrap_or_default(),
        },
        any: wanted.is_none(),
    })
}

/// The very address that is asked for in this pool. `None`: any.
fn wanted(pool: &Pool, config: &NodePool, wish: &Wish) -> Result<Option<IpAddr>, Refusal> {
    if wish.gateway && config.gateway.is_none() {
        return Err(Refusal::NoGateway(config.key.clone()));
    }
    if let Some(index) = wish.index {
        return at_index(config, index).map(Some);
    }
    if wish.gateway {
        // The same address on every node that asks: that is what this feature is for.
        return Ok(config.gateway);
    }
    let Some(&ip) = wish.static_ips.iter().find(|ip| config.subnet.contains(*ip)) else {
        return Ok(None);
    };
    match pool.place_of(config, ip) {
        Place::Ours | Place::Nobodys => Ok(Some(ip)),
        Place::Of(node) => Err(Refusal::OfOtherNode {
            ip,
            pool: config.key.clone(),
            node: node.into(),
            range: config.range,
        }),
        Place::PerhapsOf(node) => Err(Refusal::PerhapsOfOtherNode {
            ip,
            pool: config.key.clone(),
            node: node.into(),
            range: config.range,
        }),
        Place::Unknown => Err(Refusal::OutsideRange {
            ip,
            pool: config.key.clone(),
            range: config.range,
        }),
    }
}

fn at_index(config: &NodePool, index: i32) -> Result<IpAddr, Refusal> {
    let (first, _) = config.range.numbers();
    let ip = u128::try_from(index)
        .ok()
        .and_then(|index| first.checked_add(index))
        .and_then(|n| Range::from_numbers(config.range.family(), n, n))
        .map(|range| range.first())
        .filter(|ip| config.range.contains(*ip))
        .ok_or(Refusal::IndexOutside(index))?;
    if config.gateway == Some(ip) {
        Err(Refusal::IndexIsGateway(index))
    } else {
        Ok(ip)
    }
}

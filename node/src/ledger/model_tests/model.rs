//! The model: lists, searched from end to end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::node_pool::NodePool;
use api::pool_key::{PoolKey, PoolKind};
use api::range::{Range, number};
use ipnet::IpNet;
use tonic::Code;

use crate::call::{AllocateCall, ReleaseCall};
use crate::ledger::{Counts, Outside};
use crate::reservation::Grant;
use crate::table::{Knowledge, Known};

/// A pool of the table, and what is known of other nodes in it.
#[derive(Clone, Debug)]
pub(super) struct Configured {
    pub(super) config: NodePool,
    pub(super) others: Option<Others>,
}

/// Who else hands out of a pool, and what nobody does.
#[derive(Clone, Debug)]
pub(super) struct Others {
    pub(super) ranges: Vec<(String, Range)>,
    pub(super) excluded: Vec<Range>,
}

pub(super) struct Held {
    pub(super) id: i64,
    pub(super) pool: String,
    pub(super) address: IpAddr,
    container: String,
    network: String,
}

#[derive(Default)]
pub(super) struct Model {
    known: Known,
    pub(super) table: BTreeMap<String, Configured>,
    pub(super) held: Vec<Held>,
    last: BTreeMap<String, IpAddr>,
    made: i64,
}

impl Model {
    fn holds(&self, pool: &str, address: IpAddr) -> bool {
        self.held.iter().any(|h| h.pool == pool && h.address == address)
    }

    fn may_give(config: &NodePool, address: IpAddr) -> bool {
        config.gateway != Some(address) && !config.exclusions.iter().any(|r| r.contains(address))
    }

    /// Every address of the range in the order in which it is tried.
    fn tried(&self, config: &NodePool) -> impl Iterator<Item = IpAddr> {
        let (first, last) = config.range.numbers();
        let family = config.range.family();
        let from = match self.last.get(config.key.as_str()) {
            Some(ip) if config.range.contains(*ip) && number(*ip) < last => number(*ip) + 1,
            _ => first,
        };
        (from..=last).chain(first..from).map(move |n| family.address(n))
    }

    /// Whether an address of the pool's subnet is given to who asks for it by name.
    fn may_ask_for(pool: &Configured, ip: IpAddr) -> Result<(), Code> {
        let own = match pool.config.key.kind() {
            PoolKind::IpPool => pool.config.range.contains(ip),
            PoolKind::CidrPool => true,
        };
        match &pool.others {
            _ if own => Ok(()),
            None => Err(Code::Unavailable),
            Some(others) => {
                let excluded = others.excluded.iter().any(|range| range.contains(ip));
                let held = others.ranges.iter().any(|(_, range)| range.contains(ip));
                if held && !excluded {
                    Err(Code::InvalidArgument)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn wanted(pool: &Configured, call: &AllocateCall) -> Result<Option<IpAddr>, Code> {
        let config = &pool.config;
        if call.wish.gateway && config.gateway.is_none() {
            return Err(Code::InvalidArgument);
        }
        if let Some(index) = call.wish.index {
            let (first, last) = config.range.numbers();
            let index = usize::try_from(index).map_err(|_| Code::InvalidArgument)?;
            let ip = (first..=last)
                .nth(index)
                .map(|n| config.range.family().address(n));
            return match ip {
                Some(ip) if config.gateway != Some(ip) => Ok(Some(ip)),
                _ => Err(Code::InvalidArgument),
            };
        }
        if call.wish.gateway {
            return Ok(config.gateway);
        }
        let ip = call
            .wish
            .static_ips
            .iter()
            .find(|ip| config.subnet.contains(*ip))
            .copied();
        if let Some(ip) = ip {
            Self::may_ask_for(pool, ip)?;
        }
        Ok(ip)
    }

    fn one(&self, call: &AllocateCall, name: &str, kind: PoolKind) -> Result<(Grant, bool), Code> {
        let pool = self.table.get(name).ok_or(match self.known.of(kind) {
            Knowledge::Synced => Code::NotFound,
            Knowledge::Nothing | Knowledge::Persisted => Code::Unavailable,
        })?;
        let config = &pool.config;
        let wanted = Self::wanted(pool, call)?;
        let is_of_owner = |h: &&Held| h.pool == name && h.container == call.owner.container;
        if self.held.iter().any(|h| is_of_owner(&h)) {
            return Err(Code::AlreadyExists);
        }
        let found = match wanted {
            Some(ip) => Some(ip).filter(|ip| !self.holds(name, *ip)),
            None => self
                .tried(config)
                .find(|ip| Self::may_give(config, *ip) && !self.holds(name, *ip)),
        };
        let ip = found.ok_or(Code::ResourceExhausted)?;
        let gateway = if call.wish.gateway { None } else { config.gateway };
        let grant = Grant {
            pool: config.key.clone(),
            address: format!("{ip}/{}", config.subnet.prefix_len()).parse().unwrap(),
            gateway,
            routes: gateway
                .map(|gateway| Self::routes(config, gateway))
                .unwrap_or_default(),
        };
        Ok((grant, wanted.is_none()))
    }

    fn routes(config: &NodePool, gateway: IpAddr) -> Vec<IpNet> {
        let bytes = |route: &IpNet| match route.addr() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let default = if gateway.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
        let sorted: BTreeSet<_> = config
            .routes
            .iter()
            .map(|route| (bytes(route), route.prefix_len(), *route))
            .chain(
                config
                    .default_gateway
                    .then(|| (Vec::new(), 0, default.parse().unwrap())),
            )
            .collect();
        let mut routes: Vec<IpNet> = sorted.into_iter().map(|(_, _, route)| route).collect();
        routes.dedup();
        routes
    }

    pub(super) fn add(&mut self, call: &AllocateCall) -> Result<Vec<Grant>, Code> {
        if self.known == Known::default() {
            return Err(Code::Unavailable);
        }
        let mut given: Vec<(Grant, bool)> = Vec::new();
        for pool in &call.pools {
            if given.iter().any(|(grant, _)| grant.pool == *pool) {
                return Err(Code::AlreadyExists);
            }
            given.push(self.one(call, pool.as_str(), pool.kind())?);
        }
        let is_given = |ip: &IpAddr| given.iter().any(|(grant, _)| grant.address.addr() == *ip);
        if !call.wish.static_ips.iter().all(is_given) {
            return Err(Code::InvalidArgument);
        }
        for (grant, any) in &given {
            self.made += 1;
            self.held.push(Held {
                id: self.made,
                pool: grant.pool.to_string(),
                container: call.owner.container.clone(),
                network: call.network.clone(),
                address: grant.address.addr(),
            });
            if *any {
                self.last.insert(grant.pool.to_string(), grant.address.addr());
            }
        }
        Ok(given.into_iter().map(|(grant, _)| grant).collect())
    }

    pub(super) fn del(&mut self, call: &ReleaseCall) {
        self.held.retain(|h| {
            let named = call.pools.iter().any(|pool| pool.as_str() == h.pool);
            let by_network = !call.network.is_empty() && call.network == h.network;
            h.container != call.owner.container || !(named || by_network)
        });
    }

    pub(super) fn set_table(&mut self, table: &[Configured], known: Known) {
        self.known = known;
        self.table = table
            .iter()
            .map(|pool| (pool.config.key.to_string(), pool.clone()))
            .collect();
        let is_held = |name: &str| self.held.iter().any(|h| h.pool == name);
        let may_exist = |name: &str| {
            let kind = PoolKey::from_text(name.to_owned()).kind();
            self.table.contains_key(name) || known.of(kind) != Knowledge::Synced
        };
        self.last.retain(|name, _| may_exist(name) || is_held(name));
    }

    /// Where what is held lies, if not where it should.
    pub(super) fn outside(&self) -> Vec<(i64, Outside)> {
        let place = |held: &Held| {
            let pool = self.table.get(&held.pool)?;
            let ip = held.address;
            if !pool.config.subnet.contains(&ip) {
                return None;
            }
            let own = pool.config.gateway == Some(ip)
                || pool.config.range.contains(ip)
                || pool.config.key.kind() == PoolKind::CidrPool;
            if own {
                return Some(None);
            }
            let others = pool.others.as_ref()?;
            // Of several the one whose range begins last.
            let holders = others.ranges.iter().filter(|(_, range)| range.contains(ip));
            let holder = holders.max_by_key(|(node, range)| (range, node));
            Some(Some(match holder {
                Some((node, _)) if !others.excluded.iter().any(|range| range.contains(ip)) => {
                    Outside::OfNode(node.as_str().into())
                }
                _ => Outside::Nobodys,
            }))
        };
        self.held
            .iter()
            .filter_map(|held| Some((held.id, place(held).unwrap_or(Some(Outside::Unknown))?)))
            .collect()
    }

    pub(super) fn counts(&self, config: &NodePool) -> Counts {
        let name = config.key.as_str();
        let (first, last) = config.range.numbers();
        let mut counts = Counts::default();
        for ip in (first..=last).map(|n| config.range.family().address(n)) {
            if !Self::may_give(config, ip) {
                counts.excluded += 1;
            } else if !self.holds(name, ip) {
                counts.free += 1;
            }
        }
        counts.used = self.held.iter().filter(|h| h.pool == name).count() as u128;
        counts
    }
}

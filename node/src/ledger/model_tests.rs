//! The ledger against a model that is too slow and too simple to be wrong: lists, searched from end to end.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::node_pool::NodePool;
use api::range::{Family, Range, number};
use proptest::prelude::*;
use tonic::Code;

use super::testing::{add, key, owner, pool, reservation};
use super::{Counts, Knowledge, Ledger, allocate};
use crate::call::{AllocateCall, ReleaseCall, Wish};
use crate::reservation::RowId;

#[derive(Clone, Debug)]
enum Step {
    Add(AllocateCall),
    Del(ReleaseCall),
    ReleaseRow(i64),
    Table(Vec<NodePool>),
}

struct Held {
    id: i64,
    pool: String,
    container: String,
    network: String,
    address: IpAddr,
}

#[derive(Default)]
struct Model {
    table: BTreeMap<String, NodePool>,
    held: Vec<Held>,
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
        let from = match self.last.get(config.key.name()) {
            Some(ip) if config.range.contains(*ip) && number(*ip) < last => number(*ip) + 1,
            _ => first,
        };
        (from..=last).chain(first..from).map(move |n| family.address(n))
    }

    fn one(&self, call: &AllocateCall, name: &str) -> Result<(IpAddr, bool), Code> {
        let config = self.table.get(name).ok_or(Code::NotFound)?;
        let mut wanted = None;
        if call.wish.gateway {
            wanted = Some(config.gateway.ok_or(Code::InvalidArgument)?);
        }
        if let Some(ip) = call.wish.static_ips.iter().find(|ip| config.subnet.contains(*ip)) {
            if call.wish.index.is_none() && !config.range.contains(*ip) {
                return Err(Code::InvalidArgument);
            }
            wanted = Some(*ip);
        }
        if let Some(index) = call.wish.index {
            let ip = usize::try_from(index).ok().and_then(|index| {
                let (first, last) = config.range.numbers();
                (first..=last)
                    .nth(index)
                    .map(|n| config.range.family().address(n))
            });
            wanted = Some(
                ip.filter(|ip| config.gateway != Some(*ip))
                    .ok_or(Code::InvalidArgument)?,
            );
        }
        if self
            .held
            .iter()
            .any(|h| h.pool == name && h.container == call.owner.container)
        {
            return Err(Code::AlreadyExists);
        }
        let free = |ip: &IpAddr| !self.holds(name, *ip);
        match wanted {
            Some(ip) => free(&ip).then_some((ip, false)),
            None => self
                .tried(config)
                .find(|ip| Self::may_give(config, *ip) && free(ip))
                .map(|ip| (ip, true)),
        }
        .ok_or(Code::ResourceExhausted)
    }

    fn add(&mut self, call: &AllocateCall) -> Result<Vec<(String, IpAddr)>, Code> {
        let mut given: Vec<(String, IpAddr, bool)> = Vec::new();
        for pool in &call.pools {
            if given.iter().any(|(name, ..)| name == pool.name()) {
                return Err(Code::AlreadyExists);
            }
            let (address, any) = self.one(call, pool.name())?;
            given.push((pool.name().to_owned(), address, any));
        }
        if !call
            .wish
            .static_ips
            .iter()
            .all(|ip| given.iter().any(|(_, address, _)| address == ip))
        {
            return Err(Code::InvalidArgument);
        }
        for (pool, address, any) in &given {
            self.made += 1;
            self.held.push(Held {
                id: self.made,
                pool: pool.clone(),
                container: call.owner.container.clone(),
                network: call.network.clone(),
                address: *address,
            });
            if *any {
                self.last.insert(pool.clone(), *address);
            }
        }
        Ok(given
            .into_iter()
            .map(|(pool, address, _)| (pool, address))
            .collect())
    }

    fn set_table(&mut self, table: &[NodePool]) {
        self.table = table
            .iter()
            .map(|p| (p.key.name().to_owned(), p.clone()))
            .collect();
        let (table, held) = (&self.table, &self.held);
        self.last
            .retain(|name, _| table.contains_key(name) || held.iter().any(|h| h.pool == *name));
    }

    fn counts(&self, config: &NodePool) -> Counts {
        let name = config.key.name();
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

/// What the writer does, without a store.
struct Subject {
    ledger: Ledger,
    made: i64,
}

impl Subject {
    fn add(&mut self, call: &AllocateCall) -> Result<Vec<(String, IpAddr)>, Code> {
        let planned = allocate(&self.ledger, call).map_err(|refusal| refusal.code())?;
        for p in &planned {
            self.made += 1;
            let address = p.grant.address.addr();
            let mut row = reservation(
                self.made,
                &p.grant.pool,
                Family::of(address),
                number(address),
                call.owner.clone(),
            );
            row.network.clone_from(&call.network);
            self.ledger.insert(row).unwrap();
            if p.any {
                self.ledger.set_last(&p.grant.pool, address);
            }
        }
        Ok(planned
            .iter()
            .map(|p| (p.grant.pool.name().to_owned(), p.grant.address.addr()))
            .collect())
    }
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn any_pool() -> impl Strategy<Value = NodePool> {
    let base = prop::sample::select(vec![
        (Family::V4, 0x0a00_0000_u128),
        (Family::V4, u128::from(u32::MAX) - 9),
        (Family::V6, 0xfd00 << 112),
        // The numbers of an IPv4 range: a pool made anew with another family.
        (Family::V6, 0x0a00_0000_u128),
        (Family::V6, u128::MAX - 9),
    ]);
    // Sizes 1 and 2 are /32, /128, /31 and /127.
    let size = prop_oneof![Just(1_u128), Just(2), 3..10_u128];
    let exclusions = prop::collection::vec((0..10_u128, 0..4_u128), 0..3);
    (
        prop::sample::select(&NAMES[..]),
        base,
        size,
        prop::option::of(0..12_u128),
        exclusions,
    )
        .prop_map(|(name, (family, first), size, gateway, exclusions)| {
            let last = first + size - 1;
            let mut config = pool(
                name,
                &family.address(first).to_string(),
                &family.address(last).to_string(),
            );
            config.gateway = gateway
                .and_then(|g| first.checked_add(g))
                .and_then(|n| Range::from_numbers(family, n, n))
                .map(|r| r.first());
            config.exclusions = exclusions
                .into_iter()
                .filter_map(|(at, len)| {
                    Range::from_numbers(family, first.checked_add(at)?, first.checked_add(at + len)?)
                })
                .collect();
            config
        })
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let ip = prop::sample::select(vec![
        "10.0.0.0",
        "10.0.0.3",
        "10.0.0.200",
        "fd00::1",
        "255.255.255.255",
    ])
    .prop_map(|ip| ip.parse::<IpAddr>().unwrap());
    prop_oneof![
        6 => Just(Wish::default()),
        1 => prop::collection::vec(ip, 1..3).prop_map(|static_ips| Wish { static_ips, ..Wish::default() }),
        1 => Just(Wish { gateway: true, ..Wish::default() }),
        1 => (-1..12_i32, any::<bool>())
            .prop_map(|(index, gateway)| Wish { index: Some(index), gateway, ..Wish::default() }),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let pools = || prop::collection::vec(prop::sample::select(&NAMES[..]), 1..3);
    let container = || (0..12_u8).prop_map(|n| format!("c{n}"));
    let network = || prop::sample::select(vec!["", "mynet", "other"]);
    prop_oneof![
        8 => (container(), pools(), network(), any_wish()).prop_map(|(container, pools, network, wish)| {
            Step::Add(AllocateCall { network: network.to_owned(), wish, ..add(&container, &pools) })
        }),
        4 => (container(), pools(), network()).prop_map(|(container, pools, network)| {
            let pools = pools.into_iter().map(key).collect();
            Step::Del(ReleaseCall { pools, network: network.to_owned(), owner: owner(&container) })
        }),
        1 => (0..40_i64).prop_map(Step::ReleaseRow),
        1 => prop::collection::vec(any_pool(), 0..4).prop_map(Step::Table),
    ]
}

fn follow(start: Vec<NodePool>, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    let mut subject = Subject {
        ledger: Ledger::new(Knowledge::Nothing),
        made: 0,
    };
    for step in std::iter::once(Step::Table(start)).chain(steps) {
        match step {
            Step::Add(call) => prop_assert_eq!(subject.add(&call), model.add(&call), "{:?}", call),
            Step::Del(call) => {
                for id in subject.ledger.released_by(&call) {
                    subject.ledger.remove(id);
                }
                model.held.retain(|h| {
                    let named = call.pools.contains(&key(&h.pool));
                    let by_network = !call.network.is_empty() && call.network == h.network;
                    h.container != call.owner.container || !(named || by_network)
                });
            }
            Step::ReleaseRow(id) => {
                subject.ledger.remove(RowId(id));
                model.held.retain(|h| h.id != id);
            }
            Step::Table(table) => {
                subject.ledger.set_table(table.clone(), Knowledge::Synced);
                model.set_table(&table);
            }
        }
        let held: Vec<_> = subject
            .ledger
            .reservations()
            .map(|r| (r.id.0, r.pool.name(), r.address))
            .collect();
        let expected: Vec<_> = model.held.iter().map(|h| (h.id, &*h.pool, h.address)).collect();
        prop_assert_eq!(held, expected);
        let counts: BTreeMap<_, _> = subject
            .ledger
            .counts()
            .map(|(key, c)| (key.name().to_owned(), c))
            .collect();
        for (name, config) in &model.table {
            prop_assert_eq!(counts[name], model.counts(config), "{}", name);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_ledger_does_what_the_model_does(
        start in prop::collection::vec(any_pool(), 1..4),
        steps in prop::collection::vec(any_step(), 0..40),
    ) {
        follow(start, steps)?;
    }

    #[test]
    fn a_range_of_2_to_the_62_costs_no_more(containers in prop::collection::vec((0..12_u8, any::<bool>()), 0..60)) {
        let config = NodePool {
            exclusions: vec![Range::new("fd00::3".parse().unwrap(), "fd00::103".parse().unwrap()).unwrap()],
            ..pool("a", "fd00::", "fd00::3fff:ffff:ffff:ffff")
        };
        let mut model = Model::default();
        let mut subject = Subject { ledger: Ledger::new(Knowledge::Nothing), made: 0 };
        subject.ledger.set_table(vec![config.clone()], Knowledge::Synced);
        model.set_table(&[config]);
        for (container, del) in containers {
            let name = format!("c{container}");
            if del {
                let call = ReleaseCall { pools: vec![key("a")], network: String::new(), owner: owner(&name) };
                for id in subject.ledger.released_by(&call) {
                    subject.ledger.remove(id);
                }
                model.held.retain(|h| h.container != name);
            } else {
                prop_assert_eq!(subject.add(&add(&name, &["a"])), model.add(&add(&name, &["a"])));
            }
        }
        let (_, counts) = subject.ledger.counts().next().unwrap();
        prop_assert_eq!(counts.free + counts.excluded + counts.used, 1 << 62);
    }
}

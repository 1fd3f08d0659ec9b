//! What may come: pools, wishes, requests.

use std::net::IpAddr;

use api::node_pool::NodePool;
use api::pool_key::{PoolKey, PoolKind};
use api::range::{Family, Range};
use api::subnet::Subnet;
use ipnet::IpNet;
use proptest::prelude::*;

use super::Step;
use super::model::{Configured, Others};
use crate::call::{AllocateCall, ReleaseCall, Wish};
use crate::ledger::testing::{add, owner};
use crate::table::{Knowledge, Known};

const KEYS: [(PoolKind, &str); 4] = [
    (PoolKind::IpPool, "a"),
    (PoolKind::IpPool, "b"),
    (PoolKind::CidrPool, "a"),
    (PoolKind::CidrPool, "c"),
];

/// Where ranges begin. Each is the first address of a subnet of eight.
const BASES: [(Family, u128); 5] = [
    (Family::V4, 0x0a00_0000),
    (Family::V4, u32::MAX as u128 - 31),
    (Family::V6, 0xfd00 << 112),
    // The numbers of an IPv4 range: a pool made anew with another family.
    (Family::V6, 0x0a00_0000),
    (Family::V6, u128::MAX - 31),
];

fn any_key() -> impl Strategy<Value = PoolKey> {
    prop::sample::select(&KEYS[..]).prop_map(|(kind, name)| PoolKey::new(kind, name))
}

fn address(family: Family, n: u128) -> Option<IpAddr> {
    Range::from_numbers(family, n, n).map(|range| range.first())
}

/// Up to two ranges near `first`.
fn some_ranges(family: Family, first: u128) -> impl Strategy<Value = Vec<Range>> {
    prop::collection::vec((0..20_u128, 0..4_u128), 0..3).prop_map(move |pairs| {
        let range = |(at, length)| {
            Range::from_numbers(family, first.checked_add(at)?, first.checked_add(at + length)?)
        };
        pairs.into_iter().filter_map(range).collect()
    })
}

fn some_routes(family: Family) -> impl Strategy<Value = Vec<IpNet>> {
    let all = match family {
        Family::V4 => ["9.0.0.0/16", "5.5.0.0/24", "5.5.0.0/16", "0.0.0.0/8"],
        Family::V6 => ["9::/16", "5:5::/64", "5:5::/32", "::/8"],
    };
    let route = prop::sample::select(all.to_vec()).prop_map(|route| route.parse().unwrap());
    prop::collection::vec(route, 0..5)
}

/// Who has which addresses near `first`, and what is excluded. Their ranges may intersect, as after an edit by hand.
fn any_others(family: Family, first: u128) -> impl Strategy<Value = Others> {
    let blocks = prop::collection::vec((6..18_u128, 0..8_u128), 0..4);
    (blocks, some_ranges(family, first)).prop_map(move |(blocks, excluded)| {
        let range = |(node, (at, length))| {
            let range = Range::from_numbers(family, first.checked_add(at)?, first.checked_add(at + length)?)?;
            Some((format!("host-{node}"), range))
        };
        Others {
            ranges: (0_u8..).zip(blocks).filter_map(range).collect(),
            excluded,
        }
    })
}

pub(super) fn any_pool() -> impl Strategy<Value = Configured> {
    (any_key(), prop::sample::select(&BASES[..])).prop_flat_map(|(key, (family, first))| {
        (
            (Just(key), 1..=8_u128, 0..=3_u8),
            prop::option::of(0..12_u128),
            (some_ranges(family, first), some_routes(family), any::<bool>()),
            prop::option::of(any_others(family, first)),
        )
            .prop_map(
                move |((key, size, host_bits), gateway, (exclusions, routes, default), others)| {
                    let (subnet, range) = match key.kind() {
                        PoolKind::IpPool => {
                            let range = Range::from_numbers(family, first, first + size - 1).unwrap();
                            let subnet = Subnet::of(range.first(), family.bits() - 5).unwrap();
                            (subnet, range)
                        }
                        PoolKind::CidrPool => {
                            let first = address(family, first).unwrap();
                            let prefix = Subnet::of(first, family.bits() - host_bits).unwrap();
                            (prefix, prefix.usable())
                        }
                    };
                    let others = match key.kind() {
                        PoolKind::IpPool => others,
                        // Nothing is said of them.
                        PoolKind::CidrPool => None,
                    };
                    let config = NodePool {
                        uid: format!("uid-of-{key}"),
                        key,
                        subnet: subnet.net(),
                        range,
                        gateway: gateway
                            .and_then(|at| address(family, first.checked_add(at)?))
                            .filter(|ip| subnet.contains(*ip)),
                        exclusions,
                        default_gateway: default,
                        routes,
                    };
                    Configured { config, others }
                },
            )
    })
}

pub(super) fn any_known() -> impl Strategy<Value = Known> {
    let before = prop::sample::select(vec![Knowledge::Nothing, Knowledge::Persisted]);
    let kinds = prop::sample::subsequence(vec![PoolKind::IpPool, PoolKind::CidrPool], 0..=2);
    (before, kinds).prop_map(|(before, kinds)| {
        let mut known = Known::both(before);
        for kind in kinds {
            known.synced(kind);
        }
        known
    })
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let ip = (prop::sample::select(&BASES[..]), 0..18_u128)
        .prop_filter_map("no address", |((family, first), at)| {
            address(family, first.checked_add(at)?)
        });
    prop_oneof![
        5 => Just(Wish::default()),
        3 => prop::collection::vec(ip, 1..3).prop_map(|static_ips| Wish { static_ips, ..Wish::default() }),
        1 => Just(Wish { gateway: true, ..Wish::default() }),
        1 => (-1..12_i32, any::<bool>())
            .prop_map(|(index, gateway)| Wish { index: Some(index), gateway, ..Wish::default() }),
    ]
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let pools = || prop::collection::vec(any_key(), 1..3);
    let container = || (0..12_u8).prop_map(|n| format!("c{n}"));
    let network = || prop::sample::select(vec!["", "mynet", "other"]);
    prop_oneof![
        8 => (container(), pools(), network(), any_wish()).prop_map(|(container, pools, network, wish)| {
            Step::Add(AllocateCall { pools, network: network.to_owned(), wish, ..add(&container, &[]) })
        }),
        4 => (container(), pools(), network()).prop_map(|(container, pools, network)| {
            Step::Del(ReleaseCall { pools, network: network.to_owned(), owner: owner(&container) })
        }),
        1 => (0..40_i64).prop_map(Step::ReleaseRow),
        1 => (prop::collection::vec(any_pool(), 0..5), any_known())
            .prop_map(|(pools, known)| Step::Table(pools, known)),
    ]
}

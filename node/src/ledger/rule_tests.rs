//! What an ADD gets from a pool as users write it (contract B.4, B.6, B.7), from the spec to the answer.
//!
//! host-a has the first block or prefix, host-b the second one.

use std::net::IpAddr;

use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use api::pool_key::{PoolKey, PoolKind};
use serde_json::{Value, json};
use tonic::Code;

use super::testing::{Writerless, add};
use crate::call::{AllocateCall, Wish};
use crate::refusal::Refusal;
use crate::reservation::Grant;
use crate::table::{Knowledge, Known, PoolObject, PoolResource, Table};

fn object<K: PoolResource>(name: &str, spec: &Value, allocations: &Value) -> PoolObject<K> {
    let object = serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "kube-system", "uid": format!("uid-of-{name}")},
        "spec": spec, "status": {"allocations": allocations},
    }));
    PoolObject::new(object.unwrap(), "host-a")
}

fn ippool(name: &str, spec: &Value, blocks: [(&str, &str); 2]) -> PoolObject<IPPool> {
    let block = |node: &str, (first, last)| json!({"nodeName": node, "startIP": first, "endIP": last});
    object(
        name,
        spec,
        &json!([block("host-a", blocks[0]), block("host-b", blocks[1])]),
    )
}

fn cidrpool(name: &str, spec: &Value, prefixes: [&str; 2]) -> PoolObject<CIDRPool> {
    let prefix = |node: &str, prefix| json!({"nodeName": node, "prefix": prefix});
    object(
        name,
        spec,
        &json!([prefix("host-a", prefixes[0]), prefix("host-b", prefixes[1])]),
    )
}

/// A node with these pools, all of which can be followed.
fn node(ippools: &[PoolObject<IPPool>], cidrpools: &[PoolObject<CIDRPool>]) -> Writerless {
    let table = Table::default()
        .follow(ippools, "host-a")
        .follow(cidrpools, "host-a");
    assert!(table.troubles.is_empty(), "{:?}", table.troubles);
    let mut node = Writerless::default();
    node.ledger.set_table(table);
    node
}

/// The IPPool `p`: 192.168.0.0/16 in blocks of 24, with this besides.
fn blocks(more: &Value) -> PoolObject<IPPool> {
    let mut spec = json!({"subnet": "192.168.0.0/16", "perNodeBlockSize": 24});
    merge(&mut spec, more);
    ippool(
        "p",
        &spec,
        [("192.168.0.1", "192.168.0.24"), ("192.168.0.25", "192.168.0.48")],
    )
}

/// The CIDRPool `p`: 192.168.0.0/16 in prefixes of length 24, with this besides.
fn prefixes(more: &Value) -> PoolObject<CIDRPool> {
    let mut spec = json!({"cidr": "192.168.0.0/16", "perNodeNetworkPrefix": 24});
    merge(&mut spec, more);
    cidrpool("p", &spec, ["192.168.0.0/24", "192.168.1.0/24"])
}

fn merge(spec: &mut Value, more: &Value) {
    let more = more.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(more);
}

fn call(kind: PoolKind, container: &str, wish: Wish) -> AllocateCall {
    AllocateCall {
        pools: vec![PoolKey::new(kind, "p")],
        wish,
        ..add(container, &[])
    }
}

fn asking_for(ip: &str) -> Wish {
    Wish {
        static_ips: vec![ip.parse().unwrap()],
        ..Wish::default()
    }
}

fn at_index(index: i32) -> Wish {
    Wish {
        index: Some(index),
        ..Wish::default()
    }
}

fn gateways() -> Wish {
    Wish {
        gateway: true,
        ..Wish::default()
    }
}

/// Gets one address of the pool `p` for a container of its own.
fn get(node: &mut Writerless, kind: PoolKind, wish: Wish) -> Result<Grant, Refusal> {
    let container = format!("c{}", node.ledger.reservations().count());
    Ok(node.add(&call(kind, &container, wish))?.remove(0))
}

fn address(grant: Result<Grant, Refusal>) -> String {
    grant.unwrap().address.to_string()
}

const IP: PoolKind = PoolKind::IpPool;
const CIDR: PoolKind = PoolKind::CidrPool;

/// Contract B.4.6: the examples of both READMEs, in which the two kinds of exclusions overlap on the first node.
#[test]
fn overlapping_exclusions_leave_the_first_address_behind_both() {
    let both = json!({
        "exclusions": [{"startIP": "192.168.0.10", "endIP": "192.168.0.20"}],
        "perNodeExclusions": [{"startIndex": 0, "endIndex": 10}],
    });
    let mut node = node(&[blocks(&both)], &[prefixes(&both)]);
    assert_eq!(address(get(&mut node, IP, Wish::default())), "192.168.0.21/16");
    assert_eq!(address(get(&mut node, CIDR, Wish::default())), "192.168.0.21/24");
}

/// Contract B.7: of an IPPool they count from the block's start, of a CIDRPool from the network address.
#[test]
fn index_exclusions_count_from_another_base_in_each_kind() {
    let first_two = json!({"perNodeExclusions": [{"startIndex": 0, "endIndex": 1}]});
    let mut node = node(&[blocks(&first_two)], &[prefixes(&first_two)]);
    assert_eq!(address(get(&mut node, IP, Wish::default())), "192.168.0.3/16");
    assert_eq!(address(get(&mut node, CIDR, Wish::default())), "192.168.0.2/24");
}

/// Contract B.6.6: would not end if it went address by address.
#[test]
fn excluding_2_to_the_31_indexes_takes_no_time() {
    let all = json!([{"startIndex": 0, "endIndex": i32::MAX}, {"startIndex": 7, "endIndex": i32::MAX}]);
    let spec = json!({"subnet": "fd00::/48", "perNodeBlockSize": 1_u64 << 62, "perNodeExclusions": all});
    let ends = [
        ("fd00::1", "fd00::4000:0:0:0"),
        ("fd00::4000:0:0:1", "fd00::8000:0:0:0"),
    ];
    let prefixes = json!({"cidr": "fd00::/48", "perNodeNetworkPrefix": 64, "perNodeExclusions": all});
    let prefixes = cidrpool("p", &prefixes, ["fd00::/64", "fd00:0:0:1::/64"]);
    let mut node = node(&[ippool("p", &spec, ends)], &[prefixes]);
    assert_eq!(address(get(&mut node, IP, Wish::default())), "fd00::8000:1/48");
    assert_eq!(address(get(&mut node, CIDR, Wish::default())), "fd00::8000:0/64");
}

/// Contract B.6.
#[test]
fn neither_gateway_nor_network_nor_broadcast_address_is_handed_out_but_the_last_of_ipv6_is() {
    let all_of = |cidr: &str, length: u8, prefixes: [&str; 2]| {
        let spec = json!({"cidr": cidr, "perNodeNetworkPrefix": length, "gatewayIndex": 1});
        let mut node = node(&[], &[cidrpool("p", &spec, prefixes)]);
        std::iter::from_fn(|| get(&mut node, CIDR, Wish::default()).ok())
            .map(|grant| grant.address.addr().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        all_of("10.0.0.0/24", 29, ["10.0.0.0/29", "10.0.0.8/29"]),
        ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
    );
    assert_eq!(
        all_of("fd00::/64", 126, ["fd00::/126", "fd00::4/126"]),
        ["fd00::2", "fd00::3"]
    );
    assert_eq!(
        all_of("10.0.0.0/24", 31, ["10.0.0.0/31", "10.0.0.2/31"]),
        ["10.0.0.0"]
    );
}

/// Contract B.4.3.
#[test]
fn an_address_of_the_own_range_is_given_by_name_whatever_excludes_it() {
    let closed = json!({
        "gateway": "192.168.0.1",
        "exclusions": [{"startIP": "192.168.0.10", "endIP": "192.168.0.20"}],
        "perNodeExclusions": [{"startIndex": 22, "endIndex": 23}],
    });
    let mut ippools = node(&[blocks(&closed)], &[]);
    for ip in ["192.168.0.15", "192.168.0.24", "192.168.0.1"] {
        assert_eq!(address(get(&mut ippools, IP, asking_for(ip))), format!("{ip}/16"));
    }
    let closed = json!({
        "gatewayIndex": 1,
        "exclusions": [{"startIP": "192.168.0.10", "endIP": "192.168.0.20"}],
        "perNodeExclusions": [{"startIndex": 100, "endIndex": 254}],
    });
    let mut cidrpools = node(&[], &[prefixes(&closed)]);
    for ip in [
        "192.168.0.0",
        "192.168.0.255",
        "192.168.0.1",
        "192.168.0.15",
        "192.168.0.200",
    ] {
        assert_eq!(
            address(get(&mut cidrpools, CIDR, asking_for(ip))),
            format!("{ip}/24")
        );
    }
    assert_eq!(
        address(get(&mut cidrpools, CIDR, Wish::default())),
        "192.168.0.2/24",
        "the place has not moved"
    );
}

/// Contract, decisions, B.4.3.
#[test]
fn an_address_of_another_node_is_refused_and_the_node_is_named() {
    let mut ippools = node(&[blocks(&json!({}))], &[]);
    let refusal = get(&mut ippools, IP, asking_for("192.168.0.30")).unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
    assert_eq!(
        refusal.to_string(),
        "requested IP 192.168.0.30 can't be allocated from pool \"p\", poolType \"ippool\": it is in the range of node \
         host-b; ask for an address of this node's range 192.168.0.1-192.168.0.24, or exclude 192.168.0.30 by the pool's \
         spec.exclusions so that no node hands it out by itself, once no pod on host-b holds it (`ipam-node store list` there)"
    );
    assert_eq!(ippools.ledger.reservations().count(), 0);
    // A CIDRPool's prefixes are subnets of their own: what isn't in this one is in no pool.
    let mut cidrpools = node(&[], &[prefixes(&json!({}))]);
    let refusal = get(&mut cidrpools, CIDR, asking_for("192.168.1.9"));
    assert_eq!(refusal, Err(Refusal::Unmatched("192.168.1.9".parse().unwrap())));
}

/// Contract, decisions, B.4.3.
#[test]
fn an_address_of_no_node_or_one_that_no_node_hands_out_is_given() {
    let excluded = json!({"exclusions": [{"startIP": "192.168.0.30", "endIP": "192.168.0.30"}]});
    let mut node = node(&[blocks(&excluded)], &[]);
    for ip in ["192.168.0.30", "192.168.0.49", "192.168.0.0", "192.168.255.255"] {
        assert_eq!(address(get(&mut node, IP, asking_for(ip))), format!("{ip}/16"));
    }
    // Once per node.
    let again = get(&mut node, IP, asking_for("192.168.0.49"));
    assert_eq!(again, Err(Refusal::Taken(PoolKey::new(IP, "p"))));
}

/// The daemon of that node goes on with what it had.
#[test]
fn while_the_entry_of_a_node_cannot_be_read_only_what_is_certainly_of_no_node_is_given_by_name() {
    let spec = json!({"subnet": "192.168.0.0/16", "perNodeBlockSize": 24,
        "exclusions": [{"startIP": "192.168.0.30", "endIP": "192.168.0.30"}]});
    let pool = ippool(
        "p",
        &spec,
        [("192.168.0.1", "192.168.0.24"), ("192.168.0.25", "")],
    );
    let mut node = node(&[pool], &[]);
    let refusal = get(&mut node, IP, asking_for("192.168.0.31")).unwrap_err();
    assert_eq!(refusal.code(), Code::Unavailable);
    assert_eq!(
        refusal.to_string(),
        "requested IP 192.168.0.31 is outside of this node's range 192.168.0.1-192.168.0.24 of pool \"p\", poolType \
         \"ippool\", and may be in the range of node host-b, whose entry in the pool's status.allocations can't be read; \
         correct that entry"
    );
    for ip in ["192.168.0.9", "192.168.0.30"] {
        assert_eq!(address(get(&mut node, IP, asking_for(ip))), format!("{ip}/16"));
    }
}

#[test]
fn while_others_are_not_known_only_the_own_range_is_given_by_name() {
    let known = Table::default().follow(&[blocks(&json!({"gateway": "192.168.0.40"}))], "host-a");
    let known = known.follow(&[prefixes(&json!({}))], "host-a");
    let mut node = Writerless::default();
    node.ledger
        .set_table(Table::of(known.pools.into_values(), Knowledge::Persisted));
    let refusal = get(&mut node, IP, asking_for("192.168.9.9")).unwrap_err();
    assert_eq!(refusal.code(), Code::Unavailable);
    assert!(
        refusal
            .to_string()
            .contains("which ranges other nodes have is not known yet"),
        "{refusal}"
    );
    assert_eq!(
        address(get(&mut node, IP, asking_for("192.168.0.9"))),
        "192.168.0.9/16"
    );
    assert_eq!(address(get(&mut node, IP, gateways())), "192.168.0.40/16");
    assert_eq!(
        address(get(&mut node, CIDR, asking_for("192.168.0.0"))),
        "192.168.0.0/24"
    );
}

/// Contract B.4.4: the same address on every node that asks, so it may be in another node's range.
#[test]
fn the_gateways_address_is_given_without_gateway_and_routes() {
    let routes = json!({"defaultGateway": true, "routes": [{"dst": "5.5.0.0/16"}]});
    let with = |gateway: &str, value: Value| {
        let mut more = routes.clone();
        more[gateway] = value;
        more
    };
    let mut ippools = node(&[blocks(&with("gateway", json!("192.168.0.30")))], &[]);
    let mut cidrpools = node(&[], &[prefixes(&with("gatewayIndex", json!(9)))]);
    for (node, kind, ip) in [
        (&mut ippools, IP, "192.168.0.30/16"),
        (&mut cidrpools, CIDR, "192.168.0.9/24"),
    ] {
        let grant = get(node, kind, gateways()).unwrap();
        assert_eq!((grant.address.to_string().as_str(), grant.gateway), (ip, None));
        assert_eq!(grant.routes, []);
        assert_eq!(
            get(node, kind, gateways()),
            Err(Refusal::Taken(PoolKey::new(kind, "p")))
        );
    }
    let mut none = node(&[blocks(&json!({}))], &[]);
    assert_eq!(
        get(&mut none, IP, gateways()),
        Err(Refusal::NoGateway(PoolKey::new(IP, "p")))
    );
}

/// Contract B.4.5: from the block's start, and from the first usable address of a prefix.
#[test]
fn an_index_counts_from_the_first_address_that_a_node_can_hand_out() {
    let mut both = node(&[blocks(&json!({}))], &[prefixes(&json!({}))]);
    assert_eq!(address(get(&mut both, IP, at_index(0))), "192.168.0.1/16");
    assert_eq!(address(get(&mut both, IP, at_index(23))), "192.168.0.24/16");
    assert_eq!(address(get(&mut both, CIDR, at_index(0))), "192.168.0.1/24");
    assert_eq!(address(get(&mut both, CIDR, at_index(253))), "192.168.0.254/24");
    for (kind, index) in [(IP, 24), (CIDR, 254), (IP, -1), (CIDR, i32::MAX)] {
        assert_eq!(
            get(&mut both, kind, at_index(index)),
            Err(Refusal::IndexOutside(index))
        );
    }
    for (cidr, length, prefixes, first) in [
        ("10.0.0.0/24", 31, ["10.0.0.4/31", "10.0.0.6/31"], "10.0.0.4/31"),
        ("10.0.0.0/24", 32, ["10.0.0.4/32", "10.0.0.5/32"], "10.0.0.4/32"),
        ("fd00::/64", 127, ["fd00::4/127", "fd00::6/127"], "fd00::4/127"),
        ("fd00::/64", 128, ["fd00::4/128", "fd00::5/128"], "fd00::4/128"),
        (
            "fd00::/64",
            120,
            ["fd00::100/120", "fd00::200/120"],
            "fd00::101/120",
        ),
    ] {
        let spec = json!({"cidr": cidr, "perNodeNetworkPrefix": length});
        let mut small = node(&[], &[cidrpool("p", &spec, prefixes)]);
        assert_eq!(address(get(&mut small, CIDR, at_index(0))), first);
    }
}

/// Contract B.4.5.
#[test]
fn the_gateways_index_is_refused_and_an_excluded_one_is_not() {
    let more = |gateway: &str, value: Value| {
        let mut more = json!({"perNodeExclusions": [{"startIndex": 3, "endIndex": 9}]});
        more[gateway] = value;
        more
    };
    let ippools = [blocks(&more("gateway", json!("192.168.0.3")))];
    let mut both = node(&ippools, &[prefixes(&more("gatewayIndex", json!(3)))]);
    for kind in [IP, CIDR] {
        assert_eq!(get(&mut both, kind, at_index(2)), Err(Refusal::IndexIsGateway(2)));
        assert!(
            get(&mut both, kind, at_index(5))
                .unwrap()
                .address
                .to_string()
                .starts_with("192.168.0.6/")
        );
    }
}

/// Contract B.4.11.
#[test]
fn routes_go_through_the_gateway_the_default_of_its_family_first() {
    let v4 = json!({
        "gatewayIndex": 1, "defaultGateway": true,
        "routes": [{"dst": "9.0.0.0/16"}, {"dst": "5.5.0.7/16"}, {"dst": "5.5.0.0/24"}, {"dst": "5.5.0.0/16"}],
    });
    let v6 = json!({
        "subnet": "fd00::/64", "perNodeBlockSize": 16, "gateway": "fd00::1", "defaultGateway": true,
        "routes": [{"dst": "2001:db8::/32"}, {"dst": "1::/16"}],
    });
    let v6 = ippool("p", &v6, [("fd00::1", "fd00::10"), ("fd00::11", "fd00::20")]);
    let mut both = node(&[v6], &[prefixes(&v4)]);
    let mut routes = |kind: PoolKind| -> (Option<IpAddr>, Vec<String>) {
        let grant = get(&mut both, kind, Wish::default()).unwrap();
        (
            grant.gateway,
            grant.routes.iter().map(ToString::to_string).collect(),
        )
    };
    let (gateway, routes_v4) = routes(CIDR);
    assert_eq!(gateway, "192.168.0.1".parse().ok());
    assert_eq!(routes_v4, ["0.0.0.0/0", "5.5.0.0/16", "5.5.0.0/24", "9.0.0.0/16"]);
    let (gateway, routes_v6) = routes(IP);
    assert_eq!(gateway, "fd00::1".parse().ok());
    assert_eq!(routes_v6, ["::/0", "1::/16", "2001:db8::/32"]);
}

/// Contract B.4, B.6: uniqueness is per pool, and two pools are given together or not at all.
#[test]
fn two_pools_of_a_kind_are_apart_and_given_together() {
    let small = json!({"cidr": "10.0.0.0/24", "perNodeNetworkPrefix": 30});
    let mut node = node(
        &[],
        &[
            cidrpool("p", &small, ["10.0.0.0/30", "10.0.0.4/30"]),
            cidrpool("q", &small, ["10.0.0.0/30", "10.0.0.4/30"]),
        ],
    );
    let both = |container: &str| AllocateCall {
        pools: ["p", "q"].map(|name| PoolKey::new(CIDR, name)).to_vec(),
        ..add(container, &[])
    };
    let given = node.add(&both("a")).unwrap();
    assert_eq!(
        given[0].address, given[1].address,
        "the pools don't know of each other"
    );
    assert_eq!(
        node.add(&both("a")),
        Err(Refusal::AlreadyAllocated(PoolKey::new(CIDR, "p")))
    );
    get(&mut node, CIDR, Wish::default()).unwrap();
    assert_eq!(
        node.add(&both("b")),
        Err(Refusal::NoFreeAddress(PoolKey::new(CIDR, "p")))
    );
    let other_way_round = AllocateCall {
        pools: ["q", "p"].map(|name| PoolKey::new(CIDR, name)).to_vec(),
        ..add("b", &[])
    };
    assert_eq!(
        node.add(&other_way_round),
        Err(Refusal::NoFreeAddress(PoolKey::new(CIDR, "p")))
    );
    assert_eq!(
        node.ledger.reservations().count(),
        3,
        "nothing of q was reserved for b"
    );
}

/// An IPPool and a CIDRPool of one name are two pools, and each kind is known or not by itself.
#[test]
fn what_is_not_there_is_not_found_only_if_its_kind_is_known() {
    let ippools = Table::default().follow(&[blocks(&json!({}))], "host-a");
    let mut node = Writerless::default();
    node.ledger.set_table(ippools.clone());
    assert_eq!(address(get(&mut node, IP, Wish::default())), "192.168.0.1/16");
    let unknown = get(&mut node, CIDR, Wish::default()).unwrap_err();
    assert_eq!(unknown, Refusal::NotSynced(PoolKey::new(CIDR, "p")));
    assert_eq!(unknown.code(), Code::Unavailable);

    node.ledger.set_table(ippools.follow::<CIDRPool>(&[], "host-a"));
    let missing = get(&mut node, CIDR, Wish::default());
    assert_eq!(missing, Err(Refusal::UnknownPool(PoolKey::new(CIDR, "p"))));
    assert_eq!(address(get(&mut node, IP, Wish::default())), "192.168.0.2/16");
    assert_eq!(node.ledger.known(), Known::both(Knowledge::Synced));
}

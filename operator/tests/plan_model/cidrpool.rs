//! The model of a CIDRPool.

use std::collections::BTreeSet;

use api::cidrpool::{CIDRPool, CIDRPoolAllocation};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::cluster::NODES;
use crate::common::{prefix, worker_selector};
use crate::model::{Grid, Modelled, exclusions};
use crate::span::{Span, address, network, number};

/// Networks and prefix lengths: tiny ones, point-to-point and single addresses, the ends of the address space, huge
/// prefixes.
const LAYOUTS: [(&str, u32); 18] = [
    ("10.0.0.0/26", 29),
    ("10.0.0.0/27", 30),
    ("10.0.0.0/28", 31),
    ("10.0.0.0/29", 32),
    ("10.0.0.0/29", 29),
    ("10.0.0.6/31", 31),
    ("10.0.0.9/32", 32),
    ("255.255.255.192/26", 28),
    ("0.0.0.0/0", 2),
    ("fd00::/122", 125),
    ("fd00::/123", 126),
    ("fd00::/124", 127),
    ("fd00::/125", 128),
    ("fd00::2/127", 127),
    ("fd00::9/128", 128),
    ("fd00::/61", 64),
    ("8000::/1", 3),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffc0/122", 124),
];

impl Modelled for CIDRPool {
    const NETWORK: &'static str = "cidr";

    fn specs() -> BoxedStrategy<Value> {
        let offset = 0_u128..70;
        (
            prop::sample::select(&LAYOUTS[..]),
            any::<bool>(),
            prop::option::of(0_u128..6),
            prop::collection::vec((offset.clone(), offset, any::<bool>()), 0..3),
            prop::collection::vec((0_i32..8, 0_i32..8), 0..2),
            prop::collection::vec(
                (
                    0_u128..8,
                    prop::option::of(0..NODES.len()),
                    prop::option::of(0_u128..8),
                ),
                0..4,
            ),
        )
            .prop_map(|((cidr, length), selector, gateway, ranges, indexes, statics)| {
                let (whole, size) = (network(cidr).unwrap().0, size(cidr, length));
                let mut spec = exclusions(whole, size, &ranges, &indexes);
                spec["cidr"] = json!(cidr);
                spec["perNodeNetworkPrefix"] = json!(length);
                if let Some(gateway) = gateway {
                    spec["gatewayIndex"] = json!(gateway_index(whole.v6, size, gateway));
                }
                if selector {
                    spec["nodeSelector"] = worker_selector();
                }
                spec["staticAllocations"] = static_allocations(whole, size, length, &statics);
                spec
            })
            .boxed()
    }

    fn span(entry: &CIDRPoolAllocation) -> Option<Span> {
        let (span, _) = network(&entry.prefix)?;
        let (base, _) = entry.prefix.split_once('/')?;
        (number(base.parse().ok()?).1 == span.first).then_some(span)
    }

    fn grid(spec: &Value) -> Grid {
        let cidr = spec["cidr"].as_str().unwrap();
        let (whole, _) = network(cidr).unwrap();
        let size = size(cidr, length(spec));
        Grid {
            whole,
            size,
            // The broadcast address.
            tail: u128::from(!whole.v6 && size > 2),
            but: None,
            kept: statics(spec)
                .map(|allocation| {
                    let node = allocation["nodeName"].as_str().map(str::to_owned);
                    (node, network(allocation["prefix"].as_str().unwrap()).unwrap().0)
                })
                .collect(),
        }
    }

    fn entry(spec: &Value, node: &str, span: Span) -> CIDRPoolAllocation {
        let text = format!("{}/{}", address(span.v6, span.first), length(spec));
        let own = statics(spec).find(|a| a["nodeName"] == node && a["prefix"] == text.as_str());
        let own_gateway = own.and_then(|allocation| allocation["gateway"].as_str());
        let at_index = spec["gatewayIndex"]
            .as_u64()
            .map(|index| address(span.v6, span.first + u128::from(index)));
        let gateway = own_gateway
            .map(str::to_owned)
            .or(at_index.map(|ip| ip.to_string()));
        prefix(node, &text, &gateway.unwrap_or_default())
    }

    fn damaged(mut entry: CIDRPoolAllocation, how: usize) -> CIDRPoolAllocation {
        entry.prefix = match how % 4 {
            0 => "damaged".to_owned(),
            1 => entry.prefix.replace('/', " "),
            2 => "10.0.0.1/24".to_owned(),
            _ => format!("{}9", entry.prefix.replace('/', "/9")),
        };
        entry
    }
}

fn length(spec: &Value) -> u32 {
    spec["perNodeNetworkPrefix"].as_u64().unwrap().try_into().unwrap()
}

/// Addresses in a prefix of this length.
fn size(cidr: &str, length: u32) -> u128 {
    let bits = if cidr.contains(':') { 128 } else { 32 };
    1 << (bits - length)
}

/// An index that a gateway can have, near `wanted`.
fn gateway_index(v6: bool, size: u128, wanted: u128) -> u128 {
    match size {
        1 | 2 => wanted % size,
        _ => wanted.clamp(1, if v6 { size - 1 } else { size - 2 }),
    }
}

fn statics(spec: &Value) -> impl Iterator<Item = &Value> {
    spec["staticAllocations"].as_array().into_iter().flatten()
}

/// Of prefixes with these ordinals, for these nodes, with gateways at these offsets; each prefix and each node once.
fn static_allocations(
    whole: Span,
    size: u128,
    length: u32,
    wanted: &[(u128, Option<usize>, Option<u128>)],
) -> Value {
    let (mut prefixes, mut nodes) = (BTreeSet::new(), BTreeSet::new());
    let count = (whole.last - whole.first) / size + 1;
    let mut allocations = Vec::new();
    for (ordinal, node, gateway) in wanted {
        let first = whole.first + (ordinal % count) * size;
        if !prefixes.insert(first) || node.is_some_and(|node| !nodes.insert(node)) {
            continue;
        }
        let mut allocation = json!({"prefix": format!("{}/{length}", address(whole.v6, first))});
        if let Some(node) = node {
            allocation["nodeName"] = json!(NODES[*node]);
        }
        if let Some(gateway) = gateway {
            allocation["gateway"] = json!(address(whole.v6, first + gateway % size));
        }
        allocations.push(allocation);
    }
    json!(allocations)
}

//! The model of an IPPool.

use api::ippool::{Allocation, IPPool};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::{entry, worker_selector};
use crate::model::{Grid, Modelled, exclusions};
use crate::span::{Span, address, number, usable};

/// Subnets and block sizes: tiny ones, point-to-point and single addresses, the ends of the address space, huge blocks.
const LAYOUTS: [(&str, i64); 18] = [
    ("10.0.0.0/27", 4),
    ("10.0.0.0/27", 7),
    ("10.0.0.0/27", 1),
    ("10.0.0.0/28", 14),
    ("10.0.0.8/30", 1),
    ("10.0.0.6/31", 1),
    ("10.0.0.6/31", 2),
    ("10.0.0.9/32", 1),
    ("255.255.255.224/27", 5),
    ("0.0.0.0/0", 1 << 30),
    ("fd00::/123", 4),
    ("fd00::/127", 1),
    ("fd00::2/127", 2),
    ("fd00::9/128", 1),
    ("fd00::/64", 1 << 62),
    ("fd00::/61", i64::MAX),
    ("fd00::/60", 1 << 62),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffe0/123", 6),
];

impl Modelled for IPPool {
    const NETWORK: &'static str = "subnet";

    fn specs() -> BoxedStrategy<Value> {
        let offset = 0_u128..40;
        (
            prop::sample::select(&LAYOUTS[..]),
            any::<bool>(),
            prop::option::of(offset.clone()),
            prop::collection::vec((offset.clone(), offset, any::<bool>()), 0..3),
            prop::collection::vec((0_i32..8, 0_i32..8), 0..2),
        )
            .prop_map(|((subnet, size), selector, gateway, ranges, indexes)| {
                let whole = usable(subnet);
                let mut spec = exclusions(whole, u128::try_from(size).unwrap(), &ranges, &indexes);
                spec["subnet"] = json!(subnet);
                spec["perNodeBlockSize"] = json!(size);
                if let Some(offset) = gateway {
                    let gateway = whole.first.saturating_add(offset).min(whole.last);
                    spec["gateway"] = json!(address(whole.v6, gateway));
                }
                if selector {
                    spec["nodeSelector"] = worker_selector();
                }
                spec
            })
            .boxed()
    }

    fn span(entry: &Allocation) -> Option<Span> {
        let (v6, first) = number(entry.start_ip.parse().ok()?);
        let (same, last) = number(entry.end_ip.parse().ok()?);
        (v6 == same && first <= last).then_some(Span { v6, first, last })
    }

    fn grid(spec: &Value) -> Grid {
        let size = spec["perNodeBlockSize"].as_u64().unwrap();
        let gateway = spec["gateway"].as_str().map(|text| number(text.parse().unwrap()));
        let just_gateway = |(v6, n)| Span {
            v6,
            first: n,
            last: n,
        };
        Grid {
            whole: usable(spec["subnet"].as_str().unwrap()),
            size: size.into(),
            tail: 0,
            but: gateway.map(just_gateway),
            kept: Vec::new(),
        }
    }

    fn entry(_: &Value, node: &str, block: Span) -> Allocation {
        let text = |n| address(block.v6, n).to_string();
        entry(node, &text(block.first), &text(block.last))
    }

    fn damaged(mut entry: Allocation, how: usize) -> Allocation {
        let other_family = if entry.start_ip.contains(':') {
            "10.0.0.1"
        } else {
            "fd00::1"
        };
        match how % 4 {
            0 => "damaged".clone_into(&mut entry.start_ip),
            1 => "10.0.0.oops".clone_into(&mut entry.end_ip),
            2 => {
                "damaged".clone_into(&mut entry.start_ip);
                entry.end_ip.clear();
            }
            _ => other_family.clone_into(&mut entry.start_ip),
        }
        entry
    }
}

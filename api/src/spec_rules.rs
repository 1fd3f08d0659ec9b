//! The rules that both kinds of pools have, contract B.12. Each says all that is wrong, and gives what is right.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::common::{ExcludeIndexRange, ExcludeRange, Route};
use crate::range::{Family, Range, parse_address};
use crate::subnet::{Subnet, parse_net};
use crate::validate::{Faults, is_network_name};

pub(crate) fn pool_name(name: &str, kind: &str, faults: &mut Faults) {
    if !is_network_name(name) {
        faults.invalid(
            "metadata.name",
            name,
            format!("invalid {kind} pool name, should be compatible with CNI network name"),
        );
    }
}

/// The ranges of `exclusions`, which must lie in `subnet` if that is known.
pub(crate) fn exclusions(
    exclusions: &[ExcludeRange],
    subnet: Option<Subnet>,
    faults: &mut Faults,
) -> Vec<Range> {
    let mut ranges = Vec::with_capacity(exclusions.len());
    for (i, exclusion) in exclusions.iter().enumerate() {
        let mut address = |name: &str, text: &str| {
            let field = format!("spec.exclusions[{i}].{name}");
            let Some(ip) = parse_address(text) else {
                faults.invalid(field, text, "is invalid IP address");
                return None;
            };
            if let Some(subnet) = subnet.filter(|subnet| !subnet.contains(ip)) {
                faults.invalid(field, text, format!("is not part of the {subnet} subnet"));
            }
            Some(ip)
        };
        let first = address("startIP", &exclusion.start_ip);
        let last = address("endIP", &exclusion.end_ip);
        let Some((first, last)) = first.zip(last) else {
            continue;
        };
        match Range::new(first, last) {
            Ok(range) => ranges.push(range),
            Err(_) => faults.invalid(
                format!("spec.exclusions[{i}]"),
                exclusion,
                "endIP should be equal or greater than startIP",
            ),
        }
    }
    ranges
}

/// The intervals of `exclusions`, whose indexes go up to `max` in what the Go version calls the per-node `what`.
pub(crate) fn index_exclusions(
    exclusions: &[ExcludeIndexRange],
    max: i32,
    what: &str,
    faults: &mut Faults,
) -> Vec<(u128, u128)> {
    let mut indexes = Vec::with_capacity(exclusions.len());
    for (i, exclusion) in exclusions.iter().enumerate() {
        let path = format!("spec.perNodeExclusions[{i}]");
        let (first, last) = (exclusion.start_index, exclusion.end_index);
        let mut index = |name: &str, value: i32| {
            let field = format!("{path}.{name}");
            if value > max {
                let detail = format!("index is outside of the per-node {what} range (max: {max})");
                faults.invalid(&field, value, detail);
            }
            let index = u128::try_from(value).ok();
            if index.is_none() {
                faults.invalid(field, value, "must be non-negative");
            }
            index
        };
        let ends = index("startIndex", first).zip(index("endIndex", last));
        if last < first {
            faults.invalid(
                path,
                exclusion,
                "endIndex must be greater than or equal to startIndex",
            );
        } else {
            indexes.extend(ends);
        }
    }
    indexes
}

/// The destinations of `routes`, which must be of `family` if that is known.
pub(crate) fn routes(
    routes: &[Route],
    family: Option<Family>,
    default_gateway: bool,
    faults: &mut Faults,
) -> Vec<IpNet> {
    let mut destinations = Vec::with_capacity(routes.len());
    for (i, route) in routes.iter().enumerate() {
        let field = format!("spec.routes[{i}].dst");
        let Some(destination) = parse_net(&route.dst) else {
            faults.invalid(field, &route.dst, "is invalid subnet");
            continue;
        };
        let other = family.is_some_and(|family| family != Family::of(destination.addr()));
        if other {
            let detail = "is not same address family IPv4/IPv6";
            faults.invalid(&field, &route.dst, detail);
        }
        let second = default_gateway && destination.prefix_len() == 0;
        if second {
            let detail = "default route is not allowed if 'defaultGateway' is true";
            faults.invalid(field, &route.dst, detail);
        }
        if !other && !second {
            destinations.push(destination.trunc());
        }
    }
    destinations
}

/// Neither a default route nor others go without a gateway, which `field` would say.
pub(crate) fn gateway_is_needed(field: &str, default_gateway: bool, routes: &[Route], faults: &mut Faults) {
    if default_gateway {
        let detail = format!("cannot be true if {field} is not set");
        faults.invalid("spec.defaultGateway", true, detail);
    }
    if !routes.is_empty() {
        faults.invalid(
            "spec.routes",
            routes,
            format!("cannot be set if {field} is not set"),
        );
    }
}

/// A text that Go clients send empty for "none".
pub(crate) fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// The address at `index` of `subnet`, counted from its network address, if a gateway can be there: neither the network
/// address nor the IPv4 broadcast address of a subnet that has them.
pub(crate) fn gateway_at(subnet: &Subnet, index: i32) -> Option<IpAddr> {
    let (network, _) = subnet.addresses().numbers();
    let n = network.checked_add(u128::try_from(index).ok()?)?;
    let at = Range::from_numbers(subnet.family(), n, n)?;
    subnet.usable().contains_range(&at).then(|| at.first())
}

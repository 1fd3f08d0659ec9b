//! The routes that a pod gets.

use std::net::IpAddr;

use api::node_pool::NodePool;
use api::range::number;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Destinations that are reached through `gateway`: those of the pool, and the default route of the gateway's family if
/// the pool wants one. The default route first, then by address and mask, each once (contract B.4).
#[must_use]
pub(super) fn through(gateway: IpAddr, pool: &NodePool) -> Vec<IpNet> {
    let mut routes = pool.routes.clone();
    if pool.default_gateway {
        routes.push(everywhere(gateway));
    }
    // Families are sorted by the number of their addresses alone: a pool's routes are all of one family.
    routes.sort_by_key(|route| (route.prefix_len() > 0, number(route.addr()), route.prefix_len()));
    routes.dedup();
    routes
}

fn everywhere(gateway: IpAddr) -> IpNet {
    match gateway {
        IpAddr::V4(_) => Ipv4Net::default().into(),
        IpAddr::V6(_) => Ipv6Net::default().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::pool;

    fn texts(routes: &[&str], default_gateway: bool) -> Vec<String> {
        let mut pool = pool("p", "10.0.0.1", "10.0.0.9");
        pool.routes = routes.iter().map(|r| r.parse().unwrap()).collect();
        pool.default_gateway = default_gateway;
        through("10.0.0.1".parse().unwrap(), &pool)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn the_default_route_is_first_and_nothing_comes_twice() {
        assert_eq!(
            texts(&["9.0.0.0/16", "5.5.0.0/24", "5.5.0.0/16", "9.0.0.0/16"], true),
            ["0.0.0.0/0", "5.5.0.0/16", "5.5.0.0/24", "9.0.0.0/16"]
        );
        assert_eq!(
            texts(&["0.0.0.0/8", "0.0.0.0/0"], true),
            ["0.0.0.0/0", "0.0.0.0/8"]
        );
        assert_eq!(texts(&["9.0.0.0/16"], false), ["9.0.0.0/16"]);
    }

    #[test]
    fn the_default_route_has_the_family_of_the_gateway() {
        let mut pool = pool("p", "fd00::1", "fd00::9");
        pool.default_gateway = true;
        assert_eq!(
            through("fd00::1".parse().unwrap(), &pool),
            ["::/0".parse::<IpNet>().unwrap()]
        );
    }
}

//! A pool as the Go daemon writes it into its store.

use api::node_pool::NodePool;
use serde::Serialize;

/// Every key is always there, in this order (contract B.9).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PoolConfig {
    subnet: String,
    #[serde(rename = "startIP")]
    start_ip: String,
    #[serde(rename = "endIP")]
    end_ip: String,
    gateway: String,
    exclusions: Vec<Exclusion>,
    routes: Vec<Route>,
    default_gateway: bool,
}

#[derive(Serialize)]
struct Exclusion {
    #[serde(rename = "startIP")]
    start_ip: String,
    #[serde(rename = "endIP")]
    end_ip: String,
}

#[derive(Serialize)]
struct Route {
    dst: String,
}

/// The configuration under which an address is given, as the Go daemon writes it: kept with each reservation, so that
/// the store can be given back to it.
pub(super) fn pool_config(pool: &NodePool) -> String {
    let config = PoolConfig {
        subnet: pool.subnet.to_string(),
        start_ip: pool.range.first().to_string(),
        end_ip: pool.range.last().to_string(),
        gateway: pool.gateway.map(|ip| ip.to_string()).unwrap_or_default(),
        exclusions: pool
            .exclusions
            .iter()
            .map(|r| Exclusion {
                start_ip: r.first().to_string(),
                end_ip: r.last().to_string(),
            })
            .collect(),
        routes: pool.routes.iter().map(|r| Route { dst: r.to_string() }).collect(),
        default_gateway: pool.default_gateway,
    };
    // Strings, lists and a bool: there is nothing in it that JSON can't say.
    serde_json::to_string(&config).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::pool;

    #[test]
    fn it_is_what_the_go_daemon_writes() {
        let mut v4 = pool("v4", "10.9.0.1", "10.9.0.10");
        v4.subnet = "10.9.0.0/16".parse().unwrap();
        v4.gateway = "10.9.0.1".parse().ok();
        v4.routes = vec!["5.5.0.0/24".parse().unwrap()];
        v4.default_gateway = true;
        assert_eq!(
            pool_config(&v4),
            r#"{"subnet":"10.9.0.0/16","startIP":"10.9.0.1","endIP":"10.9.0.10","gateway":"10.9.0.1","exclusions":[],"routes":[{"dst":"5.5.0.0/24"}],"defaultGateway":true}"#
        );
        let mut bare = pool("v6", "fd52::1", "fd52::1f4");
        bare.exclusions = vec![pool("x", "fd52::2", "fd52::5").range];
        assert!(
            pool_config(&bare).contains(
                r#""gateway":"","exclusions":[{"startIP":"fd52::2","endIP":"fd52::5"}],"routes":[]"#
            )
        );
    }
}

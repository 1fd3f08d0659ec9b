//! What the webhook needs of a kind of pool, beyond what dealing needs.

use api::cidrpool::CIDRPool;
use api::cidrpool_config::CidrPoolConfig;
use api::ippool::IPPool;
use api::ippool_config::IpPoolConfig;
use api::warnings;

use crate::pool::Pool;

/// A kind of pool that the webhook judges.
pub trait Reviewed: Pool {
    /// The field that says its network.
    const NETWORK_FIELD: &'static str;

    /// What is legal in it and perhaps not meant; `rules` are its own.
    fn warnings(&self, rules: &Self::Rules) -> Vec<String>;
}

impl Reviewed for IPPool {
    const NETWORK_FIELD: &'static str = "spec.subnet";

    fn warnings(&self, rules: &IpPoolConfig) -> Vec<String> {
        warnings::of_ippool(&self.spec, rules)
    }
}

impl Reviewed for CIDRPool {
    const NETWORK_FIELD: &'static str = "spec.cidr";

    fn warnings(&self, rules: &CidrPoolConfig) -> Vec<String> {
        warnings::of_cidrpool(rules)
    }
}

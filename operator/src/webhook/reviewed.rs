//! What the webhook needs of a kind of pool.

use api::cidrpool::CIDRPool;
use api::cidrpool_config::CidrPoolConfig;
use api::ippool::IPPool;
use api::ippool_config::IpPoolConfig;
use api::pool_key::PoolKind;
use api::validate::FieldErrors;
use api::warnings;
use ipnet::IpNet;
use kube::Resource;
use serde::de::DeserializeOwned;

/// A kind of pool that the webhook judges.
pub trait Reviewed: Resource<DynamicType = ()> + DeserializeOwned + 'static {
    /// Which kind it is.
    const KIND: PoolKind;
    /// The field that says its network.
    const NET_FIELD: &'static str;

    /// Its network and what is suspicious about it, or every rule that it breaks.
    fn judge(&self) -> Result<Valid, FieldErrors>;
}

/// What there is to say of a pool that breaks no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valid {
    /// Its network.
    pub net: IpNet,
    /// What is perhaps not meant.
    pub warnings: Vec<String>,
}

impl Reviewed for IPPool {
    const KIND: PoolKind = PoolKind::IpPool;
    const NET_FIELD: &'static str = "spec.subnet";

    fn judge(&self) -> Result<Valid, FieldErrors> {
        let config = IpPoolConfig::parse(self)?;
        Ok(Valid {
            net: config.subnet.net(),
            warnings: warnings::of_ippool(&self.spec, &config),
        })
    }
}

impl Reviewed for CIDRPool {
    const KIND: PoolKind = PoolKind::CidrPool;
    const NET_FIELD: &'static str = "spec.cidr";

    fn judge(&self) -> Result<Valid, FieldErrors> {
        let config = CidrPoolConfig::parse(self)?;
        Ok(Valid {
            net: config.cidr.net(),
            warnings: warnings::of_cidrpool(&config),
        })
    }
}

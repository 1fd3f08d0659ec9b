//! What a request asks for, parsed: an [`AllocateCall`] that exists is well-formed (contract B.4.0).

use std::net::IpAddr;

use api::pool_key::{PoolKey, PoolKind};
use api::range::parse_address;
use rpc::journal::{Entry, EntryPoolType};
use rpc::v1::{IpamMetadata, IpamParameters, PoolType};

use crate::refusal::Refusal;
use crate::reservation::{Owner, Pod};

/// An ADD: one address of each pool, or none at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocateCall {
    /// One or two pools.
    pub pools: Vec<PoolKey>,
    /// Who shall hold the addresses.
    pub owner: Owner,
    /// The pod they are for.
    pub pod: Pod,
    /// PCI address of the interface's device; may be empty.
    pub device_id: String,
    /// The CNI network that asks; empty if the plugin didn't say.
    pub network: String,
    /// Which address, if not any.
    pub wish: Wish,
}

/// Which address of a pool an ADD asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Addresses, each of which must be given by one of the pools. A pool whose subnet holds none gives any address.
    pub static_ips: Vec<IpAddr>,
    /// The gateway's own address. Never together with `static_ips`.
    pub gateway: bool,
    /// The address at this place in the node's range. Goes before the other two.
    pub index: Option<i32>,
}

/// A CHECK: whether each pool holds a reservation of the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckCall {
    /// One or two pools.
    pub pools: Vec<PoolKey>,
    /// Who shall hold an address of each.
    pub owner: Owner,
}

/// A DEL: releases what the owner holds in the pools named, and what this network reserved for it in others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseCall {
    /// Pools, possibly none, possibly unknown ones.
    pub pools: Vec<PoolKey>,
    /// The CNI network that asks; empty if the plugin didn't say, and then only `pools` count.
    pub network: String,
    /// Whose reservations.
    pub owner: Owner,
}

impl AllocateCall {
    /// The call in `parameters`.
    pub fn parse(parameters: Option<IpamParameters>) -> Result<Self, Refusal> {
        let parameters = present(parameters)?;
        let pools = named_pools(&parameters)?;
        let owner = owner(&parameters)?;
        let metadata = metadata(&parameters)?;
        let wish = wish(&parameters)?;
        Ok(Self {
            pools,
            owner,
            pod: Pod {
                uid: metadata.k8s_pod_uid,
                name: metadata.k8s_pod_name,
                namespace: metadata.k8s_pod_namespace.into(),
            },
            device_id: metadata.device_id,
            network: parameters.network_name,
            wish,
        })
    }
}

impl CheckCall {
    /// The call in `parameters`.
    pub fn parse(parameters: Option<IpamParameters>) -> Result<Self, Refusal> {
        let parameters = present(parameters)?;
        let call = Self {
            pools: named_pools(&parameters)?,
            owner: owner(&parameters)?,
        };
        metadata(&parameters)?;
        wish(&parameters)?;
        Ok(call)
    }
}

impl ReleaseCall {
    /// The call in `parameters`. Only the owner must be there: a pod must be able to go whatever else is missing.
    pub fn parse(parameters: Option<IpamParameters>) -> Result<Self, Refusal> {
        let parameters = present(parameters)?;
        Ok(Self {
            pools: keys(&parameters),
            owner: owner(&parameters)?,
            network: parameters.network_name,
        })
    }
}

impl From<&Entry> for ReleaseCall {
    fn from(entry: &Entry) -> Self {
        let kind = match entry.pool_type {
            EntryPoolType::IpPool => PoolKind::IpPool,
            EntryPoolType::CidrPool => PoolKind::CidrPool,
        };
        Self {
            pools: entry.pools.iter().map(|name| PoolKey::new(kind, name)).collect(),
            network: entry.network_name.clone(),
            owner: Owner {
                container: entry.container_id.clone(),
                interface: entry.interface_name.as_str().into(),
            },
        }
    }
}

// The words of the Go daemon (contract B.4.0), for each field in its order.

fn missing(field: &str) -> Refusal {
    Refusal::Invalid(format!("{field} is required field"))
}

fn invalid(field: &str) -> Refusal {
    Refusal::Invalid(format!("{field} is invalid"))
}

fn present(parameters: Option<IpamParameters>) -> Result<IpamParameters, Refusal> {
    parameters.ok_or_else(|| missing("parameters"))
}

fn required<'a>(field: &str, value: &'a str) -> Result<&'a str, Refusal> {
    if value.is_empty() {
        Err(missing(field))
    } else {
        Ok(value)
    }
}

fn owner(parameters: &IpamParameters) -> Result<Owner, Refusal> {
    Ok(Owner {
        container: required("parameters.cni_containerid", &parameters.cni_containerid)?.to_owned(),
        interface: required("parameters.cni_ifname", &parameters.cni_ifname)?.into(),
    })
}

fn metadata(parameters: &IpamParameters) -> Result<IpamMetadata, Refusal> {
    let metadata = parameters
        .metadata
        .clone()
        .ok_or_else(|| missing("parameters.metadata"))?;
    required("parameters.metadata.k8s_pod_name", &metadata.k8s_pod_name)?;
    required(
        "parameters.metadata.k8s_pod_namespace",
        &metadata.k8s_pod_namespace,
    )?;
    Ok(metadata)
}

fn wish(parameters: &IpamParameters) -> Result<Wish, Refusal> {
    let texts = parameters.requested_ips.iter().enumerate();
    let static_ips = texts
        .map(|(i, text)| {
            parse_address(text).ok_or_else(|| invalid(&format!("parameters.requested_ips[{i}]")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let features = parameters.features.unwrap_or_default();
    if features.allocate_default_gateway && !static_ips.is_empty() {
        return Err(Refusal::Invalid(
            "allocate_default_gateway can't be used together with requested_ips".to_owned(),
        ));
    }
    Ok(Wish {
        static_ips,
        gateway: features.allocate_default_gateway,
        index: features.allocate_ip_with_index,
    })
}

fn named_pools(parameters: &IpamParameters) -> Result<Vec<PoolKey>, Refusal> {
    if !(1..=2).contains(&parameters.pools.len()) {
        return Err(invalid("parameters.pools"));
    }
    if let Some(i) = parameters.pools.iter().position(String::is_empty) {
        return Err(invalid(&format!("parameters.pools[{i}]")));
    }
    Ok(keys(parameters))
}

fn keys(parameters: &IpamParameters) -> Vec<PoolKey> {
    let kind = match parameters.pool_type() {
        PoolType::Unspecified | PoolType::Ippool => PoolKind::IpPool,
        PoolType::Cidrpool => PoolKind::CidrPool,
    };
    parameters
        .pools
        .iter()
        .map(|name| PoolKey::new(kind, name))
        .collect()
}

#[cfg(test)]
mod tests;

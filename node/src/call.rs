//! What a request asks for, parsed: an [`AllocateCall`] that exists is well-formed (contract B.4, "Request validation").

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
        let metadata = metadata(&parameters)?;
        let features = parameters.features.unwrap_or_default();
        let static_ips = parameters
            .requested_ips
            .iter()
            .map(|text| {
                parse_address(text)
                    .ok_or_else(|| invalid(format!("requested_ips: \"{text}\" is not an IP address")))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if features.allocate_default_gateway && !static_ips.is_empty() {
            return Err(invalid(
                "allocate_default_gateway can't be used together with requested_ips",
            ));
        }
        Ok(Self {
            pools: named_pools(&parameters)?,
            owner: owner(&parameters)?,
            pod: Pod {
                uid: metadata.k8s_pod_uid,
                name: metadata.k8s_pod_name,
                namespace: metadata.k8s_pod_namespace,
            },
            device_id: metadata.device_id,
            network: parameters.network_name,
            wish: Wish {
                static_ips,
                gateway: features.allocate_default_gateway,
                index: features.allocate_ip_with_index,
            },
        })
    }
}

impl CheckCall {
    /// The call in `parameters`.
    pub fn parse(parameters: Option<IpamParameters>) -> Result<Self, Refusal> {
        let parameters = present(parameters)?;
        metadata(&parameters)?;
        Ok(Self {
            pools: named_pools(&parameters)?,
            owner: owner(&parameters)?,
        })
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
                interface: entry.interface_name.clone(),
            },
        }
    }
}

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::Invalid(text.into())
}

fn present(parameters: Option<IpamParameters>) -> Result<IpamParameters, Refusal> {
    parameters.ok_or_else(|| invalid("parameters: required field"))
}

fn required<'a>(field: &str, value: &'a str) -> Result<&'a str, Refusal> {
    if value.is_empty() {
        Err(invalid(format!("{field}: required field")))
    } else {
        Ok(value)
    }
}

fn owner(parameters: &IpamParameters) -> Result<Owner, Refusal> {
    Ok(Owner {
        container: required("parameters.cni_containerid", &parameters.cni_containerid)?.to_owned(),
        interface: required("parameters.cni_ifname", &parameters.cni_ifname)?.to_owned(),
    })
}

fn metadata(parameters: &IpamParameters) -> Result<IpamMetadata, Refusal> {
    let metadata = parameters
        .metadata
        .clone()
        .ok_or_else(|| invalid("parameters.metadata: required field"))?;
    required("parameters.metadata.k8s_pod_name", &metadata.k8s_pod_name)?;
    required(
        "parameters.metadata.k8s_pod_namespace",
        &metadata.k8s_pod_namespace,
    )?;
    Ok(metadata)
}

fn named_pools(parameters: &IpamParameters) -> Result<Vec<PoolKey>, Refusal> {
    if !(1..=2).contains(&parameters.pools.len()) {
        return Err(invalid(format!(
            "parameters.pools: one or two pools, not {}",
            parameters.pools.len()
        )));
    }
    if parameters.pools.iter().any(String::is_empty) {
        return Err(invalid("parameters.pools: a pool without a name"));
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
mod tests {
    use rpc::v1::IpamFeatures;
    use tonic::Code;

    use super::*;

    fn whole() -> IpamParameters {
        IpamParameters {
            pools: vec!["pool1".to_owned()],
            cni_containerid: "c1".to_owned(),
            cni_ifname: "net1".to_owned(),
            metadata: Some(IpamMetadata {
                k8s_pod_name: "web".to_owned(),
                k8s_pod_namespace: "default".to_owned(),
                ..IpamMetadata::default()
            }),
            ..IpamParameters::default()
        }
    }

    #[test]
    fn an_unspecified_pool_type_is_ippool() {
        let call = AllocateCall::parse(Some(whole())).unwrap();
        assert_eq!(call.pools, [PoolKey::new(PoolKind::IpPool, "pool1")]);
        let mut cidr = whole();
        cidr.set_pool_type(PoolType::Cidrpool);
        assert_eq!(
            AllocateCall::parse(Some(cidr)).unwrap().pools[0].as_str(),
            "cidrpool/pool1"
        );
    }

    #[test]
    fn every_missing_field_of_an_add_or_check_is_named() {
        type Break = fn(&mut IpamParameters);
        let breaks: [(&str, Break); 8] = [
            ("pools", |p| p.pools.clear()),
            ("pools", |p| p.pools = vec!["a".into(), "b".into(), "c".into()]),
            ("pools", |p| p.pools.push(String::new())),
            ("cni_containerid", |p| p.cni_containerid.clear()),
            ("cni_ifname", |p| p.cni_ifname.clear()),
            ("metadata", |p| p.metadata = None),
            ("k8s_pod_name", |p| {
                p.metadata.as_mut().unwrap().k8s_pod_name.clear();
            }),
            ("k8s_pod_namespace", |p| {
                p.metadata.as_mut().unwrap().k8s_pod_namespace.clear();
            }),
        ];
        for (field, apply) in breaks {
            let mut parameters = whole();
            apply(&mut parameters);
            let add = AllocateCall::parse(Some(parameters.clone())).unwrap_err();
            let check = CheckCall::parse(Some(parameters)).unwrap_err();
            assert_eq!(add, check);
            assert_eq!(add.code(), Code::InvalidArgument);
            assert!(add.to_string().contains(field), "{add}");
        }
        assert!(
            AllocateCall::parse(None)
                .unwrap_err()
                .to_string()
                .contains("parameters")
        );
    }

    #[test]
    fn a_del_needs_its_owner_only() {
        let bare = IpamParameters {
            cni_containerid: "c1".to_owned(),
            cni_ifname: "net1".to_owned(),
            ..IpamParameters::default()
        };
        assert!(ReleaseCall::parse(Some(bare.clone())).unwrap().pools.is_empty());
        assert!(
            ReleaseCall::parse(Some(IpamParameters {
                cni_ifname: String::new(),
                ..bare
            }))
            .is_err()
        );
    }

    #[test]
    fn static_addresses_are_parsed_and_exclude_the_gateway() {
        let mut parameters = whole();
        parameters.requested_ips = vec!["::ffff:10.0.0.1".to_owned()];
        let call = AllocateCall::parse(Some(parameters.clone())).unwrap();
        assert_eq!(call.wish.static_ips, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        parameters.features = Some(IpamFeatures {
            allocate_default_gateway: true,
            ..IpamFeatures::default()
        });
        assert!(AllocateCall::parse(Some(parameters.clone())).is_err());
        parameters.features = None;
        parameters.requested_ips = vec!["10.0.0.1/24".to_owned()];
        let refusal = AllocateCall::parse(Some(parameters)).unwrap_err();
        assert!(refusal.to_string().contains("10.0.0.1/24"), "{refusal}");
    }
}

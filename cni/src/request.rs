//! What is asked of ipam-node: the parameters of its calls, out of configuration, environment and settings.

use std::net::IpAddr;

use rpc::v1::{IpamFeatures, IpamMetadata, IpamParameters, PoolType};

use crate::cni_args::{CniArgs, CniArgsError};
use crate::environment::Attachment;
use crate::names::NetworkName;
use crate::net_conf::{Args, NetConf};
use crate::pools::{PoolsError, pool_list, pool_type};
use crate::settings::Settings;

/// What stands for a pod's name and namespace in a DEL that doesn't know them: no pod is called that, and a daemon of
/// the Go implementation refuses an empty one.
pub const UNKNOWN_POD: &str = "-";

/// Why a call can't be made of its configuration. The texts are those of the Go implementation.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// In `runtimeConfig.ips` or `args.cni.ips`.
    #[error("static IP request contains invalid IP address")]
    StaticIp,
    /// In CNI_ARGS.
    #[error("CNI_ARGS: IP argument contains invalid IP address")]
    ArgsIp,
    /// CNI_ARGS breaks its rules.
    #[error(transparent)]
    CniArgs(#[from] CniArgsError),
    /// CNI_ARGS lacks a key that every kubelet gives.
    #[error("CNI_ARGS: {0} is not provided by container runtime")]
    Pod(&'static str),
    /// Indexes count from the first usable address upwards.
    #[error("allocateIPWithIndex can't be negative")]
    NegativeIndex,
    /// Two ways to say which address.
    #[error("allocateDefaultGateway can't be used together with static IP request")]
    GatewayAndStaticIp,
    /// Two ways to say which address.
    #[error("allocateDefaultGateway can't be used together allocateIPWithIndex")]
    GatewayAndIndex,
    /// Two ways to say which address.
    #[error("allocateIPWithIndex can't be used together with static IP request")]
    IndexAndStaticIp,
    /// The pools.
    #[error(transparent)]
    Pools(#[from] PoolsError),
}

/// A call as it was made: everything that the parameters are made of.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The network that makes it.
    pub network: &'a NetworkName,
    /// The interface that it is about.
    pub attachment: &'a Attachment,
    /// The network's configuration.
    pub conf: &'a NetConf,
    /// The settings of the call.
    pub settings: &'a Settings,
}

impl Call<'_> {
    /// The parameters of an ADD or CHECK, with all of the rules.
    pub fn reserve(&self) -> Result<IpamParameters, RequestError> {
        let explicit = explicit_static_ips(&self.conf.runtime_ips, &self.conf.args.ips)?;
        let cni_args = CniArgs::parse(&self.attachment.args)?;
        for (key, value) in [
            ("K8S_POD_NAME", &cni_args.pod_name),
            ("K8S_POD_NAMESPACE", &cni_args.pod_namespace),
        ] {
            if value.is_empty() {
                return Err(RequestError::Pod(key));
            }
        }
        let static_ips = static_ips(explicit, &cni_args.ip)?;
        let features = features(&self.conf.args, !static_ips.is_empty())?;
        let pools = pool_list(&self.conf.args.pool_names, &self.pool_name())?;
        let pool_type = pool_type(&self.conf.args.pool_type, &self.settings.pool_type)?;
        Ok(IpamParameters {
            requested_ips: static_ips.iter().map(IpAddr::to_string).collect(),
            features: Some(features),
            ..self.parameters(pools, pool_type, cni_args)
        })
    }

    /// The parameters of a DEL, and what is wrong with the configuration.
    ///
    /// A DEL needs container ID and interface only, so nothing else fails it: the pod would stay Terminating for a
    /// reason that no retry removes. Where no list of pools can be made out, it names the pool that has the network's
    /// name, which both implementations of the daemon accept; what the network reserved elsewhere is found by the
    /// network's name, where the daemon knows it.
    #[must_use]
    pub fn release(&self) -> (IpamParameters, Vec<PoolsError>) {
        let mut faults = Vec::new();
        let pools = pool_list(&self.conf.args.pool_names, &self.pool_name()).unwrap_or_else(|fault| {
            faults.push(fault);
            vec![self.network.to_string()]
        });
        let pool_type =
            pool_type(&self.conf.args.pool_type, &self.settings.pool_type).unwrap_or_else(|fault| {
                faults.push(fault);
                PoolType::Ippool
            });
        let mut cni_args = CniArgs::parse_leniently(&self.attachment.args);
        for pod in [&mut cni_args.pod_name, &mut cni_args.pod_namespace] {
            if pod.is_empty() {
                UNKNOWN_POD.clone_into(pod);
            }
        }
        (self.parameters(pools, pool_type, cni_args), faults)
    }

    fn pool_name(&self) -> String {
        if self.settings.pool_name.is_empty() && !self.settings.force_pool_name {
            self.network.to_string()
        } else {
            self.settings.pool_name.clone()
        }
    }

    fn parameters(&self, pools: Vec<String>, pool_type: PoolType, cni_args: CniArgs) -> IpamParameters {
        IpamParameters {
            pools,
            cni_containerid: self.attachment.container_id.to_string(),
            cni_ifname: self.attachment.interface.to_string(),
            metadata: Some(IpamMetadata {
                k8s_pod_name: cni_args.pod_name,
                k8s_pod_namespace: cni_args.pod_namespace,
                k8s_pod_uid: cni_args.pod_uid,
                device_id: self.conf.device_id.clone(),
            }),
            pool_type: pool_type.into(),
            requested_ips: Vec::new(),
            features: Some(IpamFeatures::default()),
            network_name: self.network.to_string(),
        }
    }
}

/// `runtimeConfig.ips`, else `args.cni.ips`.
fn explicit_static_ips(runtime: &[String], args: &[String]) -> Result<Vec<IpAddr>, RequestError> {
    let texts = if runtime.is_empty() { args } else { runtime };
    texts
        .iter()
        .map(|text| address(text).ok_or(RequestError::StaticIp))
        .collect()
}

/// `explicit`, else the one of CNI_ARGS, which is not even looked at before.
fn static_ips(explicit: Vec<IpAddr>, args_ip: &str) -> Result<Vec<IpAddr>, RequestError> {
    if !explicit.is_empty() || args_ip.is_empty() {
        return Ok(explicit);
    }
    Ok(vec![address(args_ip).ok_or(RequestError::ArgsIp)?])
}

/// An address without its prefix length. IPv4 written as IPv6 is IPv4.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.split('/').next().unwrap_or_default();
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

fn features(args: &Args, has_static_ips: bool) -> Result<IpamFeatures, RequestError> {
    let index = args.allocate_ip_with_index;
    if index.is_some_and(|index| index < 0) {
        return Err(RequestError::NegativeIndex);
    }
    match (args.allocate_default_gateway, index, has_static_ips) {
        (true, _, true) => Err(RequestError::GatewayAndStaticIp),
        (true, Some(_), false) => Err(RequestError::GatewayAndIndex),
        (false, Some(_), true) => Err(RequestError::IndexAndStaticIp),
        _ => Ok(IpamFeatures {
            allocate_default_gateway: args.allocate_default_gateway,
            allocate_ip_with_index: index,
        }),
    }
}

#[cfg(test)]
mod tests;

//! The network configuration on standard input, and the plugin's own configuration file: their fields, as written.

use crate::error::{Code, Error};
use crate::json::{FieldError, Object};
use crate::names::NetworkName;
use crate::spec::SpecVersion;

/// A network configuration of which only what the specification demands has been read.
#[derive(Debug)]
pub struct Document<'a> {
    object: Object<'a>,
    /// `name`.
    pub network: NetworkName,
    /// `cniVersion`.
    pub version: SpecVersion,
}

/// What the network configuration says to this plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetConf {
    /// `ipam`, if there is one.
    pub ipam: Option<IpamConf>,
    /// `deviceID`: PCI address of the device behind the interface.
    pub device_id: String,
    /// `runtimeConfig.ips`: static addresses by capability.
    pub runtime_ips: Vec<String>,
    /// `args.cni`; empty without it.
    pub args: Args,
}

/// `ipam`, and with the same fields the configuration file. Empty, zero and none mean that the next layer decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpamConf {
    /// `forcePoolName`: the network's name is not taken as the pool's.
    pub force_pool_name: Option<bool>,
    /// `poolName`: one or two pools, separated by a comma.
    pub pool_name: String,
    /// `poolType`: ippool or cidrpool.
    pub pool_type: String,
    /// `daemonSocket`: where ipam-node listens.
    pub daemon_socket: String,
    /// `daemonCallTimeoutSeconds`.
    pub daemon_call_timeout_seconds: i64,
    /// `confDir`: the folder of the configuration file.
    pub conf_dir: String,
    /// `logFile`.
    pub log_file: String,
    /// `logLevel`.
    pub log_level: String,
}

/// `args.cni`: what an attachment adds to its network's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// `ips`: static addresses.
    pub ips: Vec<String>,
    /// `poolNames`: instead of the pools of the configuration.
    pub pool_names: Vec<String>,
    /// `poolType`: instead of that of the configuration.
    pub pool_type: String,
    /// `allocateDefaultGateway`: hand out the pool's gateway itself.
    pub allocate_default_gateway: bool,
    /// `allocateIPWithIndex`: hand out the address with this index.
    pub allocate_ip_with_index: Option<i32>,
}

impl<'a> Document<'a> {
    /// Reads the bytes of standard input, with the error codes of the CNI library.
    pub fn parse(stdin: &'a [u8]) -> Result<Self, Error> {
        let decoding = |reason: &dyn std::fmt::Display| {
            Error::new(
                Code::Decoding,
                format!("error unmarshall network config: {reason}"),
            )
        };
        let object = Object::parse(stdin)
            .map_err(|error| decoding(&error))?
            .unwrap_or_default();
        let name: String = object.get_or_default("name").map_err(|error| decoding(&error))?;
        let network = NetworkName::parse(&name)?;
        let version: String = object
            .get_or_default("cniVersion")
            .map_err(|error| decoding(&error))?;
        Ok(Self {
            object,
            network,
            version: SpecVersion::parse(&version)?,
        })
    }

    /// The whole of it.
    pub(crate) fn object(&self) -> &Object<'a> {
        &self.object
    }

    /// Reads what the configuration says to this plugin.
    pub fn net_conf(&self) -> Result<NetConf, FieldError> {
        let ipam = self
            .object
            .get("ipam")?
            .map(|ipam| IpamConf::read(&ipam))
            .transpose();
        let runtime: Object = self.object.get_or_default("runtimeConfig")?;
        let args: Object = self.object.get_or_default("args")?;
        let cni: Object = args.get_or_default("cni").map_err(|error| error.inside("args"))?;
        Ok(NetConf {
            ipam: ipam.map_err(|error| error.inside("ipam"))?,
            device_id: self.object.get_or_default("deviceID")?,
            runtime_ips: runtime
                .get_or_default("ips")
                .map_err(|error| error.inside("runtimeConfig"))?,
            args: Args::read(&cni).map_err(|error| error.inside("args.cni"))?,
        })
    }
}

impl IpamConf {
    /// Reads the bytes of the configuration file.
    pub fn parse_file(json: &[u8]) -> Result<Self, FileError> {
        Ok(Self::read(&Object::parse(json)?.unwrap_or_default())?)
    }

    fn read(object: &Object) -> Result<Self, FieldError> {
        Ok(Self {
            force_pool_name: object.get("forcePoolName")?,
            pool_name: object.get_or_default("poolName")?,
            pool_type: object.get_or_default("poolType")?,
            daemon_socket: object.get_or_default("daemonSocket")?,
            daemon_call_timeout_seconds: object.get_or_default("daemonCallTimeoutSeconds")?,
            conf_dir: object.get_or_default("confDir")?,
            log_file: object.get_or_default("logFile")?,
            log_level: object.get_or_default("logLevel")?,
        })
    }
}

impl Args {
    fn read(object: &Object) -> Result<Self, FieldError> {
        Ok(Self {
            ips: object.get_or_default("ips")?,
            pool_names: object.get_or_default("poolNames")?,
            pool_type: object.get_or_default("poolType")?,
            allocate_default_gateway: object.get_or_default("allocateDefaultGateway")?,
            allocate_ip_with_index: object.get("allocateIPWithIndex")?,
        })
    }
}

/// Why the configuration file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Not a JSON object.
    #[error(transparent)]
    Malformed(#[from] serde_json::Error),
    /// A field of the wrong type.
    #[error(transparent)]
    Field(#[from] FieldError),
}

#[cfg(test)]
mod tests;

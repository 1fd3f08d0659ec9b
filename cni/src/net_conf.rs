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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net_conf(json: &str) -> Result<NetConf, FieldError> {
        Document::parse(json.as_bytes()).unwrap().net_conf()
    }

    #[test]
    fn every_field_is_read() {
        let json = r#"{"cniVersion":"0.4.0","name":"net","type":"bridge","deviceID":"0000:3b:00.1",
            "ipam":{"type":"nv-ipam","forcePoolName":false,"poolName":"p","poolType":"cidrpool","daemonSocket":"s",
                    "daemonCallTimeoutSeconds":7,"confDir":"c","logFile":"l","logLevel":"debug"},
            "runtimeConfig":{"ips":["10.0.0.1"]},
            "args":{"cni":{"ips":["10.0.0.2"],"poolNames":["a","b"],"poolType":"ippool",
                           "allocateDefaultGateway":true,"allocateIPWithIndex":3}}}"#;
        let document = Document::parse(json.as_bytes()).unwrap();
        assert_eq!(
            (document.network.as_str(), document.version),
            ("net", SpecVersion::V0_4_0)
        );
        assert_eq!(
            document.net_conf().unwrap(),
            NetConf {
                ipam: Some(IpamConf {
                    force_pool_name: Some(false),
                    pool_name: "p".into(),
                    pool_type: "cidrpool".into(),
                    daemon_socket: "s".into(),
                    daemon_call_timeout_seconds: 7,
                    conf_dir: "c".into(),
                    log_file: "l".into(),
                    log_level: "debug".into(),
                }),
                device_id: "0000:3b:00.1".into(),
                runtime_ips: vec!["10.0.0.1".into()],
                args: Args {
                    ips: vec!["10.0.0.2".into()],
                    pool_names: vec!["a".into(), "b".into()],
                    pool_type: "ippool".into(),
                    allocate_default_gateway: true,
                    allocate_ip_with_index: Some(3),
                },
            }
        );
    }

    #[test]
    fn args_without_cni_and_nulls_are_absent() {
        for json in [
            r#"{"name":"n","ipam":{},"args":{}}"#,
            r#"{"name":"n","ipam":{},"args":null,"runtimeConfig":null,"deviceID":null}"#,
            r#"{"name":"n","ipam":{"poolName":null,"forcePoolName":null},"args":{"cni":null}}"#,
        ] {
            assert_eq!(
                net_conf(json).unwrap(),
                NetConf {
                    ipam: Some(IpamConf::default()),
                    ..NetConf::default()
                }
            );
        }
        assert_eq!(net_conf(r#"{"name":"n","ipam":null}"#).unwrap().ipam, None);
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named() {
        for (json, field) in [
            (r#"{"name":"n","ipam":5}"#, "ipam"),
            (r#"{"name":"n","ipam":{"poolName":["a"]}}"#, "ipam.poolName"),
            (
                r#"{"name":"n","ipam":{"daemonCallTimeoutSeconds":"5"}}"#,
                "ipam.daemonCallTimeoutSeconds",
            ),
            (
                r#"{"name":"n","runtimeConfig":{"ips":"10.0.0.1"}}"#,
                "runtimeConfig.ips",
            ),
            (r#"{"name":"n","args":{"cni":[]}}"#, "args.cni"),
            (
                r#"{"name":"n","args":{"cni":{"allocateIPWithIndex":2147483648}}}"#,
                "args.cni.allocateIPWithIndex",
            ),
        ] {
            assert_eq!(net_conf(json).unwrap_err().field, field);
        }
    }

    #[test]
    fn the_specification_s_own_checks_have_their_codes() {
        for (stdin, code) in [
            ("", Code::Decoding),
            ("{", Code::Decoding),
            ("[]", Code::Decoding),
            (r#"{"name":5}"#, Code::Decoding),
            (r#"{"name":"n","cniVersion":1}"#, Code::Decoding),
            ("null", Code::InvalidNetworkConfig),
            ("{}", Code::InvalidNetworkConfig),
            (r#"{"name":"a b"}"#, Code::InvalidNetworkConfig),
            (r#"{"name":"n","cniVersion":"9.0.0"}"#, Code::IncompatibleVersion),
        ] {
            assert_eq!(
                Document::parse(stdin.as_bytes()).unwrap_err().code,
                code,
                "{stdin}"
            );
        }
    }

    #[test]
    fn the_file_has_the_fields_of_ipam() {
        let file = IpamConf::parse_file(br#"{"daemonSocket":"s","poolName":"p","future":1}"#).unwrap();
        assert_eq!(
            file,
            IpamConf {
                daemon_socket: "s".into(),
                pool_name: "p".into(),
                ..IpamConf::default()
            }
        );
        assert!(IpamConf::parse_file(b"").is_err());
        assert!(IpamConf::parse_file(br#"{"logLevel":1}"#).is_err());
    }

    proptest! {
        /// Every cut and every changed byte of a configuration is read or refused; nothing panics.
        #[test]
        fn broken_configurations_are_refused(at in 0usize..200, byte: u8, cut: bool) {
            let json = br#"{"name":"n","cniVersion":"1.0.0","ipam":{"poolName":"p","daemonCallTimeoutSeconds":5},"args":{"cni":{"ips":["a"],"allocateIPWithIndex":3}},"runtimeConfig":{"ips":[]}}"#;
            let mut broken = json.to_vec();
            let at = at % broken.len();
            if cut { broken.truncate(at) } else { broken[at] = byte }
            match Document::parse(&broken) {
                Ok(document) => {
                    let _ = document.net_conf();
                    prop_assert!(!cut);
                }
                Err(error) => prop_assert!(!error.msg.is_empty()),
            }
        }

        #[test]
        fn the_order_of_members_does_not_matter(members in Just(vec![
            r#""name":"n""#, r#""ipam":{"poolName":"p"}"#, r#""args":{"cni":{"poolType":"x"}}"#, r#""junk":[{}]"#,
        ]).prop_shuffle()) {
            let json = format!("{{{}}}", members.join(","));
            let conf = Document::parse(json.as_bytes()).unwrap().net_conf().unwrap();
            prop_assert_eq!(conf.ipam.unwrap().pool_name, "p");
            prop_assert_eq!(conf.args.pool_type, "x");
        }
    }
}

mod addresses;

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::names::{ContainerId, InterfaceName};
use crate::net_conf::IpamConf;

const POD: &str = "K8S_POD_NAME=p;K8S_POD_NAMESPACE=ns";

/// Makes the call of a configuration `conf` with CNI_ARGS `cni_args`, and gives it to `with`.
fn call<T>(conf: &NetConf, cni_args: &str, with: impl FnOnce(Call) -> T) -> T {
    let attachment = Attachment {
        container_id: ContainerId::parse("c1").unwrap(),
        interface: InterfaceName::parse("net1").unwrap(),
        netns: PathBuf::new(),
        args: cni_args.to_owned(),
        own_netns_allowed: false,
    };
    let settings = Settings::merge(
        conf.ipam.as_ref().unwrap_or(&IpamConf::default()),
        &IpamConf::default(),
    );
    let network = NetworkName::parse("mynet").unwrap();
    with(Call {
        network: &network,
        attachment: &attachment,
        conf,
        settings: &settings,
    })
}

fn reserve(conf: &NetConf, cni_args: &str) -> Result<IpamParameters, String> {
    call(conf, cni_args, |call| {
        call.reserve().map_err(|error| error.to_string())
    })
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn everything_is_passed_on() {
    let conf = NetConf {
        ipam: Some(IpamConf {
            pool_name: "a,b".into(),
            pool_type: "cidrpool".into(),
            ..IpamConf::default()
        }),
        device_id: "0000:3b:00.1".into(),
        runtime_ips: texts(&["10.0.0.9/24", "fd00::9"]),
        ..NetConf::default()
    };
    assert_eq!(
        reserve(&conf, &format!("{POD};K8S_POD_UID=u")).unwrap(),
        IpamParameters {
            pools: texts(&["a", "b"]),
            cni_containerid: "c1".into(),
            cni_ifname: "net1".into(),
            metadata: Some(IpamMetadata {
                k8s_pod_name: "p".into(),
                k8s_pod_namespace: "ns".into(),
                k8s_pod_uid: "u".into(),
                device_id: "0000:3b:00.1".into(),
            }),
            pool_type: PoolType::Cidrpool.into(),
            requested_ips: texts(&["10.0.0.9", "fd00::9"]),
            features: Some(IpamFeatures::default()),
            network_name: "mynet".into(),
        }
    );
}

#[test]
fn the_network_s_name_stands_in_for_a_pool_unless_forbidden() {
    assert_eq!(reserve(&NetConf::default(), POD).unwrap().pools, ["mynet"]);
    let forced = |args: &[&str]| NetConf {
        ipam: Some(IpamConf {
            force_pool_name: Some(true),
            ..IpamConf::default()
        }),
        args: Args {
            pool_names: texts(args),
            ..Args::default()
        },
        ..NetConf::default()
    };
    assert_eq!(reserve(&forced(&[]), POD).unwrap_err(), "no pool provided");
    assert_eq!(reserve(&forced(&["x"]), POD).unwrap().pools, ["x"]);
}

#[test]
fn an_add_needs_its_pod() {
    let refused = |cni_args| reserve(&NetConf::default(), cni_args).unwrap_err();
    assert_eq!(
        refused(""),
        "CNI_ARGS: K8S_POD_NAME is not provided by container runtime"
    );
    assert_eq!(
        refused("K8S_POD_NAME=p"),
        "CNI_ARGS: K8S_POD_NAMESPACE is not provided by container runtime"
    );
    assert_eq!(refused("K8S_POD_NAME"), "ARGS: invalid pair \"K8S_POD_NAME\"");
}

/// Whoever mends one fault after the other meets them in the order of the Go plugin.
#[test]
fn the_first_fault_is_the_one_that_is_said() {
    let mut conf = NetConf {
        ipam: Some(IpamConf {
            pool_name: "a,".into(),
            pool_type: "x".into(),
            ..IpamConf::default()
        }),
        runtime_ips: texts(&["nonsense"]),
        args: Args {
            allocate_default_gateway: true,
            allocate_ip_with_index: Some(-1),
            ..Args::default()
        },
        ..NetConf::default()
    };
    let said = |conf: &NetConf, cni_args: &str, refusal: &str| {
        assert_eq!(reserve(conf, cni_args).unwrap_err(), refusal);
    };
    said(&conf, "X=1", "static IP request contains invalid IP address");
    conf.runtime_ips.clear();
    said(&conf, "X=1", "ARGS: unknown args [\"X=1\"]");
    said(
        &conf,
        "IP=x",
        "CNI_ARGS: K8S_POD_NAME is not provided by container runtime",
    );
    said(
        &conf,
        &format!("{POD};IP=x"),
        "CNI_ARGS: IP argument contains invalid IP address",
    );
    said(&conf, POD, "allocateIPWithIndex can't be negative");
    conf.args.allocate_ip_with_index = Some(0);
    said(
        &conf,
        POD,
        "allocateDefaultGateway can't be used together allocateIPWithIndex",
    );
    conf.args.allocate_default_gateway = false;
    said(&conf, POD, "pool field has invalid format");
    conf.args.pool_names = texts(&["a"]);
    said(
        &conf,
        POD,
        "unsupported poolType x, supported values: ippool, cidrpool",
    );
    conf.args.pool_type = "cidrpool".into();
    assert!(reserve(&conf, POD).is_ok());
}

#[test]
fn a_release_needs_only_container_and_interface() {
    let broken = NetConf {
        ipam: Some(IpamConf {
            pool_name: "a,b,c".into(),
            pool_type: "x".into(),
            ..IpamConf::default()
        }),
        runtime_ips: texts(&["nonsense"]),
        args: Args {
            allocate_ip_with_index: Some(-1),
            ..Args::default()
        },
        ..NetConf::default()
    };
    let (parameters, faults) = call(&broken, "nonsense", |call| call.release());
    assert_eq!(faults, [PoolsError::TooMany, PoolsError::Type("x".into())]);
    assert_eq!(parameters.pools, ["mynet"]);
    assert_eq!(parameters.pool_type(), PoolType::Ippool);
    assert_eq!(parameters.network_name, "mynet");
    let metadata = parameters.metadata.unwrap();
    assert_eq!(
        (
            metadata.k8s_pod_name.as_str(),
            metadata.k8s_pod_namespace.as_str()
        ),
        ("-", "-")
    );
    assert_eq!(parameters.requested_ips, Vec::<String>::new());
    assert_eq!(parameters.features.unwrap(), IpamFeatures::default());
}

proptest! {
    #[test]
    fn what_an_add_reserved_its_del_releases(
        pool_name in "(a|b|a,b|)", args in prop::collection::vec("[xy]", 0..2), cidr: bool, forced: Option<bool>,
    ) {
        let conf = NetConf {
            ipam: Some(IpamConf {
                pool_name,
                pool_type: if cidr { "CIDRPool".into() } else { String::new() },
                force_pool_name: forced,
                ..IpamConf::default()
            }),
            args: Args { pool_names: args, ..Args::default() },
            ..NetConf::default()
        };
        let (released, faults) = call(&conf, POD, |call| call.release());
        match call(&conf, POD, |call| call.reserve()) {
            Ok(reserved) => {
                prop_assert_eq!(faults, []);
                prop_assert_eq!(released, reserved);
            }
            Err(error) => prop_assert_eq!(faults.into_iter().map(RequestError::from).collect::<Vec<_>>(), [error]),
        }
    }
}

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
    // As in the Go daemon, so is one that nobody knows.
    let unknown = IpamParameters {
        pool_type: 7,
        ..whole()
    };
    let call = AllocateCall::parse(Some(unknown)).unwrap();
    assert_eq!(call.pools, [PoolKey::new(PoolKind::IpPool, "pool1")]);
}

#[test]
fn what_is_wrong_with_an_add_or_check_is_said_in_the_go_daemon_s_words() {
    type Break = fn(&mut IpamParameters);
    let breaks: [(&str, Break); 11] = [
        ("parameters.pools is invalid", |p| p.pools.clear()),
        ("parameters.pools is invalid", |p| {
            p.pools = vec!["a".into(), "b".into(), "c".into()];
        }),
        ("parameters.pools[1] is invalid", |p| p.pools.push(String::new())),
        ("parameters.cni_containerid is required field", |p| {
            p.cni_containerid.clear();
        }),
        ("parameters.cni_ifname is required field", |p| {
            p.cni_ifname.clear();
        }),
        ("parameters.metadata is required field", |p| p.metadata = None),
        ("parameters.metadata.k8s_pod_name is required field", |p| {
            p.metadata.as_mut().unwrap().k8s_pod_name.clear();
        }),
        ("parameters.metadata.k8s_pod_namespace is required field", |p| {
            p.metadata.as_mut().unwrap().k8s_pod_namespace.clear();
        }),
        ("parameters.requested_ips[1] is invalid", |p| {
            p.requested_ips = vec!["10.0.0.1".into(), "10.0.0.1/24".into()];
        }),
        ("parameters.requested_ips[0] is invalid", |p| {
            p.requested_ips = vec![String::new()];
        }),
        (
            "allocate_default_gateway can't be used together with requested_ips",
            |p| {
                p.requested_ips = vec!["10.0.0.1".into()];
                p.features = Some(IpamFeatures {
                    allocate_default_gateway: true,
                    ..IpamFeatures::default()
                });
            },
        ),
    ];
    for (text, apply) in breaks {
        let mut parameters = whole();
        apply(&mut parameters);
        let refusal = Refusal::Invalid(text.to_owned());
        assert_eq!(refusal.code(), Code::InvalidArgument);
        assert_eq!(
            AllocateCall::parse(Some(parameters.clone())),
            Err(refusal.clone())
        );
        assert_eq!(CheckCall::parse(Some(parameters)), Err(refusal));
    }
    let nothing = Refusal::Invalid("parameters is required field".to_owned());
    assert_eq!(AllocateCall::parse(None), Err(nothing.clone()));
    assert_eq!(CheckCall::parse(None), Err(nothing.clone()));
    assert_eq!(ReleaseCall::parse(None), Err(nothing));
}

#[test]
fn the_first_fault_is_the_one_that_is_said() {
    let mut parameters = IpamParameters::default();
    let first = |parameters: &IpamParameters| {
        AllocateCall::parse(Some(parameters.clone()))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(first(&parameters), "parameters.pools is invalid");
    parameters.pools = vec![String::new()];
    assert_eq!(first(&parameters), "parameters.pools[0] is invalid");
    parameters.pools = vec!["p".to_owned()];
    assert_eq!(first(&parameters), "parameters.cni_containerid is required field");
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
fn a_static_address_in_ipv6_s_writing_of_ipv4_is_ipv4() {
    let mut parameters = whole();
    parameters.requested_ips = vec!["::ffff:10.0.0.1".to_owned()];
    let call = AllocateCall::parse(Some(parameters)).unwrap();
    assert_eq!(call.wish.static_ips, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
}

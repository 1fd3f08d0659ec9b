//! Which addresses an ADD asks for.

use super::*;

#[test]
fn static_addresses_come_from_the_first_place_that_has_any() {
    let conf = |runtime: &[&str], args: &[&str]| NetConf {
        runtime_ips: texts(runtime),
        args: Args {
            ips: texts(args),
            ..Args::default()
        },
        ..NetConf::default()
    };
    let with_ip = format!("{POD};IP=10.0.0.3");
    let asked = |conf| reserve(&conf, &with_ip).map(|parameters| parameters.requested_ips);
    assert_eq!(asked(conf(&["10.0.0.1"], &["10.0.0.2"])).unwrap(), ["10.0.0.1"]);
    assert_eq!(asked(conf(&[], &["10.0.0.2"])).unwrap(), ["10.0.0.2"]);
    assert_eq!(asked(conf(&[], &[])).unwrap(), ["10.0.0.3"]);
    let cut = reserve(&conf(&[], &[]), &format!("{POD};IP=fd00::3/64")).unwrap();
    assert_eq!(cut.requested_ips, ["fd00::3"]);
    // What is not used is not looked at.
    assert_eq!(asked(conf(&["10.0.0.1"], &["nonsense"])).unwrap(), ["10.0.0.1"]);
    let bad_ip = format!("{POD};IP=nonsense");
    assert!(reserve(&conf(&["10.0.0.1"], &[]), &bad_ip).is_ok());
    assert_eq!(
        reserve(&conf(&[], &[]), &bad_ip).unwrap_err(),
        "CNI_ARGS: IP argument contains invalid IP address"
    );
    for text in [
        "nonsense",
        "",
        "10.0.0.0.1",
        "10.0.0.01",
        "fe80::1%eth0",
        "/24",
        " 10.0.0.1",
    ] {
        assert_eq!(
            reserve(&conf(&["10.0.0.1", text], &[]), POD).unwrap_err(),
            "static IP request contains invalid IP address",
            "{text}"
        );
    }
    assert_eq!(asked(conf(&["::ffff:10.0.0.1/120"], &[])).unwrap(), ["10.0.0.1"]);
}

#[test]
fn there_is_one_way_to_say_which_address() {
    let conf = |gateway, index, ips: &[&str]| NetConf {
        args: Args {
            allocate_default_gateway: gateway,
            allocate_ip_with_index: index,
            ips: texts(ips),
            ..Args::default()
        },
        ..NetConf::default()
    };
    for (gateway, index, ips, refusal) in [
        (
            true,
            None,
            &["10.0.0.1"][..],
            "allocateDefaultGateway can't be used together with static IP request",
        ),
        (
            true,
            Some(1),
            &["10.0.0.1"][..],
            "allocateDefaultGateway can't be used together with static IP request",
        ),
        (
            true,
            Some(1),
            &[][..],
            "allocateDefaultGateway can't be used together allocateIPWithIndex",
        ),
        (
            false,
            Some(1),
            &["10.0.0.1"][..],
            "allocateIPWithIndex can't be used together with static IP request",
        ),
        (false, Some(-1), &[][..], "allocateIPWithIndex can't be negative"),
    ] {
        assert_eq!(reserve(&conf(gateway, index, ips), POD).unwrap_err(), refusal);
    }
    // A static address of CNI_ARGS counts as well.
    assert!(reserve(&conf(true, None, &[]), &format!("{POD};IP=10.0.0.1")).is_err());
    for (gateway, index) in [
        (true, None),
        (false, Some(0)),
        (false, Some(i32::MAX)),
        (false, None),
    ] {
        let features = reserve(&conf(gateway, index, &[]), POD)
            .unwrap()
            .features
            .unwrap();
        assert_eq!(
            (features.allocate_default_gateway, features.allocate_ip_with_index),
            (gateway, index)
        );
    }
}

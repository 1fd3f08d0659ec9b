use proptest::prelude::*;

use super::*;

fn net_conf(json: &str) -> Result<NetConf, FieldError> {
    Document::parse(json.as_bytes()).unwrap().net_conf()
}

#[test]
fn every_field_is_read() {
    // Others than this plugin's are of no concern to it, wherever they stand.
    let json = r#"{"cniVersion":"0.4.0","name":"net","type":"bridge","deviceID":"0000:3b:00.1","vlan":5,
        "ipam":{"type":"nv-ipam","forcePoolName":false,"poolName":"p","poolType":"cidrpool","daemonSocket":"s",
                "daemonCallTimeoutSeconds":7,"confDir":"c","logFile":"l","logLevel":"debug","ranges":[[]]},
        "runtimeConfig":{"ips":["10.0.0.1"],"mac":"02:00:00:00:00:01"},
        "args":{"cni":{"ips":["10.0.0.2"],"poolNames":["a","b"],"poolType":"ippool",
                       "allocateDefaultGateway":true,"allocateIPWithIndex":3,"labels":[]},
                "others":{"ips":[]}}}"#;
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

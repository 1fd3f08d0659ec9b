//! Input that nobody should send: the code of the specification, and the daemon never hears of it.

use serde_json::json;

use crate::support::{Call, Node, one_address};

/// Runs `call` and asserts that the daemon wasn't asked and nothing was written.
fn refused(change: impl FnOnce(Call) -> Call, verb: &str) -> (u64, String) {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    let error = change(node.call(verb)).run().error();
    assert_eq!(daemon.seen().len(), 0);
    let files: Vec<_> = std::fs::read_dir(node.path(""))
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert!(
        files.iter().all(|name| name == "daemon.sock" || name == "log"),
        "{files:?}"
    );
    error
}

#[test]
fn what_is_no_configuration_has_its_code() {
    for verb in ["ADD", "DEL", "CHECK", "GC", "STATUS"] {
        for (stdin, code) in [
            ("", 6),
            ("{", 6),
            ("[1]", 6),
            ("{\"name\": \"a\"} trailing", 6),
            ("{}", 7),
            (r#"{"name": "../../etc/passwd"}"#, 7),
            (r#"{"name": "a\n"}"#, 7),
            (r#"{"name": "a", "cniVersion": "2.0.0"}"#, 1),
        ] {
            assert_eq!(refused(|call| call.stdin(stdin), verb).0, code, "{verb} {stdin}");
        }
    }
}

#[test]
fn a_call_without_ipam_or_with_a_wrong_field_is_an_internal_error() {
    let no_ipam = r#"{"name": "a", "cniVersion": "1.0.0"}"#;
    let wrong = r#"{"name": "a", "cniVersion": "1.0.0", "ipam": {"poolName": 5}}"#;
    assert_eq!(
        refused(|call| call.stdin(no_ipam), "ADD"),
        (
            999,
            "command preparation failed: failed to load config. IPAM config missing 'ipam' key".to_owned()
        )
    );
    assert_eq!(
        refused(|call| call.stdin(no_ipam), "DEL"),
        (
            999,
            "failed to load config. IPAM config missing 'ipam' key".to_owned()
        )
    );
    for verb in ["ADD", "CHECK", "DEL"] {
        let (code, msg) = refused(|call| call.stdin(wrong), verb);
        assert_eq!(code, 999);
        assert!(
            msg.contains("failed to unmarshal configurations. field ipam.poolName"),
            "{msg}"
        );
    }
}

#[test]
fn missing_and_hostile_variables_have_their_code() {
    for verb in ["ADD", "CHECK", "DEL"] {
        for (name, value) in [
            ("CNI_CONTAINERID", ""),
            ("CNI_CONTAINERID", "../x"),
            ("CNI_CONTAINERID", "a b"),
            ("CNI_IFNAME", ""),
            ("CNI_IFNAME", "0123456789abcdef"),
            ("CNI_IFNAME", "a/b"),
            ("CNI_IFNAME", ".."),
            ("CNI_PATH", ""),
        ] {
            assert_eq!(
                refused(|call| call.with(name, value), verb).0,
                4,
                "{verb} {name}={value}"
            );
        }
    }
    assert_eq!(
        refused(|call| call.with("CNI_NETNS", ""), "ADD"),
        (4, "required env variables [CNI_NETNS] missing".to_owned())
    );
    assert_eq!(
        refused(|call| call, "DELETE"),
        (4, "unknown CNI_COMMAND: DELETE".to_owned())
    );
}

#[test]
fn an_add_that_breaks_a_rule_is_refused_before_the_daemon_is_asked() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    let conf = |field: &str, value: serde_json::Value| {
        let mut conf = node.conf("1.0.0");
        conf[field] = value;
        conf.to_string()
    };
    for (stdin, cni_args, expected) in [
        (
            conf("args", json!({"cni": {"poolNames": ["a", "b", "c"]}})),
            None,
            "pool field can't contain more then two entries",
        ),
        (
            conf("args", json!({"cni": {"poolNames": ["a", ""]}})),
            None,
            "pool field has invalid format",
        ),
        (
            conf("args", json!({"cni": {"poolType": "x"}})),
            None,
            "unsupported poolType x, supported values: ippool, cidrpool",
        ),
        (
            conf("runtimeConfig", json!({"ips": ["x"]})),
            None,
            "static IP request contains invalid IP address",
        ),
        (
            conf("args", json!({"cni": {"allocateIPWithIndex": -1}})),
            None,
            "allocateIPWithIndex can't be negative",
        ),
        (
            conf("args", json!({})),
            Some("K8S_POD_NAME=a;X=1"),
            "ARGS: unknown args [\"X=1\"]",
        ),
        (
            conf("args", json!({})),
            Some(""),
            "CNI_ARGS: K8S_POD_NAME is not provided by container runtime",
        ),
    ] {
        let mut call = node.call("ADD").stdin(stdin);
        if let Some(cni_args) = cni_args {
            call = call.with("CNI_ARGS", cni_args);
        }
        let expected = format!("command preparation failed: failed to load config. {expected}");
        assert_eq!(call.run().error(), (999, expected));
    }
    assert_eq!(daemon.seen().len(), 0);
}

#[test]
fn ten_megabytes_of_input_are_only_input() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    let mut conf = node.conf("1.0.0");
    conf["junk"] = json!("x".repeat(10 << 20));
    node.call("ADD").stdin(conf.to_string()).run().ok();
    assert_eq!(daemon.seen().len(), 1);
    let cut = &conf.to_string()[..10 << 20];
    assert_eq!(node.call("ADD").stdin(cut).run().error().0, 6);
    assert_eq!(node.call("DEL").stdin("[".repeat(10 << 20)).run().error().0, 6);
    assert_eq!(daemon.seen().len(), 1);
}

#[test]
fn a_configuration_file_that_can_t_be_read_refuses_every_verb_that_needs_it() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    std::fs::create_dir(node.path("conf")).unwrap();
    std::fs::write(node.path("conf/nv-ipam.conf"), "{").unwrap();
    for verb in ["ADD", "CHECK", "DEL", "STATUS"] {
        let (code, msg) = node
            .call(verb)
            .stdin(node.conf("1.1.0").to_string())
            .run()
            .error();
        assert_eq!(code, 999);
        assert!(
            msg.contains("failed to load config. failed to read/parse config file("),
            "{msg}"
        );
    }
    assert_eq!(daemon.seen().len(), 0);
}

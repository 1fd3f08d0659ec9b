//! Standard output, byte by byte: what the CNI library 1.3.0 prints for the Go implementation (contract B.2).

use rpc::v1::{AllocationInfo, Route};
use serde_json::json;
use tonic::Code;

use crate::support::{Call, Node, Reply};

fn allocation(pool: &str, ip: &str, gateway: &str, routes: &[&str]) -> AllocationInfo {
    AllocationInfo {
        pool: pool.into(),
        ip: ip.into(),
        gateway: gateway.into(),
        routes: routes.iter().map(|&dest| Route { dest: dest.into() }).collect(),
        ..AllocationInfo::default()
    }
}

/// An ADD of two pools, IPv4 and IPv6, each with a gateway and routes.
fn dual_stack(version: &str) -> String {
    let node = Node::new();
    let _daemon = node.daemon(Reply::Allocations(vec![
        allocation(
            "v4",
            "192.168.0.2/16",
            "192.168.0.1",
            &["0.0.0.0/0", "5.5.0.0/24"],
        ),
        allocation("v6", "fd52:2eb5:44::2/48", "fd52:2eb5:44::1", &["::/0"]),
    ]));
    let mut conf = node.conf(version);
    conf["ipam"]["poolName"] = json!("v4,v6");
    node.call("ADD").stdin(conf.to_string()).run().ok().to_owned()
}

#[test]
fn a_result_of_0_1_and_0_2() {
    let expected = r#"{
    "cniVersion": "VERSION",
    "ip4": {
        "ip": "192.168.0.2/16",
        "gateway": "192.168.0.1",
        "routes": [
            {
                "dst": "0.0.0.0/0",
                "gw": "192.168.0.1"
            },
            {
                "dst": "5.5.0.0/24",
                "gw": "192.168.0.1"
            }
        ]
    },
    "ip6": {
        "ip": "fd52:2eb5:44::2/48",
        "gateway": "fd52:2eb5:44::1",
        "routes": [
            {
                "dst": "::/0",
                "gw": "fd52:2eb5:44::1"
            }
        ]
    },
    "dns": {}
}"#;
    for version in ["0.1.0", "0.2.0"] {
        assert_eq!(dual_stack(version), expected.replace("VERSION", version));
    }
}

#[test]
fn a_result_of_0_3_and_0_4() {
    let expected = r#"{
    "cniVersion": "VERSION",
    "ips": [
        {
            "version": "4",
            "address": "192.168.0.2/16",
            "gateway": "192.168.0.1"
        },
        {
            "version": "6",
            "address": "fd52:2eb5:44::2/48",
            "gateway": "fd52:2eb5:44::1"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0",
            "gw": "192.168.0.1"
        },
        {
            "dst": "5.5.0.0/24",
            "gw": "192.168.0.1"
        },
        {
            "dst": "::/0",
            "gw": "fd52:2eb5:44::1"
        }
    ],
    "dns": {}
}"#;
    for version in ["0.3.0", "0.3.1", "0.4.0"] {
        assert_eq!(dual_stack(version), expected.replace("VERSION", version));
    }
}

#[test]
fn a_result_of_1_0_and_1_1() {
    let expected = r#"{
    "cniVersion": "VERSION",
    "ips": [
        {
            "address": "192.168.0.2/16",
            "gateway": "192.168.0.1"
        },
        {
            "address": "fd52:2eb5:44::2/48",
            "gateway": "fd52:2eb5:44::1"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0",
            "gw": "192.168.0.1"
        },
        {
            "dst": "5.5.0.0/24",
            "gw": "192.168.0.1"
        },
        {
            "dst": "::/0",
            "gw": "fd52:2eb5:44::1"
        }
    ]
}"#;
    for version in ["1.0.0", "1.1.0"] {
        assert_eq!(dual_stack(version), expected.replace("VERSION", version));
    }
}

#[test]
fn addresses_are_in_the_order_of_the_pools() {
    let node = Node::new();
    let _daemon = node.daemon(Reply::Allocations(vec![
        allocation("v6", "fd00::2/64", "", &[]),
        allocation("v4", "10.0.0.2/24", "", &[]),
    ]));
    let mut conf = node.conf("1.0.0");
    conf["args"] = json!({"cni": {"poolNames": ["v6", "v4"]}});
    assert_eq!(
        node.call("ADD").stdin(conf.to_string()).run().ok(),
        "{\n    \"cniVersion\": \"1.0.0\",\n    \"ips\": [\n        {\n            \"address\": \"fd00::2/64\"\n        },\n        \
         {\n            \"address\": \"10.0.0.2/24\"\n        }\n    ]\n}"
    );
}

#[test]
fn a_configuration_without_version_is_one_of_0_1_0() {
    let node = Node::new();
    let _daemon = node.daemon(Reply::Allocations(vec![allocation("p", "10.0.0.2/24", "", &[])]));
    let mut conf = node.conf("");
    conf.as_object_mut().unwrap().remove("cniVersion");
    assert_eq!(
        node.call("ADD").stdin(conf.to_string()).run().ok(),
        "{\n    \"cniVersion\": \"0.1.0\",\n    \"ip4\": {\n        \"ip\": \"10.0.0.2/24\"\n    },\n    \"dns\": {}\n}"
    );
}

#[test]
fn what_an_allocation_does_not_have_is_left_out() {
    let node = Node::new();
    // Without a gateway its routes count for nothing.
    let _daemon = node.daemon(Reply::Allocations(vec![allocation(
        "p",
        "10.0.0.2/24",
        "",
        &["0.0.0.0/0"],
    )]));
    assert_eq!(
        node.call("ADD").run().ok(),
        "{\n    \"cniVersion\": \"1.0.0\",\n    \"ips\": [\n        {\n            \"address\": \"10.0.0.2/24\"\n        }\n    ]\n}"
    );
}

#[test]
fn an_error() {
    let node = Node::new();
    let _daemon = node.daemon(Reply::Refusal(
        Code::NotFound,
        r#"configuration for pool "pool1", poolType "ippool" not found"#,
    ));
    let ran = node.call("ADD").run();
    assert!(!ran.success);
    assert_eq!(
        ran.stdout,
        "{\n    \"code\": 999,\n    \"msg\": \"grpc call failed: rpc error: code = NotFound desc = configuration for pool \
         \\\"pool1\\\", poolType \\\"ippool\\\" not found\"\n}"
    );
}

#[test]
fn an_error_with_details() {
    let node = Node::new();
    let ran = node.call("ADD").with("CNI_CONTAINERID", "a b").run();
    assert!(!ran.success);
    assert_eq!(
        ran.stdout,
        "{\n    \"code\": 4,\n    \"msg\": \"invalid characters in containerID\",\n    \"details\": \"a b\"\n}"
    );
}

#[test]
fn the_versions() {
    let ran = Call {
        environment: vec![("CNI_COMMAND", "VERSION".into())],
        stdin: Vec::new(),
    }
    .run();
    assert_eq!(
        ran.ok(),
        "{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"0.1.0\",\"0.2.0\",\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n"
    );
}

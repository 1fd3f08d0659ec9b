use rpc::v1::AllocationInfo;

use super::*;

fn allocation(ip: &str, gateway: &str, routes: &[&str]) -> AllocationInfo {
    AllocationInfo {
        ip: ip.into(),
        gateway: gateway.into(),
        routes: routes
            .iter()
            .map(|&dest| rpc::v1::Route { dest: dest.into() })
            .collect(),
        ..AllocationInfo::default()
    }
}

fn read(allocations: Vec<AllocationInfo>) -> Result<Answer, AnswerError> {
    let pools = allocations.len();
    Answer::read(&AllocateResponse { allocations }, pools)
}

fn dual_stack() -> Answer {
    read(vec![
        allocation("192.168.0.2/16", "192.168.0.1", &["0.0.0.0/0", "10.1.2.3/8"]),
        allocation("fd00::2/64", "fd00::1", &["::/0"]),
    ])
    .unwrap()
}

fn json(answer: &Answer, version: SpecVersion) -> String {
    String::from_utf8(answer.to_json(version).unwrap()).unwrap()
}

// The texts below are what the CNI library 1.3.0 prints for the same results.

#[test]
fn version_0_1_and_0_2_have_one_address_of_each_family_with_its_routes() {
    for version in [SpecVersion::V0_1_0, SpecVersion::V0_2_0] {
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
                "dst": "10.0.0.0/8",
                "gw": "192.168.0.1"
            }
        ]
    },
    "ip6": {
        "ip": "fd00::2/64",
        "gateway": "fd00::1",
        "routes": [
            {
                "dst": "::/0",
                "gw": "fd00::1"
            }
        ]
    },
    "dns": {}
}"#;
        assert_eq!(
            json(&dual_stack(), version),
            expected.replace("VERSION", version.as_str())
        );
    }
}

#[test]
fn versions_0_3_and_0_4_name_the_family() {
    for version in [SpecVersion::V0_3_0, SpecVersion::V0_3_1, SpecVersion::V0_4_0] {
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
            "address": "fd00::2/64",
            "gateway": "fd00::1"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0",
            "gw": "192.168.0.1"
        },
        {
            "dst": "10.0.0.0/8",
            "gw": "192.168.0.1"
        },
        {
            "dst": "::/0",
            "gw": "fd00::1"
        }
    ],
    "dns": {}
}"#;
        assert_eq!(
            json(&dual_stack(), version),
            expected.replace("VERSION", version.as_str())
        );
    }
}

#[test]
fn versions_1_have_neither_family_nor_dns() {
    for version in [SpecVersion::V1_0_0, SpecVersion::V1_1_0] {
        let expected = r#"{
    "cniVersion": "VERSION",
    "ips": [
        {
            "address": "192.168.0.2/16",
            "gateway": "192.168.0.1"
        },
        {
            "address": "fd00::2/64",
            "gateway": "fd00::1"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0",
            "gw": "192.168.0.1"
        },
        {
            "dst": "10.0.0.0/8",
            "gw": "192.168.0.1"
        },
        {
            "dst": "::/0",
            "gw": "fd00::1"
        }
    ]
}"#;
        assert_eq!(
            json(&dual_stack(), version),
            expected.replace("VERSION", version.as_str())
        );
    }
}

#[test]
fn what_is_empty_is_left_out() {
    let plain = read(vec![allocation("192.168.0.2/16", "", &[])]).unwrap();
    for (version, expected) in [
        (
            SpecVersion::V0_2_0,
            "{\n    \"cniVersion\": \"0.2.0\",\n    \"ip4\": {\n        \"ip\": \"192.168.0.2/16\"\n    },\n    \"dns\": {}\n}",
        ),
        (
            SpecVersion::V0_4_0,
            "{\n    \"cniVersion\": \"0.4.0\",\n    \"ips\": [\n        {\n            \"version\": \"4\",\n            \
             \"address\": \"192.168.0.2/16\"\n        }\n    ],\n    \"dns\": {}\n}",
        ),
        (
            SpecVersion::V1_0_0,
            "{\n    \"cniVersion\": \"1.0.0\",\n    \"ips\": [\n        {\n            \
             \"address\": \"192.168.0.2/16\"\n        }\n    ]\n}",
        ),
    ] {
        assert_eq!(json(&plain, version), expected);
    }
}

#[test]
fn routes_without_gateway_are_ignored() {
    let answer = read(vec![allocation("10.0.0.2/24", "", &["0.0.0.0/0", "nonsense"])]).unwrap();
    assert!(!json(&answer, SpecVersion::V1_0_0).contains("routes"));
}

#[test]
fn old_versions_have_no_room_for_two_of_a_family() {
    let two = read(vec![
        allocation("10.0.0.2/24", "", &[]),
        allocation("10.0.1.2/24", "", &[]),
    ])
    .unwrap();
    assert_eq!(two.dropped_in(SpecVersion::V0_2_0), 1);
    assert_eq!(two.dropped_in(SpecVersion::V0_3_0), 0);
    assert_eq!(dual_stack().dropped_in(SpecVersion::V0_1_0), 0);
    let shown = json(&two, SpecVersion::V0_2_0);
    assert!(
        shown.contains("10.0.0.2/24") && !shown.contains("10.0.1.2"),
        "{shown}"
    );
}

#[test]
fn an_answer_that_can_t_be_right_is_refused() {
    let refused = |ip, gateway, routes| {
        read(vec![allocation(ip, gateway, routes)])
            .unwrap_err()
            .to_string()
    };
    assert_eq!(refused("", "", &[]), "IP can't be empty");
    assert_eq!(
        refused("10.0.0.2", "", &[]),
        "unexpected IP address format, received value: 10.0.0.2"
    );
    assert_eq!(
        refused("10.0.0.2/24", "x", &[]),
        "unexpected Gateway address format, received value: x"
    );
    assert_eq!(
        refused("10.0.0.2/24", "10.0.0.1", &["0.0.0.0"]),
        "unexpected Route destination format, received value: 0.0.0.0, error: invalid CIDR address: 0.0.0.0"
    );
    let nothing = Answer::read(&AllocateResponse::default(), 1).unwrap_err();
    assert_eq!(
        nothing.to_string(),
        "1 pool(s) were named, 0 address(es) received"
    );
}

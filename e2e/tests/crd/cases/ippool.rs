//! IPPools, contract B.12.I.2 to 7, 9 and 10.

use serde_json::json;

use super::ApiServer::{Nothing, Same, Says};
use super::{Case, ippool};

pub(super) fn cases() -> Vec<Case> {
    [valid(), network(), lists(), gateway()].concat()
}

fn valid() -> Vec<Case> {
    let ok = |name, fields| ippool(name, fields, &[], Same);
    vec![
        ok("ip-plain", json!({})),
        ok("ip-host-bits", json!({ "subnet": "10.7.0.3/24" })),
        ok(
            "ip-ipv6",
            json!({ "subnet": "fd00:7::/64", "perNodeBlockSize": i64::MAX, "gateway": "fd00:7::1" }),
        ),
        ok("ip-largest-block", json!({ "perNodeBlockSize": 254 })),
        ok(
            "ip-largest-block-point-to-point",
            json!({ "subnet": "10.7.0.0/31", "perNodeBlockSize": 2 }),
        ),
        ok(
            "ip-largest-block-single",
            json!({ "subnet": "fd00:7::1/128", "perNodeBlockSize": 1 }),
        ),
        ok(
            "ip-largest-block-ipv6",
            json!({ "subnet": "fd00:7::/66", "perNodeBlockSize": 4_611_686_018_427_387_903_i64 }),
        ),
        ok(
            "ip-largest-block-everything",
            json!({ "subnet": "0.0.0.0/0", "perNodeBlockSize": 4_294_967_294_i64 }),
        ),
        ok(
            "ip-every-field",
            json!({
                "gateway": "10.7.0.1", "defaultGateway": true,
                "routes": [{ "dst": "192.168.0.0/16" }, { "dst": "10.0.0.1/8" }],
                "exclusions": [{ "startIP": "10.7.0.0", "endIP": "10.7.0.9" }, { "startIP": "10.7.0.5", "endIP": "10.7.0.255" }],
                "perNodeExclusions": [{ "startIndex": 0, "endIndex": 3 }, { "startIndex": 2, "endIndex": 7 }],
            }),
        ),
        ok("ip-empty-gateway", json!({ "gateway": "" })),
        ok(
            "ip-empty-lists-without-gateway",
            json!({ "gateway": "", "defaultGateway": false, "routes": [], "exclusions": [], "perNodeExclusions": [] }),
        ),
        ok("ip-gateway-network-address", json!({ "gateway": "10.7.0.0" })),
        ok(
            "ip-default-route-as-a-route",
            json!({ "gateway": "10.7.0.1", "routes": [{ "dst": "0.0.0.0/0" }] }),
        ),
    ]
}

fn network() -> Vec<Case> {
    let size = |name, fields, parser| ippool(name, fields, parser, Same);
    vec![
        ippool(
            "ip-no-subnet",
            json!({ "subnet": "ten" }),
            &[r#"spec.subnet: Invalid value: "ten": is invalid subnet"#],
            Same,
        ),
        ippool(
            "ip-empty-subnet",
            json!({ "subnet": "" }),
            &[r#"spec.subnet: Invalid value: "": is invalid subnet"#],
            Same,
        ),
        ippool(
            "ip-subnet-spans-mapped-addresses",
            json!({ "subnet": "::/64" }),
            &[r#"spec.subnet: Invalid value: "::/64": is invalid subnet"#],
            Same,
        ),
        ippool(
            "ip-long-subnet",
            json!({ "subnet": "0000000000:0000000000:0000000000:0000000000:000000::/64" }),
            &[
                r#"spec.subnet: Invalid value: "0000000000:0000000000:0000000000:0000000000:000000::/64": is invalid subnet"#,
            ],
            Says(&[
                "spec.subnet: Too long: may not be more than 49 bytes",
                "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the \
                 existing errors to complete validation",
            ]),
        ),
        size(
            "ip-no-block",
            json!({ "perNodeBlockSize": 0 }),
            &["spec.perNodeBlockSize: Invalid value: 0: must be at least 1"],
        ),
        size(
            "ip-negative-block",
            json!({ "perNodeBlockSize": -1 }),
            &["spec.perNodeBlockSize: Invalid value: -1: must be at least 1"],
        ),
        size(
            "ip-large-block",
            json!({ "perNodeBlockSize": 255 }),
            &[
                "spec.perNodeBlockSize: Invalid value: 255: is larger then amount of IPs available in the subnet",
            ],
        ),
        size(
            "ip-large-block-point-to-point",
            json!({ "subnet": "10.7.0.0/31", "perNodeBlockSize": 3 }),
            &[
                "spec.perNodeBlockSize: Invalid value: 3: is larger then amount of IPs available in the subnet",
            ],
        ),
        size(
            "ip-large-block-single",
            json!({ "subnet": "10.7.0.0/32", "perNodeBlockSize": 2 }),
            &[
                "spec.perNodeBlockSize: Invalid value: 2: is larger then amount of IPs available in the subnet",
            ],
        ),
        size(
            "ip-large-block-ipv6",
            json!({ "subnet": "fd00:7::/120", "perNodeBlockSize": 256 }),
            &[
                "spec.perNodeBlockSize: Invalid value: 256: is larger then amount of IPs available in the subnet",
            ],
        ),
        size(
            "ip-large-block-beyond-2-53",
            json!({ "subnet": "fd00:7::/66", "perNodeBlockSize": 4_611_686_018_427_387_904_i64 }),
            &[
                "spec.perNodeBlockSize: Invalid value: 4611686018427387904: is larger then amount of IPs available in the subnet",
            ],
        ),
        // The subnet decides what the others mean, and the parser says them without it.
        ippool(
            "ip-several",
            json!({ "subnet": "ten", "perNodeBlockSize": 0, "gateway": "x", "defaultGateway": true, "routes": [{ "dst": "y" }] }),
            &[
                r#"spec.subnet: Invalid value: "ten": is invalid subnet"#,
                "spec.perNodeBlockSize: Invalid value: 0: must be at least 1",
                r#"spec.gateway: Invalid value: "x": is invalid IP address"#,
                r#"spec.routes[0].dst: Invalid value: "y": is invalid subnet"#,
            ],
            Same,
        ),
    ]
}

fn lists() -> Vec<Case> {
    let exclusions =
        |name, entries, parser, says| ippool(name, json!({ "exclusions": entries }), parser, says);
    let indexes =
        |name, entries, parser, says| ippool(name, json!({ "perNodeExclusions": entries }), parser, says);
    vec![
        exclusions(
            "ip-exclusion-no-address",
            json!([{ "startIP": "10.7.0.1", "endIP": "10.7.0.2" }, { "startIP": "x", "endIP": "" }]),
            &[
                r#"spec.exclusions[1].startIP: Invalid value: "x": is invalid IP address"#,
                r#"spec.exclusions[1].endIP: Invalid value: "": is invalid IP address"#,
            ],
            Same,
        ),
        exclusions(
            "ip-exclusion-outside",
            json!([{ "startIP": "10.7.0.1", "endIP": "10.7.0.2" }, { "startIP": "10.6.0.9", "endIP": "10.7.1.0" }]),
            &[
                r#"spec.exclusions[1].startIP: Invalid value: "10.6.0.9": is not part of the 10.7.0.0/24 subnet"#,
                r#"spec.exclusions[1].endIP: Invalid value: "10.7.1.0": is not part of the 10.7.0.0/24 subnet"#,
            ],
            Says(&[
                r#"spec.exclusions: Invalid value: "10.6.0.9": is not part of the 10.7.0.0/24 subnet"#,
                r#"spec.exclusions: Invalid value: "10.7.1.0": is not part of the 10.7.0.0/24 subnet"#,
            ]),
        ),
        exclusions(
            "ip-exclusion-other-family",
            json!([{ "startIP": "fd00::1", "endIP": "fd00::2" }]),
            &[
                r#"spec.exclusions[0].startIP: Invalid value: "fd00::1": is not part of the 10.7.0.0/24 subnet"#,
                r#"spec.exclusions[0].endIP: Invalid value: "fd00::2": is not part of the 10.7.0.0/24 subnet"#,
            ],
            Says(&[
                r#"spec.exclusions: Invalid value: "fd00::1": is not part of the 10.7.0.0/24 subnet"#,
                r#"spec.exclusions: Invalid value: "fd00::2": is not part of the 10.7.0.0/24 subnet"#,
            ]),
        ),
        exclusions(
            "ip-exclusion-order",
            json!([{ "startIP": "10.7.0.9", "endIP": "10.7.0.8" }]),
            &[
                r#"spec.exclusions[0]: Invalid value: {"startIP":"10.7.0.9","endIP":"10.7.0.8"}: endIP should be equal or greater than startIP"#,
            ],
            Nothing,
        ),
        indexes(
            "ip-index-outside",
            json!([{ "startIndex": 0, "endIndex": 7 }, { "startIndex": 0, "endIndex": 8 }]),
            &[
                "spec.perNodeExclusions[1].endIndex: Invalid value: 8: index is outside of the per-node block range (max: 7)",
            ],
            Says(&[
                "spec.perNodeExclusions: Invalid value: 8: index is outside of the per-node block range (max: 7)",
            ]),
        ),
        indexes(
            "ip-index-order",
            json!([{ "startIndex": 3, "endIndex": 2 }]),
            &[
                r#"spec.perNodeExclusions[0]: Invalid value: {"startIndex":3,"endIndex":2}: endIndex must be greater than or equal to startIndex"#,
            ],
            Says(&[
                "spec.perNodeExclusions[0]: Invalid value: endIndex must be greater than or equal to startIndex",
            ]),
        ),
        indexes(
            "ip-index-negative",
            json!([{ "startIndex": -1, "endIndex": 2 }]),
            &["spec.perNodeExclusions[0].startIndex: Invalid value: -1: must be non-negative"],
            Says(&[
                "spec.perNodeExclusions[0].startIndex: Invalid value: -1: spec.perNodeExclusions[0].startIndex in body should be \
                 greater than or equal to 0",
            ]),
        ),
    ]
}

fn gateway() -> Vec<Case> {
    let gateway = |name, fields, parser, says| ippool(name, fields, parser, says);
    vec![
        gateway(
            "ip-gateway-no-address",
            json!({ "gateway": "10.7.0" }),
            &[r#"spec.gateway: Invalid value: "10.7.0": is invalid IP address"#],
            Same,
        ),
        gateway(
            "ip-gateway-outside",
            json!({ "gateway": "10.8.0.1" }),
            &[r#"spec.gateway: Invalid value: "10.8.0.1": is not part of the subnet"#],
            Same,
        ),
        gateway(
            "ip-gateway-other-family",
            json!({ "gateway": "fd00::1" }),
            &[r#"spec.gateway: Invalid value: "fd00::1": is not part of the subnet"#],
            Same,
        ),
        gateway(
            "ip-default-gateway-without-gateway",
            json!({ "gateway": "", "defaultGateway": true }),
            &["spec.defaultGateway: Invalid value: true: cannot be true if spec.gateway is not set"],
            Same,
        ),
        gateway(
            "ip-routes-without-gateway",
            json!({ "routes": [{ "dst": "192.168.0.0/16" }] }),
            &[
                r#"spec.routes: Invalid value: [{"dst":"192.168.0.0/16"}]: cannot be set if spec.gateway is not set"#,
            ],
            Says(&["spec.routes: Invalid value: cannot be set if spec.gateway is not set"]),
        ),
        gateway(
            "ip-route-no-network",
            json!({ "gateway": "10.7.0.1", "routes": [{ "dst": "192.168.0.1" }] }),
            &[r#"spec.routes[0].dst: Invalid value: "192.168.0.1": is invalid subnet"#],
            Same,
        ),
        gateway(
            "ip-route-other-family",
            json!({ "gateway": "10.7.0.1", "routes": [{ "dst": "192.168.0.0/16" }, { "dst": "fd00::/8" }] }),
            &[r#"spec.routes[1].dst: Invalid value: "fd00::/8": is not same address family IPv4/IPv6"#],
            Says(&[r#"spec.routes: Invalid value: "fd00::/8": is not same address family IPv4/IPv6"#]),
        ),
        gateway(
            "ip-route-other-family-ipv6",
            json!({ "subnet": "fd00::/64", "gateway": "fd00::1", "defaultGateway": true, "routes": [{ "dst": "0.0.0.0/0" }] }),
            &[
                r#"spec.routes[0].dst: Invalid value: "0.0.0.0/0": is not same address family IPv4/IPv6"#,
                r#"spec.routes[0].dst: Invalid value: "0.0.0.0/0": default route is not allowed if 'defaultGateway' is true"#,
            ],
            Says(&[
                r#"spec.routes: Invalid value: "0.0.0.0/0": is not same address family IPv4/IPv6"#,
                r#"spec.routes: Invalid value: "0.0.0.0/0": default route is not allowed if 'defaultGateway' is true"#,
            ]),
        ),
        gateway(
            "ip-two-default-routes",
            json!({ "gateway": "10.7.0.1", "defaultGateway": true, "routes": [{ "dst": "10.0.0.0/8" }, { "dst": "0.0.0.0/0" }] }),
            &[
                r#"spec.routes[1].dst: Invalid value: "0.0.0.0/0": default route is not allowed if 'defaultGateway' is true"#,
            ],
            Says(&[
                r#"spec.routes: Invalid value: "0.0.0.0/0": default route is not allowed if 'defaultGateway' is true"#,
            ]),
        ),
    ]
}

//! CIDRPools, contract B.12.C.2 to 10, 12 and 13.

use serde_json::json;

use super::ApiServer::{Nothing, Same, Says};
use super::{Case, cidrpool};

pub(super) fn cases() -> Vec<Case> {
    [valid(), cut(), lists(), allocations(), pairs(), gateway()].concat()
}

fn valid() -> Vec<Case> {
    let ok = |name, fields| cidrpool(name, fields, &[], Same);
    vec![
        ok("cidr-plain", json!({})),
        ok("cidr-whole", json!({ "perNodeNetworkPrefix": 16 })),
        ok(
            "cidr-ipv6",
            json!({ "cidr": "fd00:7::/48", "perNodeNetworkPrefix": 64, "gatewayIndex": i32::MAX,
                "perNodeExclusions": [{ "startIndex": 0, "endIndex": i32::MAX }] }),
        ),
        ok(
            "cidr-point-to-point",
            json!({ "perNodeNetworkPrefix": 31, "gatewayIndex": 0, "perNodeExclusions": [{ "startIndex": 0, "endIndex": 1 }] }),
        ),
        ok(
            "cidr-point-to-point-second",
            json!({ "cidr": "fd00:7::/64", "perNodeNetworkPrefix": 127, "gatewayIndex": 1 }),
        ),
        ok(
            "cidr-single",
            json!({ "perNodeNetworkPrefix": 32, "gatewayIndex": 0 }),
        ),
        ok("cidr-last-gateway", json!({ "gatewayIndex": 254 })),
        ok(
            "cidr-last-gateway-ipv6",
            json!({ "cidr": "fd00:7::/64", "perNodeNetworkPrefix": 120, "gatewayIndex": 255 }),
        ),
        ok(
            "cidr-every-field",
            json!({
                "gatewayIndex": 1, "defaultGateway": true, "routes": [{ "dst": "192.168.0.0/16" }],
                "exclusions": [{ "startIP": "10.7.0.1", "endIP": "10.7.3.9" }],
                "perNodeExclusions": [{ "startIndex": 0, "endIndex": 10 }, { "startIndex": 5, "endIndex": 255 }],
                "staticAllocations": [
                    { "nodeName": "host-a", "prefix": "10.7.5.0/24", "gateway": "10.7.5.9" },
                    { "prefix": "10.7.6.0/24" }, { "nodeName": "", "prefix": "10.7.7.0/24", "gateway": "" },
                ],
            }),
        ),
    ]
}

fn cut() -> Vec<Case> {
    let bad = |name, fields, parser| cidrpool(name, fields, parser, Same);
    vec![
        bad(
            "cidr-no-network",
            json!({ "cidr": "ten" }),
            &[r#"spec.cidr: Invalid value: "ten": is invalid cidr"#],
        ),
        bad(
            "cidr-host-bits",
            json!({ "cidr": "10.7.0.1/16" }),
            &[r#"spec.cidr: Invalid value: "10.7.0.1/16": network prefix has host bits set"#],
        ),
        bad(
            "cidr-host-bits-ipv6",
            json!({ "cidr": "fd00::1/16" }),
            &[r#"spec.cidr: Invalid value: "fd00::1/16": network prefix has host bits set"#],
        ),
        bad(
            "cidr-gateway-negative",
            json!({ "gatewayIndex": -1 }),
            &["spec.gatewayIndex: Invalid value: -1: must not be negative"],
        ),
        bad(
            "cidr-prefix-negative",
            json!({ "perNodeNetworkPrefix": -1 }),
            &["spec.perNodeNetworkPrefix: Invalid value: -1: must not be negative"],
        ),
        bad(
            "cidr-prefix-zero",
            json!({ "cidr": "0.0.0.0/0", "perNodeNetworkPrefix": 0 }),
            &[
                r#"spec.perNodeNetworkPrefix: Invalid value: 0: must be less or equal than network prefix size in the "cidr" field"#,
            ],
        ),
        bad(
            "cidr-prefix-too-short",
            json!({ "perNodeNetworkPrefix": 15 }),
            &[
                r#"spec.perNodeNetworkPrefix: Invalid value: 15: must be less or equal than network prefix size in the "cidr" field"#,
            ],
        ),
        // What depends on how the network is cut is not said when it can't be.
        bad(
            "cidr-prefix-too-long",
            json!({ "perNodeNetworkPrefix": 33, "gatewayIndex": 5, "perNodeExclusions": [{ "startIndex": 0, "endIndex": 9 }],
                "staticAllocations": [{ "prefix": "10.7.5.0/24" }] }),
            &[
                r#"spec.perNodeNetworkPrefix: Invalid value: 33: must be less or equal than network prefix size in the "cidr" field"#,
            ],
        ),
        bad(
            "cidr-prefix-too-long-ipv6",
            json!({ "cidr": "fd00::/16", "perNodeNetworkPrefix": 129 }),
            &[
                r#"spec.perNodeNetworkPrefix: Invalid value: 129: must be less or equal than network prefix size in the "cidr" field"#,
            ],
        ),
        bad(
            "cidr-gateway-network-address",
            json!({ "gatewayIndex": 0 }),
            &["spec.gatewayIndex: Invalid value: 0: gateway index is outside of the node prefix"],
        ),
        bad(
            "cidr-gateway-broadcast",
            json!({ "gatewayIndex": 255 }),
            &["spec.gatewayIndex: Invalid value: 255: gateway index is outside of the node prefix"],
        ),
        bad(
            "cidr-gateway-point-to-point",
            json!({ "perNodeNetworkPrefix": 31, "gatewayIndex": 2 }),
            &["spec.gatewayIndex: Invalid value: 2: gateway index is outside of the node prefix"],
        ),
        bad(
            "cidr-gateway-single",
            json!({ "cidr": "fd00::/64", "perNodeNetworkPrefix": 128, "gatewayIndex": 1 }),
            &["spec.gatewayIndex: Invalid value: 1: gateway index is outside of the node prefix"],
        ),
        bad(
            "cidr-gateway-ipv6",
            json!({ "cidr": "fd00::/64", "perNodeNetworkPrefix": 120, "gatewayIndex": 256 }),
            &["spec.gatewayIndex: Invalid value: 256: gateway index is outside of the node prefix"],
        ),
        bad(
            "cidr-gateway-half-of-ipv4",
            json!({ "cidr": "128.0.0.0/1", "perNodeNetworkPrefix": 1, "gatewayIndex": i32::MAX }),
            &["spec.gatewayIndex: Invalid value: 2147483647: gateway index is outside of the node prefix"],
        ),
    ]
}

fn lists() -> Vec<Case> {
    vec![
        cidrpool(
            "cidr-exclusion-no-address",
            json!({ "exclusions": [{ "startIP": "x", "endIP": "10.7.0.1" }] }),
            &[r#"spec.exclusions[0].startIP: Invalid value: "x": is invalid IP address"#],
            Same,
        ),
        cidrpool(
            "cidr-exclusion-outside",
            json!({ "exclusions": [{ "startIP": "10.7.0.1", "endIP": "10.8.0.2" }] }),
            &[
                r#"spec.exclusions[0].endIP: Invalid value: "10.8.0.2": is not part of the 10.7.0.0/16 subnet"#,
            ],
            Says(&[r#"spec.exclusions: Invalid value: "10.8.0.2": is not part of the 10.7.0.0/16 subnet"#]),
        ),
        cidrpool(
            "cidr-exclusion-order",
            json!({ "exclusions": [{ "startIP": "10.7.0.9", "endIP": "10.7.0.8" }] }),
            &[
                r#"spec.exclusions[0]: Invalid value: {"startIP":"10.7.0.9","endIP":"10.7.0.8"}: endIP should be equal or greater than startIP"#,
            ],
            Nothing,
        ),
        cidrpool(
            "cidr-index-outside",
            json!({ "perNodeExclusions": [{ "startIndex": 0, "endIndex": 255 }, { "startIndex": 5, "endIndex": 256 }] }),
            &[
                "spec.perNodeExclusions[1].endIndex: Invalid value: 256: index is outside of the per-node subnet range (max: 255)",
            ],
            Says(&[
                "spec.perNodeExclusions: Invalid value: 256: index is outside of the per-node subnet range (max: 255)",
            ]),
        ),
        cidrpool(
            "cidr-index-outside-of-half-of-ipv4",
            json!({ "cidr": "0.0.0.0/0", "perNodeNetworkPrefix": 2, "perNodeExclusions": [{ "startIndex": 0, "endIndex": 1 << 30 }] }),
            &[
                "spec.perNodeExclusions[0].endIndex: Invalid value: 1073741824: index is outside of the per-node subnet range \
                 (max: 1073741823)",
            ],
            Says(&[
                "spec.perNodeExclusions: Invalid value: 1073741824: index is outside of the per-node subnet range (max: 1073741823)",
            ]),
        ),
        cidrpool(
            "cidr-index-order",
            json!({ "perNodeExclusions": [{ "startIndex": 3, "endIndex": 2 }] }),
            &[
                r#"spec.perNodeExclusions[0]: Invalid value: {"startIndex":3,"endIndex":2}: endIndex must be greater than or equal to startIndex"#,
            ],
            Says(&[
                "spec.perNodeExclusions[0]: Invalid value: endIndex must be greater than or equal to startIndex",
            ]),
        ),
    ]
}

/// One static allocation, of which the parser says the first broken rule.
fn allocations() -> Vec<Case> {
    let entry = |name, entry, parser, says| {
        let fields =
            json!({ "staticAllocations": [{ "nodeName": "other", "prefix": "10.7.0.0/24" }, entry] });
        cidrpool(name, fields, parser, says)
    };
    vec![
        entry(
            "cidr-static-no-network",
            json!({ "nodeName": "a", "prefix": "x" }),
            &[r#"spec.staticAllocations[1].prefix: Invalid value: "x": is not a valid network prefix"#],
            Same,
        ),
        entry(
            "cidr-static-host-bits",
            json!({ "nodeName": "a", "prefix": "10.7.5.1/24" }),
            &[
                r#"spec.staticAllocations[1].prefix: Invalid value: "10.7.5.1/24": network prefix has host bits set"#,
            ],
            Same,
        ),
        entry(
            "cidr-static-family",
            json!({ "nodeName": "a", "prefix": "fd00::/64" }),
            &[
                r#"spec.staticAllocations[1].prefix: Invalid value: "fd00::/64": prefix is not part of the pool cidr"#,
            ],
            Says(&[
                r#"spec.staticAllocations: Invalid value: "fd00::/64": prefix is not part of the pool cidr"#,
            ]),
        ),
        entry(
            "cidr-static-outside",
            json!({ "nodeName": "a", "prefix": "10.8.5.0/24" }),
            &[
                r#"spec.staticAllocations[1].prefix: Invalid value: "10.8.5.0/24": prefix is not part of the pool cidr"#,
            ],
            Says(&[
                r#"spec.staticAllocations: Invalid value: "10.8.5.0/24": prefix is not part of the pool cidr"#,
            ]),
        ),
        entry(
            "cidr-static-length",
            json!({ "nodeName": "a", "prefix": "10.7.4.0/23" }),
            &[
                r#"spec.staticAllocations[1].prefix: Invalid value: "10.7.4.0/23": prefix size doesn't match spec.perNodeNetworkPrefix"#,
            ],
            Says(&[
                r#"spec.staticAllocations: Invalid value: "10.7.4.0/23": prefix size doesn't match spec.perNodeNetworkPrefix"#,
            ]),
        ),
        entry(
            "cidr-static-gateway",
            json!({ "nodeName": "a", "prefix": "10.7.5.0/24", "gateway": "x" }),
            &[r#"spec.staticAllocations[1].gateway: Invalid value: "x": is not a valid IP"#],
            Same,
        ),
        entry(
            "cidr-static-gateway-outside",
            json!({ "nodeName": "a", "prefix": "10.7.5.0/24", "gateway": "10.7.6.1" }),
            &[
                r#"spec.staticAllocations[1].gateway: Invalid value: "10.7.6.1": is outside of the node prefix"#,
            ],
            Same,
        ),
    ]
}

fn pairs() -> Vec<Case> {
    let lists =
        |name, entries, parser, says| cidrpool(name, json!({ "staticAllocations": entries }), parser, says);
    vec![
        lists(
            "cidr-static-node-twice",
            json!([{ "nodeName": "a", "prefix": "10.7.5.0/24" }, { "prefix": "10.7.6.0/24" }, { "nodeName": "a", "prefix": "10.7.7.0/24" }]),
            &[
                r#"spec.staticAllocations: Invalid value: [{"nodeName":"a","prefix":"10.7.5.0/24"},{"prefix":"10.7.6.0/24"},{"nodeName":"a","prefix":"10.7.7.0/24"}]: contains multiple entries for node a"#,
            ],
            Says(&["spec.staticAllocations: Invalid value: contains multiple entries for node a"]),
        ),
        lists(
            "cidr-static-prefix-twice",
            json!([{ "nodeName": "a", "prefix": "10.7.5.0/24" }, { "nodeName": "b", "prefix": "10.7.5.0/24" }]),
            &[
                r#"spec.staticAllocations: Invalid value: [{"nodeName":"a","prefix":"10.7.5.0/24"},{"nodeName":"b","prefix":"10.7.5.0/24"}]: contains multiple entries for prefix 10.7.5.0/24"#,
            ],
            Says(&[
                "spec.staticAllocations: Invalid value: contains multiple entries for prefix 10.7.5.0/24",
            ]),
        ),
    ]
}

fn gateway() -> Vec<Case> {
    vec![
        cidrpool(
            "cidr-default-gateway-without-gateway",
            json!({ "defaultGateway": true }),
            &["spec.defaultGateway: Invalid value: true: cannot be true if spec.gatewayIndex is not set"],
            Same,
        ),
        cidrpool(
            "cidr-routes-with-static-gateways-only",
            json!({ "routes": [{ "dst": "192.168.0.0/16" }],
                "staticAllocations": [{ "nodeName": "a", "prefix": "10.7.5.0/24", "gateway": "10.7.5.1" }] }),
            &[
                r#"spec.routes: Invalid value: [{"dst":"192.168.0.0/16"}]: cannot be set if spec.gatewayIndex is not set"#,
            ],
            Says(&["spec.routes: Invalid value: cannot be set if spec.gatewayIndex is not set"]),
        ),
        cidrpool(
            "cidr-route-other-family",
            json!({ "gatewayIndex": 1, "routes": [{ "dst": "fd00::/8" }] }),
            &[r#"spec.routes[0].dst: Invalid value: "fd00::/8": is not same address family IPv4/IPv6"#],
            Says(&[r#"spec.routes: Invalid value: "fd00::/8": is not same address family IPv4/IPv6"#]),
        ),
        cidrpool(
            "cidr-two-default-routes",
            json!({ "gatewayIndex": 1, "defaultGateway": true, "routes": [{ "dst": "0.0.0.0/0" }] }),
            &[
                r#"spec.routes[0].dst: Invalid value: "0.0.0.0/0": default route is not allowed if 'defaultGateway' is true"#,
            ],
            Says(&[
                r#"spec.routes: Invalid value: "0.0.0.0/0": default route is not allowed if 'defaultGateway' is true"#,
            ]),
        ),
    ]
}

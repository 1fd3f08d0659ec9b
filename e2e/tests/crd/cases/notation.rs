//! Addresses and networks that one parser may read and another not. What Go's `net.ParseIP` and `net.ParseCIDR` make of each
//! (tried with Go 1.26) is in the comments; our parsers read what they read, but for networks of IPv4-mapped addresses. The API
//! server refuses what it can't read.

use serde_json::json;

use super::ApiServer::{Same, Says};
use super::{Case, ippool};

pub(super) fn cases() -> Vec<Case> {
    let both_read = |name, fields| ippool(name, fields, &[], Same);
    let neither_reads = |name, fields, parser| ippool(name, fields, parser, Same);
    vec![
        // Go: fd00:7::1.
        both_read(
            "notation-upper-case",
            json!({ "subnet": "FD00:7::/64", "gateway": "FD00:7::1" }),
        ),
        // Go: fd00:7::1.
        both_read(
            "notation-zeros-in-a-group",
            json!({ "subnet": "fd00:0007:0000::/64", "gateway": "fd00:7:0:0:0:0:0:0001" }),
        ),
        // Go: fd00:7::a07:1.
        both_read(
            "notation-ipv4-at-the-end",
            json!({ "subnet": "fd00:7::/64", "gateway": "fd00:7::10.7.0.1" }),
        ),
        // Go: 10.7.0.1.
        ippool(
            "notation-mapped-address",
            json!({ "gateway": "::ffff:10.7.0.1" }),
            &[],
            Says(&[r#"spec.gateway: Invalid value: "::ffff:10.7.0.1": is invalid IP address"#]),
        ),
        // Go: 10.7.0.0/24, whose addresses are written in a status as IPv4 and counted as IPv6.
        neither_reads(
            "notation-mapped-network",
            json!({ "subnet": "::ffff:10.7.0.0/120" }),
            &[r#"spec.subnet: Invalid value: "::ffff:10.7.0.0/120": is invalid subnet"#],
        ),
        // Go: 10.7.0.0/24.
        ippool(
            "notation-zero-before-the-length",
            json!({ "subnet": "10.7.0.0/024" }),
            &[],
            Says(&[r#"spec.subnet: Invalid value: "10.7.0.0/024": is invalid subnet"#]),
        ),
        // Go reads none of the following.
        neither_reads(
            "notation-sign-before-the-length",
            json!({ "subnet": "10.7.0.0/+24" }),
            &[r#"spec.subnet: Invalid value: "10.7.0.0/+24": is invalid subnet"#],
        ),
        neither_reads(
            "notation-zero-before-an-octet",
            json!({ "subnet": "010.7.0.0/24", "gateway": "010.7.0.1" }),
            &[
                r#"spec.subnet: Invalid value: "010.7.0.0/24": is invalid subnet"#,
                r#"spec.gateway: Invalid value: "010.7.0.1": is invalid IP address"#,
            ],
        ),
        neither_reads(
            "notation-zero-before-an-octet-of-a-route",
            json!({ "gateway": "10.7.0.1", "routes": [{ "dst": "010.0.0.0/8" }] }),
            &[r#"spec.routes[0].dst: Invalid value: "010.0.0.0/8": is invalid subnet"#],
        ),
        neither_reads(
            "notation-zone",
            json!({ "subnet": "fe80::%eth0/64", "gateway": "fe80::1%eth0" }),
            &[
                r#"spec.subnet: Invalid value: "fe80::%eth0/64": is invalid subnet"#,
                r#"spec.gateway: Invalid value: "fe80::1%eth0": is invalid IP address"#,
            ],
        ),
        neither_reads(
            "notation-three-octets",
            json!({ "subnet": "10.7.0/24", "gateway": "10.7.1" }),
            &[
                r#"spec.subnet: Invalid value: "10.7.0/24": is invalid subnet"#,
                r#"spec.gateway: Invalid value: "10.7.1": is invalid IP address"#,
            ],
        ),
        neither_reads(
            "notation-space",
            json!({ "subnet": "10.7.0.0/24 ", "gateway": " 10.7.0.1" }),
            &[
                r#"spec.subnet: Invalid value: "10.7.0.0/24 ": is invalid subnet"#,
                r#"spec.gateway: Invalid value: " 10.7.0.1": is invalid IP address"#,
            ],
        ),
        neither_reads(
            "notation-five-digits-in-a-group",
            json!({ "subnet": "fd00:00007::/64", "gateway": "fd00::00001" }),
            &[
                r#"spec.subnet: Invalid value: "fd00:00007::/64": is invalid subnet"#,
                r#"spec.gateway: Invalid value: "fd00::00001": is invalid IP address"#,
            ],
        ),
        neither_reads(
            "notation-address-for-a-network",
            json!({ "subnet": "10.7.0.0" }),
            &[r#"spec.subnet: Invalid value: "10.7.0.0": is invalid subnet"#],
        ),
        neither_reads(
            "notation-network-for-an-address",
            json!({ "gateway": "10.7.0.1/24" }),
            &[r#"spec.gateway: Invalid value: "10.7.0.1/24": is invalid IP address"#],
        ),
        neither_reads(
            "notation-length-beyond-the-family",
            json!({ "subnet": "10.7.0.0/33" }),
            &[r#"spec.subnet: Invalid value: "10.7.0.0/33": is invalid subnet"#],
        ),
    ]
}

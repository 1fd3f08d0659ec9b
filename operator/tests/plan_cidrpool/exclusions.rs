//! Prefixes that are not dealt, because they are excluded.

use serde_json::{Value, json};

use crate::common::cidrpool;
use crate::{prefixes, with};

/// Contract B.7: a prefix is skipped only if both kinds together cover it from the network address to the last usable one.
#[test]
fn a_prefix_that_is_excluded_as_a_whole_is_skipped() {
    let exclusion = |first: &str, last: &str| json!({"startIP": first, "endIP": last});
    let index = |first: u8, last: u8| json!({"startIndex": first, "endIndex": last});
    for (ranges, indexes, expected) in [
        (
            json!([exclusion("10.0.0.0", "10.0.0.255")]),
            json!([]),
            "10.0.1.0/24",
        ),
        (
            json!([exclusion("10.0.0.0", "10.0.0.254")]),
            json!([]),
            "10.0.1.0/24",
        ),
        (
            json!([exclusion("10.0.0.1", "10.0.0.254")]),
            json!([]),
            "10.0.0.0/24",
        ),
        (
            json!([exclusion("10.0.0.0", "10.0.0.253")]),
            json!([]),
            "10.0.0.0/24",
        ),
        (
            json!([exclusion("10.0.0.0", "10.0.9.255")]),
            json!([]),
            "10.0.10.0/24",
        ),
        (
            json!([exclusion("10.0.0.0", "10.0.9.7")]),
            json!([]),
            "10.0.9.0/24",
        ),
        // Entries that meet or overlap count as one.
        (
            json!([
                exclusion("10.0.0.100", "10.0.0.254"),
                exclusion("10.0.0.0", "10.0.0.120")
            ]),
            json!([]),
            "10.0.1.0/24",
        ),
        (
            json!([
                exclusion("10.0.0.128", "10.0.0.254"),
                exclusion("10.0.0.0", "10.0.0.127")
            ]),
            json!([]),
            "10.0.1.0/24",
        ),
        (
            json!([exclusion("10.0.0.11", "10.0.1.255")]),
            json!([index(0, 10)]),
            "10.0.2.0/24",
        ),
        (
            json!([exclusion("10.0.0.12", "10.0.1.255")]),
            json!([index(0, 10)]),
            "10.0.0.0/24",
        ),
    ] {
        let pool = with(&json!({"exclusions": ranges, "perNodeExclusions": indexes}));
        assert_eq!(prefixes(&pool, &["a"]), [expected], "{ranges} {indexes}");
    }
    let nothing = with(&json!({"perNodeExclusions": [index(0, 254)]}));
    assert_eq!(prefixes(&nothing, &["a"]), [""; 0]);
}

/// With a step for each prefix this test would not end.
#[test]
fn pools_with_2_to_the_64_excluded_prefixes_are_planned_at_once() {
    let all = json!([{"startIP": "fd52:2eb5:44::", "endIP": "fd52:2eb5:44:ffff:ffff:ffff:ffff:ffff"}]);
    let but_one = json!([{"startIP": "fd52:2eb5:44::", "endIP": "fd52:2eb5:44:ffff:ffff:ffff:fffe:ffff"}]);
    let every_index = json!([{"startIndex": 0, "endIndex": 65535}]);
    let spec = |ranges: &Value, indexes: &Value| {
        cidrpool(
            &json!({"cidr": "fd52:2eb5:44::/48", "perNodeNetworkPrefix": 112, "exclusions": ranges,
            "perNodeExclusions": indexes,
            "staticAllocations": [{"nodeName": "own", "prefix": "fd52:2eb5:44::7:0/112"}]}),
        )
    };
    let none = json!([]);
    let own = "fd52:2eb5:44::7:0/112";
    assert_eq!(prefixes(&spec(&all, &none), &["a", "own"]), [own]);
    assert_eq!(prefixes(&spec(&none, &every_index), &["a", "own"]), [own]);
    assert_eq!(
        prefixes(&spec(&but_one, &none), &["a", "b", "own"]),
        ["fd52:2eb5:44:ffff:ffff:ffff:ffff:0/112", own]
    );
}

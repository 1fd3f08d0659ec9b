//! Against stores that the Go daemon wrote (node/tests/vectors), and against its rules.

use api::pool_key::PoolKind;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

pub(crate) const IN_USE: &str = include_str!("../../tests/vectors/store-in-use.json");
pub(crate) const BAD_CHECKSUM: &str = include_str!("../../tests/vectors/store-bad-checksum.json");
pub(crate) const TRUNCATED: &str = include_str!("../../tests/vectors/store-truncated.json");

/// An entry, made just now.
pub(crate) fn entry(container: &str, interface: &str, address: &str) -> GoEntry {
    GoEntry {
        owner: Owner {
            container: container.to_owned(),
            interface: interface.into(),
        },
        address: address.parse().unwrap(),
        pod: Pod::default(),
        device_id: String::new(),
        created: "2026-11-24T12:00:00.5+01:00".to_owned(),
        pool_config: String::new(),
        released: None,
    }
}

/// A store with one pool `p` that has these entries.
pub(crate) fn with(entries: impl IntoIterator<Item = GoEntry>) -> GoStore {
    let mut store = GoStore::default();
    let pool = store.pool_mut(PoolKey::new(PoolKind::IpPool, "p"));
    for entry in entries {
        pool.insert(entry).unwrap();
    }
    store
}

prop_compose! {
    /// Container and interface are such that names can meet.
    fn any_entry()(
        (container, interface) in ("[a_]{1,3}", "[a_]{1,2}"),
        address in prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)],
        (uid, name, namespace) in any::<(String, String, String)>(),
        (device_id, created, pool_config) in any::<(String, String, String)>(),
        released in option::of("2026-.*"),
    ) -> GoEntry {
        GoEntry {
            owner: Owner {
                container,
                interface: interface.into(),
            },
            address: address.to_canonical(),
            pod: Pod {
                uid,
                name,
                namespace: namespace.into(),
            },
            device_id,
            created,
            pool_config,
            released,
        }
    }
}

type AnyPool = (String, Vec<GoEntry>, String, Option<IpAddr>);

fn any_pool() -> impl Strategy<Value = AnyPool> {
    let key = prop_oneof![".*", "[a-z]{1,3}", "cidrpool/[a-z]{1,3}"];
    let last = option::of(any::<IpAddr>().prop_map(|address| address.to_canonical()));
    (key, vec(any_entry(), 0..5), any::<String>(), last)
}

/// Any store at all; entries that can't stand beside others are left out.
pub(crate) fn any_store() -> impl Strategy<Value = GoStore> {
    vec(any_pool(), 0..4).prop_map(|pools| {
        let mut store = GoStore::default();
        for (key, entries, last_pool_config, last_reserved) in pools {
            let pool = store.pool_mut(PoolKey::from_text(key));
            pool.last_pool_config = last_pool_config;
            pool.last_reserved = last_reserved;
            for entry in entries {
                let _ = pool.insert(entry);
            }
        }
        store
    })
}

#[test]
fn what_the_go_daemon_wrote_is_read_and_written_byte_for_byte() {
    let store = GoStore::parse(IN_USE.as_bytes()).unwrap();
    assert_eq!(store.print(), IN_USE);
    let held: Vec<(&str, Vec<String>)> = store
        .pools()
        .map(|(key, pool)| {
            (
                key.as_str(),
                pool.entries().map(|e| e.address.to_string()).collect(),
            )
        })
        .collect();
    let held: Vec<(&str, Vec<&str>)> = held
        .iter()
        .map(|(key, addresses)| (*key, addresses.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(
        held,
        [
            ("cidrpool/rail", vec!["192.168.7.2"]),
            ("unknown-pool", vec![]),
            ("v4", vec!["10.9.0.2", "10.9.77.5", "10.9.0.3"]),
            ("v6", vec!["fd52:2eb5:44::7", "fd52:2eb5:44::6"]),
        ]
    );
}

proptest! {
    #[test]
    fn every_store_is_read_as_it_was_written(store in any_store()) {
        prop_assert_eq!(GoStore::parse(store.print().as_bytes()).unwrap(), store);
    }

    /// A flipped bit is found, unless it is in what the checksum doesn't cover: then it says the same.
    #[test]
    fn no_other_byte_is_taken_for_the_one_that_was_written(at in 0..IN_USE.len(), bit in 0..8) {
        let mut bytes = IN_USE.as_bytes().to_vec();
        bytes[at] ^= 1_u8 << bit;
        if let Ok(store) = GoStore::parse(&bytes) {
            prop_assert_eq!(store.print(), IN_USE);
        }
    }

    #[test]
    fn nothing_that_is_read_makes_it_fail(bytes in any::<Vec<u8>>()) {
        let _ = GoStore::parse(&bytes);
    }
}

#[test]
fn how_it_is_written_does_not_matter() {
    let mut value: Value = serde_json::from_str(IN_USE).unwrap();
    value["comment"] = json!({"by": "somebody"});
    let store = GoStore::parse(serde_json::to_string_pretty(&value).unwrap().as_bytes()).unwrap();
    assert_eq!(store.print(), IN_USE);
}

#[test]
fn when_an_address_was_released_is_not_in_the_checksum() {
    let plain = with([entry("c", "net1", "10.0.0.1")]);
    let mut released = entry("c", "net1", "10.0.0.1");
    released.released = Some("2026-11-24T13:00:00+01:00".to_owned());
    let released = with([released]);
    let written = r#""pool_config_snapshot":""},"released_at":"2026-11-24T13:00:00+01:00"}"#;
    assert!(released.print().contains(written));
    assert_eq!(
        released
            .print()
            .replace(r#","released_at":"2026-11-24T13:00:00+01:00""#, ""),
        plain.print()
    );
    let never = released
        .print()
        .replace("2026-11-24T13:00:00+01:00", "0001-01-01T00:00:00Z");
    assert_eq!(GoStore::parse(never.as_bytes()).unwrap(), plain);
}

fn refusal(file: &str) -> String {
    GoStore::parse(file.as_bytes()).unwrap_err().to_string()
}

#[test]
fn what_is_damaged_is_refused_and_the_damage_said() {
    let checksum = |to: &str| IN_USE.replace("4046880319", to);
    for (file, part) in [
        (
            BAD_CHECKSUM,
            "doesn't match its checksum: 4046880319 is written in it, but",
        ),
        (
            &checksum("4046880318"),
            "4046880318 is written in it, but what stands there makes 4046880319",
        ),
        (TRUNCATED, "damaged or cut off (EOF while parsing"),
        (
            &IN_USE[..IN_USE.len() - 1],
            "damaged or cut off (EOF while parsing",
        ),
        (&format!("{IN_USE}}}"), "damaged or cut off (trailing characters"),
        (&checksum("0"), "has no checksum"),
        (r#"{"version":1,"pools":{}}"#, "has no checksum"),
        (&checksum("-1"), "damaged or cut off (invalid value: integer `-1`"),
        (
            &IN_USE.replace(r#""version":1"#, r#""version":2"#),
            "has format 2, and",
        ),
        ("{}", "has format 0, and"),
        ("", "damaged or cut off"),
    ] {
        let said = refusal(file);
        assert!(said.contains(part), "{said}");
    }
    let not_text = [&IN_USE.as_bytes()[..100], &[0xff], &IN_USE.as_bytes()[100..]].concat();
    let said = GoStore::parse(&not_text).unwrap_err().to_string();
    assert!(said.contains("damaged or cut off"), "{said}");
}

#[test]
fn an_entry_that_can_not_be_is_refused_and_named() {
    // What is wrong is said whatever the checksum is, which a person who repairs it can't know.
    for (written, instead, part) in [
        (
            r#""container_id":"rail-1""#,
            r#""container_id":"rail-2""#,
            "and would be called otherwise",
        ),
        (
            r#""interface_name":"net2""#,
            r#""interface_name":"net3""#,
            "and would be called otherwise",
        ),
        (
            r#"192.168.7.2""#,
            r#"192.168.7.256""#,
            r#"holds "192.168.7.256", which is no address"#,
        ),
        (r#"192.168.7.2""#, r#"""#, r#"holds "", which is no address"#),
        (
            r#""name":"cidrpool/rail""#,
            r#""name":"rail""#,
            r#"has a pool "rail" under the name "cidrpool/rail""#,
        ),
        (
            r#""last_reserved_ip":"192.168.7.3""#,
            r#""last_reserved_ip":"x""#,
            r#"pool "cidrpool/rail" that "x""#,
        ),
        (
            r#""10.9.77.5""#,
            r#""10.9.0.2""#,
            r#"holds 10.9.0.2, which entry "ccccc"#,
        ),
        (
            r#""10.9.77.5""#,
            r#""::ffff:10.9.0.2""#,
            r#"holds 10.9.0.2, which entry "ccccc"#,
        ),
    ] {
        assert!(IN_USE.contains(written), "{written}");
        let said = refusal(&IN_USE.replacen(written, instead, 1));
        assert!(said.contains(part), "{said}");
    }
    for (container, interface, part) in [
        (
            "",
            "net1",
            r#"has an entry "_net1" in pool "p" that names no container"#,
        ),
        (
            "c",
            "",
            r#"has an entry "c_" in pool "p" that names no interface"#,
        ),
    ] {
        let text = with([entry("c", "net1", "10.0.0.1")])
            .print()
            .replace("c_net1", &format!("{container}_{interface}"))
            .replace(
                r#""container_id":"c","interface_name":"net1""#,
                &format!(r#""container_id":"{container}","interface_name":"{interface}""#),
            );
        assert_eq!(refusal(&text), part);
    }
}

#[test]
fn two_entries_of_one_name_are_one_too_many() {
    let mut store = with([entry("a_b", "c", "10.0.0.1")]);
    let pool = store.pool_mut(PoolKey::new(PoolKind::IpPool, "p"));
    assert_eq!(
        pool.insert(entry("a", "b_c", "10.0.0.2")),
        Err(EntryProblem::SameName)
    );
    assert_eq!(pool.entries().count(), 1);
}

use serde_json::{Value, json};

use super::*;

fn object(name: &str, spec: &Value, nodes: &[(&str, &str, &str)]) -> PoolObject {
    let allocations: Vec<Value> = nodes
        .iter()
        .map(|(node, first, last)| json!({"nodeName": node, "startIP": first, "endIP": last}))
        .collect();
    serde_json::from_value(json!({
        "apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": "IPPool",
        "metadata": {"name": name, "namespace": "kube-system", "uid": format!("uid-of-{name}")},
        "spec": spec, "status": {"allocations": allocations},
    }))
    .unwrap()
}

const BLOCK: (&str, &str, &str) = ("host-a", "192.168.0.1", "192.168.0.24");

fn good(name: &str) -> PoolObject {
    let spec = json!({"subnet": "192.168.0.0/16", "perNodeBlockSize": 24, "gateway": "192.168.0.1"});
    object(name, &spec, &[BLOCK, ("host-b", "192.168.0.25", "192.168.0.48")])
}

fn invalid(name: &str) -> PoolObject {
    object(
        name,
        &json!({"subnet": "nonsense", "perNodeBlockSize": 24}),
        &[BLOCK],
    )
}

fn unreadable(name: &str) -> PoolObject {
    let object = object(name, &json!({"subnet": 7}), &[BLOCK]);
    assert!(object.0.is_err());
    object
}

fn key(name: &str) -> PoolKey {
    PoolKey::new(PoolKind::IpPool, name)
}

fn texts(after: &Table, before: &Table) -> Vec<String> {
    after
        .changes_since(before)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_node_has_the_pools_whose_status_names_it() {
    let table = Table::default().follow([&good("a"), &good("b")], "host-a");
    assert_eq!(
        table.pools.keys().cloned().collect::<Vec<_>>(),
        [key("a"), key("b")]
    );
    assert_eq!(Table::default().follow([&good("a")], "host-c"), Table::default());
    assert_eq!(
        texts(&table, &Table::default())[0],
        "pool a: this node hands out 192.168.0.1-192.168.0.24 of 192.168.0.0/16, gateway 192.168.0.1"
    );
}

#[test]
fn a_pool_that_is_deleted_or_no_longer_names_the_node_goes() {
    let before = Table::default().follow([&good("a")], "host-a");
    for objects in [
        vec![],
        vec![object(
            "a",
            &json!({"subnet": "10.0.0.0/8", "perNodeBlockSize": 1}),
            &[],
        )],
    ] {
        let after = before.follow(&objects, "host-a");
        assert_eq!(after, Table::default());
        assert_eq!(
            texts(&after, &before),
            ["pool a: this node has no range any more and hands out nothing of it"]
        );
    }
}

#[test]
fn what_cannot_be_followed_stays_as_it_was_and_is_said_once() {
    let before = Table::default().follow([&good("a")], "host-a");
    for broken in [invalid("a"), unreadable("a")] {
        let after = before.follow([&broken], "host-a");
        assert_eq!(after.pools, before.pools);
        let texts_once = texts(&after, &before);
        assert_eq!(texts_once.len(), 1);
        assert!(
            texts_once[0].ends_with("; going on as before, until the pool is corrected"),
            "{texts_once:?}"
        );
        let again = after.follow([&broken], "host-a");
        assert_eq!(texts(&again, &after), Vec::<String>::new());
        let mended = again.follow([&good("a")], "host-a");
        assert_eq!(mended, before);
    }
}

#[test]
fn what_was_never_understood_is_not_handed_out_and_hides_nobody() {
    for broken in [invalid("a"), unreadable("a")] {
        let table = Table::default().follow([&broken, &good("b")], "host-a");
        assert_eq!(table.pools.keys().cloned().collect::<Vec<_>>(), [key("b")]);
        let texts = texts(&table, &Table::default());
        assert!(texts[1].contains("nothing is handed out of it"), "{texts:?}");
    }
}

#[test]
fn an_unreadable_object_of_another_pool_of_that_name_takes_nothing_over() {
    let before = Table::default().follow([&good("a")], "host-a");
    let mut recreated = unreadable("a");
    recreated.0.as_mut().unwrap_err().metadata.uid = Some("another".to_owned());
    assert!(before.follow([&recreated], "host-a").pools.is_empty());
}

#[test]
fn the_stored_table_is_what_the_next_one_follows_on() {
    let table = Table::default().follow([&good("a"), &good("b")], "host-a");
    let stored = Table::stored(table.pools.values().cloned().collect());
    assert_eq!(stored, table);
    assert_eq!(
        stored.follow([&unreadable("a"), &good("b")], "host-a").pools,
        table.pools
    );
}

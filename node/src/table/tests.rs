use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use api::pool_key::PoolKind;
use kube::core::DeserializeGuard;
use serde_json::{Value, json};

use super::*;

const BLOCK: (&str, &str, &str) = ("host-a", "192.168.0.1", "192.168.0.24");

fn read<K: PoolResource>(name: &str, spec: &Value, allocations: &Value) -> DeserializeGuard<K> {
    serde_json::from_value(json!({
        "apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": K::kind(&()),
        "metadata": {"name": name, "namespace": "kube-system", "uid": format!("uid-of-{name}")},
        "spec": spec, "status": {"allocations": allocations},
    }))
    .unwrap()
}

fn ippool(name: &str, spec: &Value, nodes: &[(&str, &str, &str)]) -> PoolObject<IPPool> {
    let allocations: Value = nodes
        .iter()
        .map(|(node, first, last)| json!({"nodeName": node, "startIP": first, "endIP": last}))
        .collect();
    PoolObject::new(read(name, spec, &allocations), "host-a")
}

fn good_spec() -> Value {
    json!({"subnet": "192.168.0.0/16", "perNodeBlockSize": 24, "gateway": "192.168.0.1"})
}

fn good(name: &str) -> PoolObject<IPPool> {
    let nodes = [BLOCK, ("host-b", "192.168.0.25", "192.168.0.48")];
    ippool(name, &good_spec(), &nodes)
}

fn invalid(name: &str) -> PoolObject<IPPool> {
    let spec = json!({"subnet": "nonsense", "perNodeBlockSize": 24});
    ippool(name, &spec, &[BLOCK, ("host-b", "192.168.0.25", "192.168.0.48")])
}

fn unreadable(name: &str) -> PoolObject<IPPool> {
    unreadable_of(name, &format!("uid-of-{name}"))
}

fn unreadable_of(name: &str, uid: &str) -> PoolObject<IPPool> {
    let mut object = read::<IPPool>(name, &json!({"subnet": 7}), &json!([]));
    object.0.as_mut().unwrap_err().metadata.uid = Some(uid.to_owned());
    PoolObject::new(object, "host-a")
}

fn cidrpool(name: &str, spec: &Value) -> PoolObject<CIDRPool> {
    let allocations = json!([{"nodeName": "host-a", "prefix": "10.7.1.0/24", "gateway": "10.7.1.1"},
        {"nodeName": "host-b", "prefix": "10.7.2.0/24", "gateway": "10.7.2.1"}]);
    PoolObject::new(read(name, spec, &allocations), "host-a")
}

fn good_cidrpool(name: &str) -> PoolObject<CIDRPool> {
    let spec = json!({
        "cidr": "10.7.0.0/16", "perNodeNetworkPrefix": 24, "gatewayIndex": 1, "defaultGateway": true,
        "routes": [{"dst": "5.5.0.0/16"}], "perNodeExclusions": [{"startIndex": 0, "endIndex": 9}],
    });
    cidrpool(name, &spec)
}

/// The table that follows on `before` when there are these IPPools.
fn after(before: &Table, objects: &[PoolObject<IPPool>]) -> Table {
    before.follow(objects, "host-a")
}

fn key(name: &str) -> PoolKey {
    PoolKey::new(PoolKind::IpPool, name)
}

fn keys(table: &Table) -> Vec<&str> {
    table.pools.keys().map(PoolKey::as_str).collect()
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
    let table = after(&Table::default(), &[good("a"), good("b")]);
    assert_eq!(keys(&table), ["a", "b"]);
    let of_another = ippool("c", &good_spec(), &[("host-b", "192.168.0.25", "192.168.0.48")]);
    assert_eq!(keys(&after(&table, &[of_another])), Vec::<&str>::new());
}

#[test]
fn the_log_says_what_a_node_hands_out_and_what_pods_get_with_it() {
    let ippools = after(&Table::default(), &[good("a")]);
    assert_eq!(
        texts(&ippools, &Table::default()),
        ["pool a: this node hands out 192.168.0.1-192.168.0.24 of 192.168.0.0/16, gateway 192.168.0.1"]
    );
    let both = ippools.follow(&[good_cidrpool("rail")], "host-a");
    assert_eq!(
        texts(&both, &ippools),
        [
            "pool cidrpool/rail: this node hands out its prefix 10.7.1.0/24, without 10.7.1.1-10.7.1.9, gateway 10.7.1.1, \
             default route, routes to 5.5.0.0/16"
        ]
    );
}

#[test]
fn a_pool_that_is_deleted_or_no_longer_names_the_node_goes() {
    let before = after(&Table::default(), &[good("a")]);
    let not_here = ippool("a", &json!({"subnet": "10.0.0.0/8", "perNodeBlockSize": 1}), &[]);
    for objects in [vec![], vec![not_here]] {
        let next = after(&before, &objects);
        assert!(next.pools.is_empty() && next.neighbours.is_empty() && next.troubles.is_empty());
        assert_eq!(
            texts(&next, &before),
            ["pool a: this node has no range any more and hands out nothing of it"]
        );
    }
}

#[test]
fn a_list_of_one_kind_says_nothing_of_the_other() {
    let ippools = after(&Table::default(), &[good("a"), unreadable("broken")]);
    assert_eq!(ippools.known.of(PoolKind::IpPool), Knowledge::Synced);
    assert_eq!(ippools.known.of(PoolKind::CidrPool), Knowledge::Nothing);
    let both = ippools.follow(&[good_cidrpool("a")], "host-a");
    assert_eq!(both.known, Known::both(Knowledge::Synced));
    assert_eq!(keys(&both), ["a", "cidrpool/a"]);
    assert_eq!(both.troubles, ippools.troubles);

    let no_cidrpools = both.follow::<CIDRPool>(&[], "host-a");
    assert_eq!(keys(&no_cidrpools), ["a"]);
    assert_eq!(
        no_cidrpools.neighbours,
        both.neighbours.clone().into_iter().take(1).collect()
    );
    let no_ippools = both.follow::<IPPool>(&[], "host-a");
    assert_eq!(keys(&no_ippools), ["cidrpool/a"]);
    assert!(no_ippools.troubles.is_empty());
}

#[test]
fn what_cannot_be_followed_stays_as_it_was_and_is_said_once() {
    let before = after(&Table::default(), &[good("a")]);
    for broken in [invalid("a"), unreadable("a")] {
        let next = after(&before, std::slice::from_ref(&broken));
        assert!(next.serves_as(&before), "{next:?}");
        let said = texts(&next, &before);
        assert_eq!(said.len(), 1);
        assert!(
            said[0].ends_with("; going on as before, until the pool is corrected"),
            "{said:?}"
        );
        let again = after(&next, &[broken]);
        assert_eq!(texts(&again, &next), Vec::<String>::new());
        let mended = after(&again, &[good("a")]);
        assert_eq!(mended, before);
    }
}

#[test]
fn a_cidrpool_that_cannot_be_followed_stays_as_it_was() {
    let before = Table::default().follow(&[good_cidrpool("rail")], "host-a");
    for spec in [
        json!({"cidr": "10.7.0.0/16", "perNodeNetworkPrefix": 24, "gatewayIndex": 300}),
        json!({"cidr": "10.8.0.0/16", "perNodeNetworkPrefix": 24}),
        json!({"cidr": 7, "perNodeNetworkPrefix": 24}),
    ] {
        let next = before.follow(&[cidrpool("rail", &spec)], "host-a");
        assert!(next.serves_as(&before), "{spec}: {next:?}");
        assert!(texts(&next, &before)[0].contains("going on as before"), "{spec}");
        let never_understood = Table::default().follow(&[cidrpool("rail", &spec)], "host-a");
        assert!(never_understood.pools.is_empty(), "{spec}");
    }
}

#[test]
fn what_was_never_understood_is_not_handed_out_and_hides_nobody() {
    for broken in [invalid("a"), unreadable("a")] {
        let table = after(&Table::default(), &[broken, good("b")]);
        assert_eq!(keys(&table), ["b"]);
        let texts = texts(&table, &Table::default());
        assert!(texts[1].contains("nothing is handed out of it"), "{texts:?}");
    }
}

#[test]
fn an_unreadable_object_of_another_pool_of_that_name_takes_nothing_over() {
    let before = after(&Table::default(), &[good("a")]);
    assert!(after(&before, &[unreadable_of("a", "another")]).pools.is_empty());
}

#[test]
fn the_stored_table_is_what_the_next_one_follows_on() {
    let table = after(&Table::default(), &[good("a"), good("b")]).follow(&[good_cidrpool("a")], "host-a");
    let stored: Vec<NodePool> = table
        .pools
        .values()
        .map(|pool| serde_json::from_str(&serde_json::to_string(pool).unwrap()).unwrap())
        .collect();
    let stored = Table::of(stored, Knowledge::Persisted);
    assert_eq!(stored.pools, table.pools);
    assert_eq!(after(&stored, &[unreadable("a"), good("b")]).pools, table.pools);
}

#[test]
fn the_ranges_of_others_are_known_and_outlive_an_object_that_cannot_be_read() {
    let holder = |table: &Table| -> Option<String> {
        let neighbours = table.neighbours.get(&key("a"))?;
        neighbours
            .holder_of("192.168.0.30".parse().unwrap())
            .node()
            .map(str::to_owned)
    };
    let table = after(&Table::default(), &[good("a")]);
    assert_eq!(holder(&table).as_deref(), Some("host-b"));
    assert_eq!(holder(&after(&table, &[invalid("a")])).as_deref(), Some("host-b"));
    assert_eq!(
        holder(&after(&table, &[unreadable("a")])).as_deref(),
        Some("host-b")
    );
    // After a start, an object that can't be read says nothing of them.
    let stored = Table::of(table.pools.into_values(), Knowledge::Persisted);
    let next = after(&stored, &[unreadable("a")]);
    assert_eq!(keys(&next), ["a"]);
    assert!(next.neighbours.is_empty());
}

#[test]
fn that_all_pools_are_known_now_is_news_for_the_writer() {
    let known = after(&Table::default(), &[good("a")]);
    let stored = Table {
        known: Known::both(Knowledge::Persisted),
        ..known.clone()
    };
    assert!(!known.serves_as(&stored));
}

#[test]
fn of_a_pool_that_is_not_here_nothing_is_kept_that_grows_with_the_cluster() {
    let nodes = [("host-b", "192.168.0.25", "192.168.0.48")];
    assert_eq!(ippool("a", &good_spec(), &nodes).neighbours(), None);
    assert!(good("a").neighbours().is_some());
}

#[test]
fn a_node_that_joins_is_news_for_the_writer_and_not_for_the_log() {
    let alone = after(&Table::default(), &[ippool("a", &good_spec(), &[BLOCK])]);
    let joined = after(&alone, &[good("a")]);
    assert_eq!(joined.pools, alone.pools);
    assert!(!joined.serves_as(&alone));
    assert_eq!(texts(&joined, &alone), Vec::<String>::new());
}

//! A daemon that comes after a Go daemon, and gives its store back; what administrators do to a store.

use std::fs;
use std::process::{Command, Output};

use api::pool_key::PoolKey;
use node::clock::{BootClock, Clock};
use node::go_store::{GoEntry, GoStore};
use node::reservation::{Owner, Pod};
use node::store::{Store, StoreLock};
use process::shutdown::Shutdown;
use rpc::journal::Entry;
use rpc::v1::IpamParameters;
use serde_json::Value;

use crate::support::api_server::ApiServer;
use crate::support::{Interface, NODE, Node};

const OLD: Interface = Interface {
    container: "old",
    pod: "old",
    uid: "u1",
};
const NEW: Interface = Interface {
    container: "new",
    pod: "new",
    uid: "u2",
};

/// `ipam-node store ...` on the node's store, in a process of its own.
fn command(node: &Node, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipam-node"));
    command
        .arg("store")
        .args(arguments)
        .arg("--store-file")
        .arg(node.path("store"))
        .arg(format!("--bind-address=unix://{}", node.path("sock").display()));
    command
}

fn store_command(node: &Node, arguments: &[&str]) -> Output {
    command(node, arguments).output().unwrap()
}

/// What it prints when it succeeds.
fn printed(node: &Node, arguments: &[&str]) -> String {
    let output = store_command(node, arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it says when it fails.
fn refused(node: &Node, arguments: &[&str]) -> String {
    let output = store_command(node, arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

fn with_pool() -> ApiServer {
    let api_server = ApiServer::start();
    api_server.put_pool("pool1", "10.0.0.0/24", NODE, "10.0.0.1", "10.0.0.24");
    for (pod, uid) in [("old", "u1"), ("new", "u2")] {
        api_server.put_pod(pod, uid, NODE, &serde_json::json!({}));
    }
    api_server
}

/// The store of a Go daemon that gave the first address to [`OLD`].
fn go_store() -> GoStore {
    let mut store = GoStore::default();
    let pool = store.pool_mut(PoolKey::from_text("pool1".to_owned()));
    pool.last_reserved = "10.0.0.24".parse().ok();
    let entry = GoEntry {
        owner: Owner {
            container: OLD.container.to_owned(),
            interface: "net1".into(),
        },
        address: "10.0.0.1".parse().unwrap(),
        pod: Pod {
            uid: OLD.uid.to_owned(),
            name: OLD.pod.to_owned(),
            namespace: "default".into(),
        },
        device_id: String::new(),
        created: "2026-11-24T11:52:07.495344858+01:00".to_owned(),
        pool_config: "{}".to_owned(),
        released: None,
    };
    pool.insert(entry).unwrap();
    store
}

fn containers(store: &GoStore) -> Vec<&str> {
    store
        .pools()
        .flat_map(|(_, pool)| pool.entries())
        .map(|entry| entry.owner.container.as_str())
        .collect()
}

#[tokio::test]
async fn a_node_goes_from_the_go_version_to_this_one_and_back() {
    let api_server = with_pool();
    let node = Node::new(&api_server);
    fs::write(node.path("store"), go_store().print()).unwrap();
    let daemon = node.start().await;
    assert!(daemon.has(OLD).await);
    // The search begins anew after the last address of the block, at the first, which is taken.
    assert_eq!(daemon.add_when_known(NEW).await, "10.0.0.2/24");
    daemon.stop().await;

    assert!(printed(&node, &["export", "--in-place"]).contains("with 2 reservations"));
    assert!(printed(&node, &["export", "--in-place"]).contains("already"));
    let exported = GoStore::parse(&fs::read(node.path("store")).unwrap()).unwrap();
    assert_eq!(containers(&exported), ["new", "old"]);

    let daemon = node.start().await;
    assert!(daemon.has(OLD).await && daemon.has(NEW).await);
    daemon.del(OLD).await;
    daemon.stop().await;
    printed(&node, &["export", "--in-place"]);
    let exported = GoStore::parse(&fs::read(node.path("store")).unwrap()).unwrap();
    assert_eq!(containers(&exported), ["new"]);
}

/// The DEL of `interface` as the plugin leaves it while no daemon runs.
fn leave_del(node: &Node, interface: Interface) {
    let entry = Entry::new(
        BootClock::new().unwrap().stamp(),
        &IpamParameters {
            pools: vec!["pool1".to_owned()],
            cni_containerid: interface.container.to_owned(),
            cni_ifname: "net1".to_owned(),
            ..IpamParameters::default()
        },
    );
    fs::write(
        node.path("released")
            .join(format!("{}.json", interface.container)),
        entry.encode().unwrap(),
    )
    .unwrap();
}

#[tokio::test]
async fn a_del_that_waits_is_applied_before_the_go_version_and_never_after_it() {
    let api_server = with_pool();
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    daemon.add_when_known(OLD).await;
    daemon.add_when_known(NEW).await;
    daemon.stop().await;
    leave_del(&node, OLD);
    let said = printed(&node, &["export", "--in-place"]);
    assert!(
        said.contains("applied 1 DELs") && said.contains("with 1 reservations"),
        "{said}"
    );
    assert_eq!(fs::read_dir(node.path("released")).unwrap().count(), 0);
    let mut exported = GoStore::parse(&fs::read(node.path("store")).unwrap()).unwrap();
    assert_eq!(containers(&exported), ["new"]);

    // This one comes while nobody runs; then the Go version gives the same interface an address again.
    leave_del(&node, OLD);
    let again = go_store();
    let mut entry = again
        .pools()
        .flat_map(|(_, pool)| pool.entries())
        .next()
        .unwrap()
        .clone();
    entry.created = BootClock::new().unwrap().time_of_day();
    exported
        .pool_mut(PoolKey::from_text("pool1".to_owned()))
        .insert(entry)
        .unwrap();
    fs::write(node.path("store"), exported.print()).unwrap();
    let daemon = node.start().await;
    assert!(daemon.has(OLD).await && daemon.has(NEW).await);
    daemon.stop().await;
}

#[tokio::test]
async fn what_was_taken_over_is_handed_out_only_once_pools_are_known() {
    let mut api_server = ApiServer::absent();
    api_server.put_pool("pool1", "10.0.0.0/24", NODE, "10.0.0.1", "10.0.0.24");
    let node = Node::new(&api_server);
    fs::write(node.path("store"), go_store().print()).unwrap();
    let daemon = node.start().await;
    assert_eq!(
        daemon.add(NEW).await.unwrap_err().code(),
        tonic::Code::Unavailable
    );
    assert!(daemon.has(OLD).await);
    api_server.restart();
    daemon.add_when_known(NEW).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_damaged_go_store_stops_the_daemon_and_stays_as_it_is() {
    let api_server = ApiServer::absent();
    let node = Node::new(&api_server);
    let damaged = include_str!("../vectors/store-bad-checksum.json");
    fs::write(node.path("store"), damaged).unwrap();
    process::kubernetes::install_crypto_provider();
    let error = node::daemon::run(node.config(), Shutdown::new())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("doesn't match its checksum"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(node.path("store")).unwrap(), damaged);
}

#[tokio::test]
async fn an_administrator_looks_and_releases_while_the_daemon_runs() {
    let api_server = with_pool();
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    daemon.add_when_known(OLD).await;
    node.seen(OLD).await;

    let table = printed(&node, &["list"]);
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0],
        [
            "POOL",
            "ADDRESS",
            "INDEX",
            "POD",
            "CONTAINER",
            "INTERFACE",
            "NETWORK",
            "SEEN",
            "CREATED"
        ]
    );
    assert_eq!(
        lines[1][..8],
        ["pool1", "10.0.0.1", "0", "default/old", "old", "net1", "-", "yes"]
    );
    let json: Value = serde_json::from_str(&printed(&node, &["list", "--output=json"])).unwrap();
    assert_eq!(json[0]["address"], "10.0.0.1");
    assert_eq!(json[0]["podUID"], "u1");

    let exported = GoStore::parse(printed(&node, &["export"]).as_bytes()).unwrap();
    assert_eq!(containers(&exported), ["old"]);
    assert!(refused(&node, &["export", "--in-place"]).contains("another ipam-node (pid "));

    let release = ["release", "--pool=pool1", "--address=10.0.0.1"];
    let said = printed(&node, &release);
    assert!(
        said.starts_with("released 10.0.0.1 of pool pool1: pod default/old, container old"),
        "{said}"
    );
    // The daemon sees it with the next ADD, which goes on behind the last address.
    assert_eq!(daemon.add(NEW).await.unwrap(), "10.0.0.2/24");
    assert!(!daemon.has(OLD).await);
    assert!(refused(&node, &release).contains("10.0.0.1 is not reserved in pool pool1"));
    daemon.stop().await;
    let table = printed(&node, &["list"]);
    assert!(
        table.lines().count() == 2 && table.contains("10.0.0.2"),
        "{table}"
    );
}

#[test]
fn a_go_store_can_be_looked_into_before_it_is_taken_over() {
    let node = Node::new(&ApiServer::absent());
    let written = include_str!("../vectors/store-in-use.json");
    fs::write(node.path("store"), written).unwrap();
    let table = printed(&node, &["list"]);
    assert!(
        table.lines().count() == 7 && table.contains("10.9.77.5"),
        "{table}"
    );
    assert_eq!(printed(&node, &["export"]), written);
    let damaged = include_str!("../vectors/store-bad-checksum.json");
    fs::write(node.path("store"), damaged).unwrap();
    for command in ["list", "export"] {
        assert!(refused(&node, &[command]).contains("doesn't match its checksum"));
    }
    assert_eq!(fs::read_to_string(node.path("store")).unwrap(), damaged);
    let release = ["release", "--pool=v4", "--address=10.9.0.2"];
    assert!(refused(&node, &release).contains("is one of the Go ipam-node (JSON)"));
}

#[test]
fn who_has_read_enough_of_a_list_makes_no_failure() {
    let node = Node::new(&ApiServer::absent());
    fs::write(node.path("store"), go_store().print()).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command(&node, &["list"]).stdout(writer).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && errors.is_empty(), "{errors}");
}

#[test]
fn what_a_command_meets_on_its_way_it_says_on_standard_error() {
    let node = Node::new(&ApiServer::absent());
    fs::write(node.path("store"), go_store().print()).unwrap();
    let (store, _) = Store::open(StoreLock::take(&node.path("store")).unwrap()).unwrap();
    store.close().unwrap();
    fs::create_dir(node.path("released")).unwrap();
    fs::write(node.path("released").join("a.json"), "half").unwrap();
    let output = store_command(&node, &["export", "--in-place"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    assert!(
        errors.contains("a journal entry can't be read and was moved aside"),
        "{errors}"
    );
}

#[test]
fn what_is_no_store_is_not_looked_into() {
    let node = Node::new(&ApiServer::absent());
    let commands: [&[&str]; 3] = [
        &["list"],
        &["export"],
        &["release", "--pool=p", "--address=10.0.0.1"],
    ];
    for command in commands {
        let _ = fs::remove_file(node.path("store"));
        assert!(refused(&node, command).contains("there is no store at"));
        assert!(!node.path("store").exists());
        fs::write(node.path("store"), "").unwrap();
        assert!(refused(&node, command).contains("is empty"));
        fs::write(node.path("store"), "garbage").unwrap();
        assert!(refused(&node, command).contains("neither a database of ipam-node"));
    }
}

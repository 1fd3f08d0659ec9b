//! kill -9 at moments spread over the change from the Go daemon's store to ours, and back: nothing is lost, and the next
//! start goes on.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use api::pool_key::PoolKey;
use node::go_store::{GoEntry, GoStore};
use node::reservation::{Owner, Pod};
use node::store::{Store, StoreLock};
use tempfile::TempDir;

/// Enough that writing them takes a while.
const ENTRIES: u32 = 400;

/// How many moments are tried, from the start of the process to a little after it is done.
const MOMENTS: u32 = 16;

const KUBECONFIG: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "none",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}], "users": [{"name": "none", "user": {}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}]}"#;

fn go_store() -> GoStore {
    let mut store = GoStore::default();
    let pool = store.pool_mut(PoolKey::from_text("pool1".to_owned()));
    for n in 0..ENTRIES {
        let entry = GoEntry {
            owner: Owner {
                container: format!("container-{n}"),
                interface: "net1".into(),
            },
            address: std::net::Ipv4Addr::from_bits(0x0a00_0001 + n).into(),
            pod: Pod::default(),
            device_id: String::new(),
            created: "2026-11-24T10:52:07.495344858Z".to_owned(),
            pool_config: "{}".to_owned(),
            released: None,
        };
        pool.insert(entry).unwrap();
    }
    store
}

/// A node on which a Go daemon ran.
struct Node {
    folder: TempDir,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kubeconfig"), KUBECONFIG).unwrap();
        let node = Self { folder };
        fs::write(node.store(), go_store().print()).unwrap();
        node
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn ipam_node(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipam-node"));
        command
            .arg(format!("--store-file={}", self.store().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn daemon(&self) -> Command {
        let folder = self.folder.path().display();
        let mut command = self.ipam_node();
        command.args([
            "--node-name=node".to_owned(),
            format!("--kubeconfig={folder}/kubeconfig"),
            format!("--bind-address=unix://{folder}/sock"),
            "--metrics-bind-address=0".to_owned(),
            "--health-probe-bind-address=0".to_owned(),
            "--cni-skip-nv-ipam-binary-copy".to_owned(),
            "--cni-skip-nv-ipam-config-creation".to_owned(),
        ]);
        command
    }

    fn export(&self) -> Command {
        let mut command = self.ipam_node();
        command.args(["store", "export", "--in-place"]);
        command
    }

    fn is_database(&self) -> bool {
        fs::read(self.store()).unwrap().starts_with(b"SQLite format 3\0")
    }

    /// Opens the store as the daemon does, which must find everything, and closes it.
    fn is_whole(&self) {
        if !self.is_database() {
            assert_eq!(
                GoStore::parse(&fs::read(self.store()).unwrap()).unwrap(),
                go_store()
            );
        }
        let (store, ledger) = Store::open(StoreLock::take(&self.store()).unwrap()).unwrap();
        let held: Vec<String> = ledger
            .reservations()
            .map(|r| format!("{} {}", r.address, r.owner.container))
            .collect();
        let expected: Vec<String> = go_store()
            .pools()
            .flat_map(|(_, pool)| pool.entries())
            .map(|entry| format!("{} {}", entry.address, entry.owner.container))
            .collect();
        assert_eq!(held, expected);
        store.close().unwrap();
        let left = |name: &str| self.folder.path().join(name).exists();
        assert!(self.is_database() && !left("store.new") && !left("store.new-journal"));
        assert!(!left("store.new.json"));
    }
}

/// How long it takes until it is done.
fn duration(mut command: Command, done: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "in vain");
        sleep(Duration::from_millis(1));
    }
    let duration = start.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    duration
}

/// Lets it run for a while.
fn killed_after(mut command: Command, while_running: Duration) {
    let mut child = command.spawn().unwrap();
    sleep(while_running);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Kills it as soon as `begun` is true; whether that was before it was `done`.
fn killed_at_work(mut command: Command, begun: impl Fn() -> bool, done: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    while !begun() && !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "in vain");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    begun() && !done()
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

#[test]
fn killed_at_any_moment_of_an_import_or_an_export_it_keeps_everything() {
    let node = Node::new();
    let import = duration(node.daemon(), || {
        node.is_database() && exists(&node.folder.path().join("store-wal"))
    });
    let export = duration(node.export(), || !node.is_database());
    for moment in 0..MOMENTS {
        let after = |whole: Duration| whole * (moment + 1) * 5 / (MOMENTS * 4);
        let node = Node::new();
        killed_after(node.daemon(), after(import));
        node.is_whole();
        killed_after(node.export(), after(export));
        node.is_whole();
    }
}

#[test]
fn killed_in_the_middle_of_an_import_and_of_an_export_it_keeps_everything() {
    // How fast it is differs; so long as it was too fast it is tried again.
    let is_hit = |attempt: &dyn Fn(&Node) -> bool| {
        (0..100).any(|_| {
            let node = Node::new();
            let hit = attempt(&node);
            node.is_whole();
            hit
        })
    };
    assert!(is_hit(&|node| {
        let begun = || exists(&node.folder.path().join("store.new"));
        killed_at_work(node.daemon(), begun, || node.is_database())
    }));
    assert!(is_hit(&|node| {
        node.is_whole();
        let begun = || exists(&node.folder.path().join("store.new.json"));
        killed_at_work(node.export(), begun, || !node.is_database())
    }));
}

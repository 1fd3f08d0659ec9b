//! The daemon, killed at any moment: what it answered holds, and what it did not answer can be made undone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::node_pool::NodePool;
use api::pool_key::{PoolKey, PoolKind};
use node::clock::{BootClock, Clock};
use node::journal::Journal;
use node::metrics::Metrics;
use node::store::{Store, StoreLock};
use node::table::{Knowledge, Table};
use node::writer::{self, Parts};
use prometheus::Registry;
use rpc::journal::{Entry, FOLDER};
use rpc::v1::ipam_service_client::IpamServiceClient;
use rpc::v1::{AllocateRequest, DeallocateRequest, IpamMetadata, IpamParameters};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

/// How often the daemon is killed.
const ROUNDS: usize = 60;

/// Plugins at work at a time.
const PLUGINS: usize = 4;

/// Nothing here takes longer, but on a machine that is very busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the runtime knows of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// ADD answered this address.
    Held(String),
    /// DEL succeeded.
    Gone,
    /// ADD failed without an answer, and no DEL came yet.
    Unknown,
}

type Interfaces = Arc<Mutex<BTreeMap<String, Known>>>;

struct Node {
    folder: TempDir,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // An API server at whose address nobody answers.
        let kubeconfig = r#"{"apiVersion":"v1","kind":"Config","current-context":"c",
            "clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:9"}}],
            "users":[{"name":"u","user":{}}],"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}]}"#;
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self) -> Child {
        let path = |name| self.path(name).display().to_string();
        Command::new(env!("CARGO_BIN_EXE_ipam-node"))
            .arg("--node-name=host-a")
            .arg(format!("--bind-address=unix://{}", path("daemon.sock")))
            .arg(format!("--store-file={}", path("store")))
            .arg(format!("--kubeconfig={}", path("kubeconfig")))
            .arg(format!("--cni-log-file={}", path("cni.log")))
            .args([
                "--cni-skip-nv-ipam-binary-copy",
                "--cni-skip-nv-ipam-config-creation",
            ])
            .args(["--metrics-bind-address=0", "--health-probe-bind-address=0"])
            .stdout(Stdio::null())
            .stderr(
                std::fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(self.path("stderr"))
                    .unwrap(),
            )
            .spawn()
            .unwrap()
    }

    /// Gives the store a table of pools, as an API server would have, so that the daemon can go on from it.
    async fn know_pool(&self) {
        let (store, ledger) = Store::open(StoreLock::take(&self.path("store")).unwrap()).unwrap();
        let (writer, mut ended) = writer::spawn(Parts {
            store,
            ledger,
            journal: Some(Journal::open(self.folder.path()).unwrap()),
            metrics: Metrics::register(&Registry::new()).unwrap(),
            clock: BootClock::new().unwrap(),
        })
        .unwrap();
        let range =
            api::range::Range::new("10.0.0.1".parse().unwrap(), "10.0.255.254".parse().unwrap()).unwrap();
        let pool = NodePool {
            key: PoolKey::new(PoolKind::IpPool, "p"),
            uid: "u".to_owned(),
            subnet: "10.0.0.0/16".parse().unwrap(),
            range,
            gateway: None,
            exclusions: Vec::new(),
            default_gateway: false,
            routes: Vec::new(),
        };
        writer
            .set_table(Table::of(vec![pool], Knowledge::Synced))
            .await
            .unwrap();
        writer.stop().await;
        ended.wait().await.unwrap();
    }

    async fn until_it_answers(&self, daemon: &mut Child) {
        let deadline = Instant::now() + PATIENCE;
        while connect(&self.path("daemon.sock")).await.is_none() {
            if let Some(status) = daemon.try_wait().unwrap() {
                panic!(
                    "{status}: {}",
                    std::fs::read_to_string(self.path("stderr")).unwrap()
                );
            }
            assert!(Instant::now() < deadline, "the daemon doesn't answer");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn until_the_journal_is_empty(&self) {
        let deadline = Instant::now() + PATIENCE;
        while std::fs::read_dir(self.path(FOLDER)).unwrap().count() > 0 {
            assert!(Instant::now() < deadline, "the journal is not drained");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What an administrator sees with `sqlite3`.
    fn rows(&self) -> BTreeMap<String, String> {
        let store =
            Connection::open_with_flags(self.path("store"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let mut rows = store
            .prepare("SELECT container, address FROM reservations")
            .unwrap();
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }
}

/// Any time up to `at_most`; another one in each run.
fn some_time(at_most: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    at_most.mul_f64(f64::from(u32::try_from(random >> 32).unwrap()) / f64::from(u32::MAX))
}

async fn connect(socket: &Path) -> Option<IpamServiceClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display())).unwrap();
    endpoint.connect().await.ok().map(IpamServiceClient::new)
}

fn parameters(container: &str) -> IpamParameters {
    IpamParameters {
        pools: vec!["p".to_owned()],
        cni_containerid: container.to_owned(),
        cni_ifname: "net1".to_owned(),
        metadata: Some(IpamMetadata {
            k8s_pod_name: container.to_owned(),
            k8s_pod_namespace: "default".to_owned(),
            ..IpamMetadata::default()
        }),
        ..IpamParameters::default()
    }
}

/// What the plugin does for DEL: if no answer comes, it leaves the request in the journal and succeeds.
async fn del(client: &mut IpamServiceClient<Channel>, socket_folder: &Path, container: &str) -> bool {
    let stamp = BootClock::new().unwrap().stamp();
    let parameters = parameters(container);
    let answer = client
        .deallocate(DeallocateRequest {
            parameters: Some(parameters.clone()),
        })
        .await;
    if answer.is_ok() {
        return true;
    }
    let folder = socket_folder.join(FOLDER);
    let name = format!("{:020}-{container}", stamp.boottime_ns);
    let unfinished = folder.join(format!(".{name}.tmp"));
    std::fs::write(&unfinished, Entry::new(stamp, &parameters).encode().unwrap()).unwrap();
    std::fs::rename(&unfinished, folder.join(format!("{name}.json"))).unwrap();
    false
}

/// A plugin after the other, until one gets no answer.
async fn plugins(folder: PathBuf, mut number: usize, interfaces: Interfaces) {
    let Some(mut client) = connect(&folder.join("daemon.sock")).await else {
        return;
    };
    loop {
        let container = format!("c{number}");
        number += PLUGINS;
        // From its start on it is unknown how an ADD ends.
        interfaces
            .lock()
            .unwrap()
            .insert(container.clone(), Known::Unknown);
        let request = AllocateRequest {
            parameters: Some(parameters(&container)),
        };
        let mut alive = true;
        let known = match client.allocate(request).await {
            Ok(answer) => {
                let ip = answer.into_inner().allocations[0].ip.replace("/16", "");
                interfaces
                    .lock()
                    .unwrap()
                    .insert(container.clone(), Known::Held(ip.clone()));
                if number.is_multiple_of(3) {
                    alive = del(&mut client, &folder, &container).await;
                    Known::Gone
                } else {
                    Known::Held(ip)
                }
            }
            // The caller saw an error, so the runtime sends a DEL; the daemon may be down.
            Err(_) if number.is_multiple_of(2) => {
                alive = del(&mut client, &folder, &container).await;
                Known::Gone
            }
            Err(_) => {
                alive = false;
                Known::Unknown
            }
        };
        interfaces.lock().unwrap().insert(container, known);
        if !alive {
            return;
        }
    }
}

fn verify(rows: &BTreeMap<String, String>, interfaces: &BTreeMap<String, Known>) {
    for (container, known) in interfaces {
        match known {
            Known::Held(ip) => assert_eq!(rows.get(container), Some(ip), "{container} lost its address"),
            Known::Gone => assert_eq!(rows.get(container), None, "{container} came back"),
            Known::Unknown => {}
        }
    }
    let strangers: Vec<_> = rows
        .keys()
        .filter(|container| !interfaces.contains_key(*container))
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_keeps_what_it_answered() {
    let node = Node::new();
    node.know_pool().await;
    let interfaces = Interfaces::default();
    let (mut answered, mut unknown) = (0, 0);
    for round in 0..ROUNDS {
        let mut daemon = node.start();
        // A tenth of the daemons die while they start.
        let dies_young = round % 10 == 9;
        if !dies_young {
            node.until_it_answers(&mut daemon).await;
            verify_drained(&node, &interfaces).await;
        }
        let at_work: Vec<_> = (0..PLUGINS)
            .map(|n| {
                tokio::spawn(plugins(
                    node.folder.path().to_owned(),
                    round * 100_000 + n,
                    interfaces.clone(),
                ))
            })
            .collect();
        tokio::time::sleep(some_time(Duration::from_millis(30))).await;
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        for plugins in at_work {
            plugins.await.unwrap();
        }
        let mut interfaces = interfaces.lock().unwrap();
        unknown += interfaces
            .values()
            .filter(|known| **known == Known::Unknown)
            .count();
        answered += interfaces
            .values()
            .filter(|known| **known != Known::Unknown)
            .count();
        // The runtime sends a DEL for what it doesn't know, and the oldest pods go; the daemon is still down.
        let oldest: Vec<_> = interfaces.keys().take(20).cloned().collect();
        for (container, known) in interfaces.iter_mut() {
            if *known == Known::Unknown || oldest.contains(container) {
                leave(&node, container);
                *known = Known::Gone;
            }
        }
    }
    assert!(
        answered > ROUNDS && unknown > ROUNDS / 10,
        "nothing was at stake: {answered} answered, {unknown} not"
    );
}

async fn verify_drained(node: &Node, interfaces: &Interfaces) {
    node.until_the_journal_is_empty().await;
    let mut interfaces = interfaces.lock().unwrap();
    verify(&node.rows(), &interfaces);
    interfaces.retain(|_, known| *known != Known::Gone);
}

/// A DEL while the daemon is down.
fn leave(node: &Node, container: &str) {
    let entry = Entry::new(BootClock::new().unwrap().stamp(), &parameters(container));
    let path = node.path(FOLDER).join(format!("{container}.json"));
    std::fs::write(path, entry.encode().unwrap()).unwrap();
}

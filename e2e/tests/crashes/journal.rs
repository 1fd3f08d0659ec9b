//! The DEL journal beside the daemon's socket, as an administrator sees it.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use e2e::node::Node;
use e2e::wait;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

const SOCKET: &str = "/var/lib/cni/nv-ipam/daemon.sock";

/// A moment, as entries carry it.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    pub(crate) boot_id: String,
    pub(crate) boottime_ns: i128,
}

/// This moment.
pub(crate) fn now() -> Result<Stamp> {
    let time = clock_gettime(ClockId::Boottime);
    Ok(Stamp {
        boot_id: fs::read_to_string("/proc/sys/kernel/random/boot_id")?
            .trim()
            .to_owned(),
        boottime_ns: i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec),
    })
}

/// The socket of the node's daemon, as the host can connect to it.
pub(crate) fn socket(node: &Node) -> PathBuf {
    node.machine.path(SOCKET)
}

fn folder(node: &Node) -> PathBuf {
    node.machine.path("/var/lib/cni/nv-ipam/released")
}

/// The names of all files in the journal, finished or not.
pub(crate) fn files(node: &Node) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for file in fs::read_dir(folder(node))? {
        names.insert(file?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// The containers of all entries. One that is not a whole entry is an error.
pub(crate) fn containers(node: &Node) -> Result<BTreeSet<String>> {
    let mut containers = BTreeSet::new();
    for name in files(node)? {
        if name.starts_with('.') {
            continue;
        }
        let extension = Path::new(&name).extension();
        ensure!(extension.is_some_and(|end| end == "json"), "not an entry: {name}");
        let text = match fs::read_to_string(folder(node).join(&name)) {
            // Applied meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            text => text?,
        };
        let entry: Value =
            serde_json::from_str(&text).with_context(|| format!("half an entry, {name}: {text:?}"))?;
        match entry["containerId"].as_str() {
            Some(container) if entry["stamp"]["boottime_ns"].is_u64() => {
                containers.insert(container.to_owned())
            }
            _ => bail!("not an entry, {name}: {text}"),
        };
    }
    Ok(containers)
}

/// Leaves a DEL for interface eth0 of a container that began at `stamp`, in pool `pool`.
pub(crate) fn put(node: &Node, stamp: &Stamp, pool: &str, container: &str) -> Result<()> {
    let entry = json!({
        "stamp": { "boot_id": stamp.boot_id, "boottime_ns": u64::try_from(stamp.boottime_ns)? },
        "networkName": "net",
        "pools": [pool],
        "poolType": "ippool",
        "containerId": container,
        "interfaceName": "eth0",
    });
    let unfinished = folder(node).join(format!(".by-hand-{container}.tmp"));
    fs::write(&unfinished, entry.to_string())?;
    fs::rename(unfinished, folder(node).join(format!("by-hand-{container}.json")))?;
    Ok(())
}

/// Waits until the daemon has applied every entry.
pub(crate) async fn wait_drained(node: &Node) -> Result<()> {
    wait::until("the journal to be drained", wait::USUAL, async || {
        if let Err(error) = node.daemon.service.must_be_running() {
            return wait::done(Err(error));
        }
        match containers(node) {
            Ok(left) if left.is_empty() => wait::done(Ok(())),
            left => wait::not_yet(format!("{left:?}")),
        }
    })
    .await?
}

/// Waits until the daemon has read all that was sent to it and closed every connection, so that nothing late is to come.
pub(crate) async fn wait_connections_closed(node: &Node) -> Result<()> {
    let process = node
        .daemon
        .service
        .process()
        .context("the daemon is not running")?;
    let sockets = format!("/proc/{}/net/unix", process.pid);
    wait::until("the daemon to close its connections", wait::USUAL, async || {
        let listed = match fs::read_to_string(&sockets) {
            Ok(listed) => listed,
            Err(error) => return wait::not_yet(error.to_string()),
        };
        match listed.lines().filter(|line| line.ends_with(SOCKET)).count() {
            // The one that listens.
            1 => wait::done(()),
            n => wait::not_yet(format!("{n} sockets of that name")),
        }
    })
    .await
}

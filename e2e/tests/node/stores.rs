//! Stores that can't be used, or not by two: the daemon says what to do and changes nothing.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use e2e::node::Node;
use e2e::{store, wait};

use crate::setting::{self, add, call, check, del, fingerprint, refusal, says};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::nodes(
            "node::stores::a_second_daemon_on_a_store_is_refused",
            second_daemon,
        ),
        Test::nodes(
            "node::stores::a_daemon_whose_socket_is_answered_is_refused",
            answered,
        ),
        Test::nodes(
            "node::stores::an_unreadable_store_is_refused_and_left_as_it_is",
            unreadable,
        ),
        Test::nodes(
            "node::stores::a_full_disk_refuses_adds_and_lets_pods_go",
            full_disk,
        ),
    ]
}

/// A folder of the node's own file system for this test's stores.
const FOLDER: &str = "/var/lib/cni/nv-ipam/stores";

async fn second_daemon(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "shared", "10.62.0.0/24", 8).await?;
    let pid = node
        .exec(&["cat", "/var/lib/cni/nv-ipam/store.lock"])
        .await?
        .success()?;
    let text = refusal(node, &["--bind-address=unix:///var/lib/cni/nv-ipam/second.sock"]).await?;
    says(
        &text,
        &[
            &format!("another ipam-node (pid {})", pid.trim()),
            "uses the store /var/lib/cni/nv-ipam/store: stop it first, or give this one its own --store-file",
        ],
    )?;
    let second = node.exec(&["ls", "/var/lib/cni/nv-ipam/second.sock"]).await?;
    ensure!(!second.ok(), "it made a socket all the same");
    still_serves(node, "shared").await
}

async fn answered(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "answered", "10.62.1.0/24", 8).await?;
    make_folder(node).await?;
    let text = refusal(node, &[&format!("--store-file={FOLDER}/store")]).await?;
    says(
        &text,
        &[
            "another process answers on /var/lib/cni/nv-ipam/daemon.sock: stop it first",
            "or choose another --bind-address",
        ],
    )?;
    let made = fingerprint(node, FOLDER).await?;
    ensure!(
        !made.iter().any(|line| line.contains("store ")),
        "it made a store all the same: {made:?}"
    );
    still_serves(node, "answered").await
}

async fn still_serves(node: &Node, pool: &str) -> Result<()> {
    add(node, "first", pool).await?;
    check(node, "first", pool).await?;
    del(node, "first", pool).await?;
    node.daemon.service.must_be_running()
}

async fn make_folder(node: &Node) -> Result<()> {
    node.exec(&["mkdir", "-p", FOLDER]).await?.success().map(drop)
}

/// How to make an unreadable store at `$1`, and what the daemon says of it. `$2` is a sound one.
const UNREADABLE: &[(&str, &str, &[&str])] = &[
    (
        "garbage",
        "head -c 5000 /bin/sh > $1",
        &[
            "is neither a database of ipam-node nor a store of the Go ipam-node",
            "Put back a copy",
            "drain the node before",
        ],
    ),
    (
        "truncated",
        "head -c 9000 $2 > $1",
        &["is damaged", "Put back a copy"],
    ),
    (
        "overwritten",
        "cp $2 $1; head -c 4096 /bin/sh | dd of=$1 bs=4096 seek=1 conv=notrunc status=none",
        &["is damaged", "Put back a copy"],
    ),
    (
        "short",
        "head -c 50 $2 > $1",
        &["is neither a database of ipam-node", "Put back a copy"],
    ),
    (
        "emptied",
        ": > $1; cp $2 $1.reserve",
        &["is empty, but", "store.reserve is there", "put the store back"],
    ),
    (
        "gone",
        "cp $2 $1-wal",
        &["is missing, but", "store-wal is there", "put the store back"],
    ),
    (
        "folder",
        "mkdir $1; echo mine > $1/file",
        &["is a folder; --store-file names a file"],
    ),
    (
        "other",
        "sqlite3 $1 'CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)'",
        &["is an SQLite database of another program"],
    ),
];

async fn unreadable(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "sound", "10.62.2.0/24", 8).await?;
    add(node, "kept", "sound").await?;
    node.daemon.stop().await?;
    make_folder(node).await?;
    let go_store = node.machine.path(&format!("{FOLDER}/go.json"));
    std::fs::write(
        go_store,
        include_bytes!("../../../node/tests/vectors/store-in-use.json"),
    )?;
    let go = (
        "go",
        "sed s/10.9.77.5/10.9.77.6/ ${1%/*}/../go.json > $1",
        &[
            "of the Go ipam-node doesn't match its checksum: 4046880319 is written in it",
            "Put back a copy",
            "drain the node before",
        ] as &[_],
    );
    let after_ours = (
        "go-after-ours",
        "cp ${1%/*}/../go.json $1; cp $2.reserve $1.reserve",
        &[
            "is one of the Go ipam-node, but",
            "store.reserve is there, so a database of this ipam-node was in its place",
            "Put the database back",
        ] as &[_],
    );
    // What runtimes use must not change before the store is known to be sound.
    let installed = ["/opt/cni/bin", "/etc/cni/net.d"];
    node.exec(&[
        "rm",
        "/opt/cni/bin/nv-ipam",
        "/etc/cni/net.d/nv-ipam.d/nv-ipam.conf",
    ])
    .await?
    .success()?;
    let before = (
        fingerprint(node, installed[0]).await?,
        fingerprint(node, installed[1]).await?,
    );
    for (name, make, parts) in UNREADABLE.iter().copied().chain([go, after_ours]) {
        let folder = format!("{FOLDER}/{name}");
        let store = format!("{folder}/store");
        node.exec(&["mkdir", &folder]).await?.success()?;
        node.exec(&["sh", "-ec", make, "make", &store, store::PATH])
            .await?
            .success()?;
        let made = fingerprint(node, &folder).await?;
        let text = refusal(node, &[&format!("--store-file={store}")]).await?;
        says(&text, parts)?;
        says(&text, &[&store])?;
        let mut left = fingerprint(node, &folder).await?;
        // The lock comes first, whatever the store is.
        left.retain(|line| !line.contains("store.lock"));
        ensure!(left == made, "{name}: {made:?} became {left:?}");
    }
    let after = (
        fingerprint(node, installed[0]).await?,
        fingerprint(node, installed[1]).await?,
    );
    ensure!(
        before == after,
        "it installed the plugin: {before:?} became {after:?}"
    );

    // The sound one was not touched by any of it.
    node.daemon.start().await?;
    check(node, "kept", "sound").await
}

/// Its folder is a file system of 16 MB.
const SMALL: &str = "/run/mnt/small";

async fn full_disk(bed: Arc<Bed>) -> Result<()> {
    setting::deal(&bed, "full", "10.62.3.0/24", 64).await?;
    let node = &bed.nodes()[0];
    let script = format!("mkdir -p {SMALL}; mount -t tmpfs -o size=16m none {SMALL}");
    node.exec(&["sh", "-ec", &script]).await?.success()?;
    let argv = node.daemon.service.argv();
    let on_small = format!("--store-file={SMALL}/store");
    node.daemon
        .service
        .set_argv(argv.iter().cloned().chain([on_small]).collect());
    let started = setting::start_daemon(node, "full").await;
    node.daemon.service.set_argv(argv);
    started?;
    let before = add(node, "before", "full").await?;

    let mark = node.daemon.service.log_length();
    let fill = format!("cat /dev/zero > {SMALL}/filler");
    let filled = node.exec(&["sh", "-c", &fill]).await?;
    says(&filled.stderr, &["No space left on device"])?;
    wait_no_room(node, mark).await?;
    let refused = call(node, "ADD", "refused", "full").await?;
    ensure!(!refused.ok(), "{refused:?}");
    says(
        &refused.stdout,
        &[
            "code = Internal",
            "the store is out of disk space, so no address is handed out",
            &format!("make room on the file system of {SMALL}/store"),
        ],
    )?;
    check(node, "before", "full").await?;
    del(node, "before", "full").await?;
    ensure!(
        !call(node, "CHECK", "before", "full").await?.ok(),
        "{before} is still reserved"
    );

    node.exec(&["rm", &format!("{SMALL}/filler")]).await?.success()?;
    let again = wait::until("ADD to be served again", wait::USUAL, async || {
        match call(node, "ADD", "again", "full").await {
            Ok(ran) if ran.ok() => wait::done(()),
            other => wait::not_yet(format!("{other:?}")),
        }
    });
    again.await?;
    node.daemon.service.must_be_running()
}

/// What is handed out needs room, a little of which the daemon keeps: takes addresses until it says that there is no more.
async fn wait_no_room(node: &Node, mark: u64) -> Result<()> {
    for number in 0..30 {
        if !call(node, "ADD", &format!("more{number}"), "full").await?.ok() {
            break;
        }
    }
    wait::until("the daemon to find no room", wait::USUAL, async || {
        if node
            .daemon
            .service
            .log_since(mark)
            .contains("no room on the disk")
        {
            wait::done(())
        } else {
            wait::not_yet(node.daemon.service.tail(3))
        }
    })
    .await
}

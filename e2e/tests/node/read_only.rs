//! Folders that the daemon can't write to.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;

use crate::setting::{daemon_argv, fingerprint, refusal_of, says};

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::nodes(
        "node::read_only::a_folder_that_cannot_be_written_is_named_with_what_to_do",
        read_only,
    )]
}

/// Each folder, and what the daemon says when it alone is read-only.
const FOLDERS: &[(&str, &[&str])] = &[
    (
        "/opt/cni/bin",
        &[
            "can't install /opt/cni/bin/nv-ipam; check that --cni-bin-dir",
            "or pass --cni-skip-nv-ipam-binary-copy",
            "Read-only file system",
        ],
    ),
    (
        "/etc/cni/net.d/nv-ipam.d",
        &[
            "can't install /etc/cni/net.d/nv-ipam.d/nv-ipam.conf; check that --cni-conf-dir",
            "or pass --cni-skip-nv-ipam-config-creation",
            "Read-only file system",
        ],
    ),
    (
        "/var/lib/cni/nv-ipam",
        &[
            "/var/lib/cni/nv-ipam/store.lock",
            "Read-only file system",
            "the folder of --store-file has to be mounted writable",
        ],
    ),
];

async fn read_only(bed: Arc<Bed>) -> Result<()> {
    let node = &bed.nodes()[0];
    node.daemon.make_folders().await?;
    for (folder, parts) in FOLDERS {
        let before = fingerprint(node, folder).await?;
        // Only the daemon sees it so.
        let script =
            format!("mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}; exec \"$@\"");
        let alone = ["unshare", "--mount", "sh", "-ec", &script, "daemon"].map(str::to_owned);
        let text = refusal_of(node, &[&alone[..], &daemon_argv(node, &[])].concat()).await?;
        says(&text, parts)?;
        let after = fingerprint(node, folder).await?;
        ensure!(before == after, "{folder}: {before:?} became {after:?}");
    }
    Ok(())
}

//! The node daemon as its surroundings see it: endpoints, how it ends, what it may do.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use e2e::{http_get, store};

use crate::setting::{self, add, call, check, del, says};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::nodes(
            "node::daemon::its_metrics_count_and_name_no_pod_container_or_address",
            metrics,
        ),
        Test::nodes(
            "node::daemon::sigterm_ends_it_with_success_and_leaves_no_socket",
            sigterm,
        ),
        Test::nodes(
            "node::daemon::it_runs_as_its_service_account_which_can_change_nothing",
            rights,
        ),
    ]
}

async fn metrics(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "counted", "10.65.0.0/24", 8).await?;
    let address = add(node, "mine", "counted").await?;
    add(node, "other", "counted").await?;
    check(node, "mine", "counted").await?;
    del(node, "other", "counted").await?;
    ensure!(!call(node, "ADD", "third", "unknown").await?.ok());

    let metrics = node.daemon.scrape().await?;
    let pool = |state| metrics.value("nv_ipam_addresses", &[("pool", "counted"), ("state", state)]);
    let counts = [pool("free")?, pool("used")?, pool("excluded")?];
    ensure!(
        counts.map(|count| count.to_string()) == ["7", "1", "0"],
        "{counts:?}"
    );
    let requests =
        |method, code| metrics.value("nv_ipam_requests_total", &[("method", method), ("code", code)]);
    let calls = [
        requests("Allocate", "OK")?,
        requests("Allocate", "NotFound")?,
        requests("IsAllocated", "OK")?,
        requests("Deallocate", "OK")?,
    ];
    ensure!(
        calls.map(|count| count.to_string()) == ["2", "1", "1", "1"],
        "{calls:?}"
    );
    let timed = metrics.value(
        "nv_ipam_request_duration_seconds_count",
        &[("method", "Allocate")],
    )?;
    ensure!(timed.to_string() == "3", "{timed}");
    for at_least_one in [
        "nv_ipam_commit_duration_seconds_count",
        "nv_ipam_batch_size_count",
        "process_resident_memory_bytes",
    ] {
        ensure!(metrics.value(at_least_one, &[])? >= 1.0, "{at_least_one}");
    }
    for zero in ["nv_ipam_stale_releases_total", "nv_ipam_journal_entries_pending"] {
        ensure!(metrics.value(zero, &[])?.to_string() == "0", "{zero}");
    }

    let labels = metrics.label_names();
    let known = ["code", "le", "method", "pool", "state"];
    ensure!(labels.is_subset(&BTreeSet::from(known)), "labels {labels:?}");
    let (host, _) = address.split_once('/').context("no prefix length")?;
    for secret in [host, "mine", "other"] {
        ensure!(
            !metrics.text().contains(&format!("\"{secret}")),
            "{secret} in {}",
            metrics.text()
        );
    }
    Ok(())
}

async fn sigterm(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "ended", "10.65.1.0/24", 8).await?;
    let (code, body) = http_get::get(node.daemon.probes, "/readyz").await?;
    ensure!(code == 200, "{code} {body}");
    add(node, "kept", "ended").await?;
    let status = node.daemon.stop().await?;
    ensure!(status.code() == Some(0) && status.signal().is_none(), "{status}");
    let files = node
        .exec(&["ls", "-A", "/var/lib/cni/nv-ipam"])
        .await?
        .success()?;
    // The log was moved into the store and removed; the room for releasing, the lock files and the journal's folder stay.
    let files: Vec<_> = files.lines().collect();
    ensure!(
        files.join(" ") == "daemon.sock.lock released store store.lock store.reserve",
        "{files:?}"
    );
    ensure!(store::reservations(node).await?.len() == 1);
    node.exec(&[
        "ls",
        "/opt/cni/bin/nv-ipam",
        "/etc/cni/net.d/nv-ipam.d/nv-ipam.conf",
    ])
    .await?
    .success()?;
    Ok(())
}

async fn rights(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "rights", "10.65.2.0/24", 8).await?;
    // The file that the daemon has, so this is what it is, not only what the manifests say that it should be.
    let argv = node.daemon.service.argv();
    let config = argv
        .iter()
        .find_map(|word| word.strip_prefix("--kubeconfig="))
        .context("no kubeconfig")?;
    let kubectl = bed.cluster()?.assets.inside("kubectl");
    let kubectl = async |words: &[&str]| {
        let start = [kubectl.as_str(), "--kubeconfig", config];
        node.exec(&[&start[..], words].concat()).await
    };
    let who = kubectl(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"])
        .await?
        .success()?;
    ensure!(
        who == "system:serviceaccount:kube-system:nv-ipam-node",
        "it is {who}"
    );
    kubectl(&["get", "ippools.nv-ipam.nvidia.com", "-n", "kube-system"])
        .await?
        .success()?;
    for forbidden in [
        &[
            "patch",
            "ippools.nv-ipam.nvidia.com",
            "rights",
            "-n",
            "kube-system",
            "--type=merge",
            "-p",
            "{\"spec\":{\"gateway\":\"10.65.2.1\"}}",
        ] as &[&str],
        &[
            "patch",
            "ippools.nv-ipam.nvidia.com",
            "rights",
            "-n",
            "kube-system",
            "--subresource=status",
            "--type=merge",
            "-p",
            "{\"status\":{\"allocations\":[]}}",
        ],
        &[
            "delete",
            "ippools.nv-ipam.nvidia.com",
            "rights",
            "-n",
            "kube-system",
        ],
        &["get", "nodes"],
        &["get", "secrets", "-A"],
        &["delete", "pod", "any", "-n", "default"],
    ] {
        let ran = kubectl(forbidden).await?;
        ensure!(!ran.ok(), "{ran:?}");
        says(&ran.stderr, &["Forbidden"])?;
    }
    // And whatever else nobody thought of: every right that changes something is one that all accounts have.
    let all = kubectl(&["auth", "can-i", "--list", "--no-headers", "-n", "kube-system"])
        .await?
        .success()?;
    let reads = |verb: &str| matches!(verb, "get" | "list" | "watch");
    let changes = all.lines().filter(|line| {
        let verbs = line
            .rsplit_once('[')
            .map_or("", |(_, verbs)| verbs.trim_end_matches(']'));
        !verbs.split(' ').all(reads)
    });
    let ours: Vec<_> = changes.filter(|line| !line.starts_with("selfsubject")).collect();
    ensure!(ours.is_empty(), "it has rights that change something: {ours:?}");
    ensure!(all.contains("ippools.nv-ipam.nvidia.com"), "{all}");
    Ok(())
}

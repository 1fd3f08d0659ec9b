//! Nodes whose API server is not running.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::{Bed, ROLE};
use e2e::cni::error_code;
use e2e::harness::Test;
use e2e::{http_get, pods, store, wait};

use crate::setting::{self, add, call, check, del};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::nodes("node::api_server_away::the_node_goes_on_and_catches_up", goes_on),
        Test::nodes(
            "node::api_server_away::a_daemon_that_never_saw_pools_says_try_again",
            never_saw,
        ),
    ]
}

async fn goes_on(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "before", "10.61.0.0/24", 8).await?;
    let plane = &bed.cluster()?.plane;
    add(node, "a", "before").await?;
    plane.api_server.kill().await?;

    add(node, "b", "before").await?;
    check(node, "a", "before").await?;
    del(node, "a", "before").await?;
    node.daemon.kill().await?;
    node.daemon.start().await?;
    let third = add(node, "c", "before").await?;
    ensure!(third == "10.61.0.3/24", "after .1 and .2 came {third}");
    check(node, "b", "before").await?;
    del(node, "b", "before").await?;
    let unknown = call(node, "ADD", "d", "after").await?;
    ensure!(error_code(&unknown)? == 11, "{unknown:?}");

    plane.start_api_server().await?;
    // Who loses the lease ends, sooner or later, and is started again by whoever keeps it running: here that is now.
    bed.controller().kill().await?;
    bed.controller().start().await?;
    pods::label_node(&bed.client, &node.name, ROLE, Some("worker")).await?;
    bed.apply_file("config/samples/pool1.yaml").await?;
    bed.wait_blocks("pool1", &[&node.name]).await?;
    node.daemon.wait_block("pool1").await?;
    add(node, "e", "pool1").await?;
    let absent = call(node, "ADD", "f", "after").await?;
    ensure!(error_code(&absent)? == 999, "{absent:?}");
    setting::says(&absent.stdout, &["code = NotFound", "after"])?;
    let held: Vec<_> = store::reservations(node)
        .await?
        .into_iter()
        .map(|reservation| reservation.container)
        .collect();
    ensure!(held == ["c", "e"], "{held:?}");
    Ok(())
}

async fn never_saw(bed: Arc<Bed>) -> Result<()> {
    let node = &bed.nodes()[0];
    let daemon = &node.daemon;
    daemon.make_folders().await?;
    let argv = daemon.service.argv();
    let argv_away = with_server_away(node, &argv).await?;
    daemon.service.set_argv(argv_away);
    let started = daemon.service.start().await;
    daemon.service.set_argv(argv);
    started?;
    wait::until("the daemon to answer", wait::USUAL, async || {
        match call(node, "ADD", "early", "pool1").await {
            Ok(ran) if ran.stdout.contains("pools are not known yet") => wait::done(Ok(ran)),
            Ok(ran) => wait::not_yet(format!("{ran:?}")),
            Err(error) => wait::done(Err(error)),
        }
    })
    .await?
    .and_then(|ran| {
        ensure!(ran.code == Some(1) && error_code(&ran)? == 11, "{ran:?}");
        setting::says(&ran.stdout, &["code = Unavailable"])
    })?;
    let (code, body) = http_get::get(daemon.probes, "/readyz").await?;
    ensure!(code == 503, "{code} {body}");
    setting::says(&body, &["pools"])?;
    let (code, body) = http_get::get(daemon.probes, "/healthz").await?;
    ensure!(code == 200, "{code} {body}");
    ensure!(store::reservations(node).await?.is_empty());

    daemon.kill().await?;
    setting::deal(&bed, "pool1", "192.168.0.0/16", 24).await?;
    setting::start_daemon(node, "pool1").await?;
    add(node, "late", "pool1").await?;
    Ok(())
}

/// The same command line, with a kubeconfig that names a port of the API server's machine where nobody listens.
async fn with_server_away(node: &e2e::node::Node, argv: &[String]) -> Result<Vec<String>> {
    let flag = "--kubeconfig=";
    let config = argv
        .iter()
        .find_map(|word| word.strip_prefix(flag))
        .unwrap_or_default();
    let away = "/run/nobody.kubeconfig";
    let script = format!("sed 's/:6443/:6444/' {config} > {away}; grep -q :6444 {away}");
    node.exec(&["sh", "-ec", &script]).await?.success()?;
    let last_wins = format!("{flag}{away}");
    Ok(argv.iter().cloned().chain([last_wins]).collect())
}

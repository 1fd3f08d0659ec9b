//! What an administrator sees of a controller that runs: probes, metrics, its end; and of one that can't work yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::app::App;
use e2e::bed::{Bed, LEASE};
use e2e::harness::Test;
use e2e::{http_get, wait};

use super::extra::Extra;
use super::pool::{Pool, create_nodes};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::api("controller::surface::metrics_and_probes_say_how_it_is", metrics),
        Test::api(
            "controller::surface::without_the_crd_it_waits_and_says_for_what",
            no_crd,
        ),
        Test::nodes(
            "controller::surface::it_starts_while_the_api_server_is_away",
            no_api_server,
        ),
    ]
}

async fn metrics(bed: Arc<Bed>) -> Result<()> {
    create_nodes(&bed, "shown", &["e2e-a", "e2e-b", "e2e-c"]).await?;
    let pool = Pool::create(&bed, "shown", "10.7.0.0/24", 100).await?;
    let controller = bed.controller();
    controller.start().await?;
    pool.wait_condition("NodesAllocated", "False", "e2e-c").await?;
    pool.touch("1", controller).await?;
    let page = controller.scrape().await?;
    let of_pool = [("pool", "shown")];
    for (name, labels, value) in [
        ("nv_ipam_controller_nodes_without_range", &of_pool[..], 1.0),
        ("nv_ipam_controller_stale_allocations", &of_pool, 0.0),
        ("nv_ipam_controller_status_writes_total", &of_pool, 1.0),
        ("nv_ipam_controller_status_conflicts_total", &of_pool, 0.0),
        ("nv_ipam_controller_leader", &[], 1.0),
        ("leader_election_master_status", &[("name", LEASE)], 1.0),
    ] {
        let found = page.value(name, labels)?;
        ensure!((found - value).abs() < 0.5, "{name} is {found}");
    }
    let status = pool.get().await?.data["status"].to_string();
    let bytes = page.value("nv_ipam_controller_status_bytes", &of_pool)?;
    ensure!(
        bytes.to_string() == status.len().to_string(),
        "{bytes} bytes: {status}"
    );
    ensure!(
        page.value("process_resident_memory_bytes", &[])? > 0.0,
        "no memory"
    );
    let labels = page.label_names();
    ensure!(labels == BTreeSet::from(["name", "pool"]), "{labels:?}");

    for path in ["/healthz", "/readyz"] {
        let answer = http_get::get(controller.probes, path).await?;
        ensure!(answer == (200, "ok".to_owned()), "{path}: {answer:?}");
    }
    let mark = controller.service.log_length();
    let ended = controller.stop().await?;
    ensure!(ended.code() == Some(0), "{ended}");
    let log = controller.service.log_since(mark);
    ensure!(
        log.lines().last().is_some_and(|line| line.contains("stopped")),
        "{log}"
    );
    Ok(())
}

/// Waits until it is not ready for these reasons, and its log says this.
async fn wait_says(controller: &App, mark: u64, closed: &[&str], said: &[&str]) -> Result<()> {
    wait::until("the controller to say what it misses", wait::USUAL, async || {
        if let Err(error) = controller.service.must_be_running() {
            return wait::done(Err(error));
        }
        let log = controller.service.log_since(mark);
        match http_get::get(controller.probes, "/readyz").await {
            Ok((503, body))
                if closed.iter().all(|gate| body.contains(gate))
                    && said.iter().all(|text| log.contains(text)) =>
            {
                wait::done(Ok(()))
            }
            other => wait::not_yet(format!("/readyz: {other:?}, log: {log}")),
        }
    })
    .await?
}

async fn no_crd(bed: Arc<Bed>) -> Result<()> {
    let crd = ["ippools.nv-ipam.nvidia.com", "cidrpools.nv-ipam.nvidia.com"];
    let delete = [&["delete", "crd", "--ignore-not-found"], &crd[..]].concat();
    bed.kubectl.run(&delete).await?;
    let outcome = waits_for_crd(&bed).await;
    bed.apply_file("config/crd/nv-ipam.nvidia.com.yaml").await?;
    outcome
}

async fn waits_for_crd(bed: &Bed) -> Result<()> {
    let controller = bed.controller();
    let mark = controller.service.log_length();
    controller.service.start().await?;
    let off = [
        "ippools are off: the API server doesn't serve them; apply config/crd",
        "cidrpools are off",
    ];
    wait_says(controller, mark, &["pools: not yet"], &off).await?;
    // Creation, unlike a change, is judged in full: there is no warning.
    bed.apply_file("config/crd/nv-ipam.nvidia.com.yaml").await?;
    controller.wait_ready().await?;
    create_nodes(bed, "late", &["e2e-a"]).await?;
    Pool::create(bed, "late", "10.7.0.0/24", 100)
        .await?
        .wait_nodes(&["e2e-a"])
        .await?;
    let log = controller.service.log_since(mark);
    let said = log.matches(" ippools are off").count();
    ensure!(said == 1, "said {said} times:\n{log}");
    Ok(())
}

async fn no_api_server(bed: Arc<Bed>) -> Result<()> {
    let plane = &bed.cluster()?.plane;
    let controller = Extra::new(&bed);
    let mark = controller.0.service.log_length();
    let pool = Pool::create(&bed, "away", "10.7.0.0/24", 100).await?;
    create_nodes(&bed, "away", &["e2e-a"]).await?;
    // Not SIGTERM, which lets it finish what it is asked: that takes long, and is not what is tried here.
    plane.api_server.kill().await?;
    controller.0.service.start().await?;
    let said = [
        "can't find out whether the API server serves ippools, asking again",
        "can't find out whether the API server serves cidrpools, asking again",
        "can't watch nodes, trying again",
        "can't reach the lease",
    ];
    wait_says(&controller.0, mark, &["pools: not yet", "nodes: not yet"], &said).await?;
    let (code, _) = http_get::get(controller.0.probes, "/healthz").await?;
    ensure!(code == 200, "it is alive, and /healthz says {code}");
    plane.start_api_server().await?;
    controller.0.wait_ready().await?;
    pool.wait_nodes(&["e2e-a"]).await?;
    let log = controller.0.service.log_since(mark);
    let first = log.lines().find(|line| line.contains("can't watch nodes"));
    ensure!(
        first.context("a line")?.contains("refused"),
        "no cause in it:\n{log}"
    );
    ensure!(
        log.contains(&format!("server={}", plane.server)),
        "not said which:\n{log}"
    );
    Ok(())
}

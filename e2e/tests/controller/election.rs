//! Two controllers: one leads, and the other takes over.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::app::App;
use e2e::bed::{Bed, LEASE};
use e2e::harness::Test;
use e2e::names::NAMESPACE;
use e2e::wait;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::extra::Extra;
use super::pool::{Pool, create_nodes};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::api("controller::election::sigterm_hands_over", terminated),
        Test::api("controller::election::a_killed_leader_is_followed", killed),
        Test::api(
            "controller::election::a_leader_whose_lease_is_taken_ends_with_an_error",
            taken,
        ),
    ]
}

fn leases(bed: &Bed) -> Api<Lease> {
    Api::namespaced(bed.client.clone(), NAMESPACE)
}

async fn holder(bed: &Bed) -> Result<String> {
    let spec = leases(bed)
        .get(LEASE)
        .await?
        .spec
        .context("a lease without spec")?;
    Ok(spec.holder_identity.unwrap_or_default())
}

async fn leads(controller: &App) -> Result<bool> {
    let value = controller
        .scrape()
        .await?
        .value("nv_ipam_controller_leader", &[])?;
    Ok(value > 0.5)
}

async fn wait_leads(controller: &App) -> Result<()> {
    let what = format!("{} to lead", controller.service.name);
    wait::until(&what, wait::USUAL, async || match leads(controller).await {
        Ok(true) => wait::done(()),
        other => wait::not_yet(format!("{other:?}")),
    })
    .await
}

/// A leader that has dealt node `e2e-a` a block, and another controller that is ready and does not lead.
async fn two(bed: &Bed) -> Result<(Pool<'_>, Extra)> {
    let pool = Pool::create(bed, "led", "10.64.0.0/14", 50).await?;
    create_nodes(bed, pool.name, &["e2e-a"]).await?;
    let leader = bed.controller();
    leader.start().await?;
    wait_leads(leader).await?;
    pool.wait_nodes(&["e2e-a"]).await?;
    let standby = Extra::new(bed);
    // Waits for 200 of /readyz.
    standby.0.start().await?;
    wait::until("the standby to see who leads", wait::USUAL, async || {
        let log = standby.0.service.tail(20);
        if log.contains("standing by: another controller leads") {
            wait::done(())
        } else {
            wait::not_yet(log)
        }
    })
    .await?;
    ensure!(!leads(&standby.0).await?, "both lead");
    Ok((pool, standby))
}

async fn terminated(bed: Arc<Bed>) -> Result<()> {
    let (pool, standby) = two(&bed).await?;
    let former = holder(&bed).await?;
    let ended = bed.controller().stop().await?;
    ensure!(ended.code() == Some(0), "SIGTERM ended the leader with {ended}");
    // Released before it ended: the other need not wait until the lease expires.
    let now = holder(&bed).await?;
    ensure!(now != former, "{former} has ended and still holds the lease");
    wait_leads(&standby.0).await?;
    create_nodes(&bed, pool.name, &["e2e-b"]).await?;
    pool.wait_nodes(&["e2e-a", "e2e-b"]).await?;
    // Nobody is left to hand over to.
    let ended = standby.0.stop().await?;
    ensure!(ended.code() == Some(0), "{ended}");
    let now = holder(&bed).await?;
    ensure!(now.is_empty(), "{now} holds the lease");
    Ok(())
}

async fn killed(bed: Arc<Bed>) -> Result<()> {
    let (pool, standby) = two(&bed).await?;
    let former = holder(&bed).await?;
    bed.controller().kill().await?;
    create_nodes(&bed, pool.name, &["e2e-b"]).await?;
    wait_leads(&standby.0).await?;
    let now = holder(&bed).await?;
    ensure!(now != former && !now.is_empty(), "{now:?} holds the lease");
    pool.wait_nodes(&["e2e-a", "e2e-b"]).await?;
    Ok(())
}

async fn taken(bed: Arc<Bed>) -> Result<()> {
    let controller = bed.controller();
    let mark = controller.service.log_length();
    controller.start().await?;
    wait_leads(controller).await?;
    let usurper = json!({ "spec": { "holderIdentity": "usurper" } });
    leases(&bed)
        .patch(LEASE, &PatchParams::default(), &Patch::Merge(usurper))
        .await?;
    let ended = controller.service.wait_end(Duration::from_secs(30)).await?;
    ensure!(ended.code() == Some(1), "it ended with {ended}");
    let log = controller.service.log_since(mark);
    let last = log.lines().last().unwrap_or_default();
    ensure!(
        last.contains("fatal: lost the lease dd1643cf.nvidia.com to usurper"),
        "{log}"
    );
    let now = holder(&bed).await?;
    ensure!(now == "usurper", "{now} holds the lease");
    Ok(())
}

//! One kind of pool without its CRD: a cluster of an older Go version, in which only the image was exchanged.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use serde_json::json;

use super::pool::{Pool, create_nodes};

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::api(
        "controller::cidr_crd::without_the_crd_of_cidrpools_the_other_kind_works",
        no_cidrpools,
    )]
}

const CRDS: &str = "config/crd/nv-ipam.nvidia.com.yaml";

async fn no_cidrpools(bed: Arc<Bed>) -> Result<()> {
    bed.kubectl
        .run(&["delete", "crd", "cidrpools.nv-ipam.nvidia.com"])
        .await?;
    let outcome = works(&bed).await;
    bed.apply_file(CRDS).await?;
    bed.kubectl.wait_established().await?;
    outcome
}

async fn works(bed: &Bed) -> Result<()> {
    create_nodes(bed, "lone", &["e2e-a"]).await?;
    let blocks = Pool::create(bed, "lone", "10.7.0.0/24", 100).await?;
    let controller = bed.controller();
    let mark = controller.service.log_length();
    // Waits until it is ready.
    controller.start().await?;
    blocks.wait_nodes(&["e2e-a"]).await?;
    bed.apply_file(CRDS).await?;
    bed.kubectl.wait_established().await?;
    let spec = json!({ "cidr": "10.8.0.0/16", "perNodeNetworkPrefix": 24 });
    let prefixes = Pool::create_cidr(bed, "lone", spec).await?;
    prefixes.wait_nodes(&["e2e-a"]).await?;
    let log = controller.service.log_since(mark);
    for said in [
        "cidrpools are off: the API server doesn't serve them",
        "cidrpools are on",
    ] {
        let times = log.matches(said).count();
        ensure!(times == 1, "{said}: said {times} times:\n{log}");
    }
    // An API server may need a moment for a kind that it has just got, and says so.
    let is_young = |line: &str| line.contains("can't watch cidrpools") && line.contains("(429)");
    let can_watch = |line: &str| !line.contains("can't watch") || is_young(line);
    ensure!(
        !log.contains("ippools are off") && log.lines().all(can_watch),
        "{log}"
    );
    Ok(())
}

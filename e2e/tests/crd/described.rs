//! `kubectl explain`.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::api(
        "crd::described::kubectl_explains_bases_units_and_limits",
        explained,
    )]
}

async fn explained(bed: Arc<Bed>) -> Result<()> {
    for (field, parts) in [
        ("ippool.spec.perNodeBlockSize", &["addresses", "at least 1"][..]),
        (
            "ippool.spec.perNodeExclusions",
            &["first address of the node's block"],
        ),
        ("cidrpool.spec.perNodeExclusions", &["network address"]),
        (
            "cidrpool.spec.gatewayIndex",
            &["network address", "allocateIPWithIndex"],
        ),
        ("cidrpool.spec.staticAllocations", &["32768"]),
        ("cidrpool.status.allocations.prefix", &["prefix of the node"]),
    ] {
        let text = bed.kubectl.run(&["explain", field]).await?;
        // It wraps lines.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            ensure!(text.contains(part), "no {part:?} in {text}");
        }
    }
    Ok(())
}

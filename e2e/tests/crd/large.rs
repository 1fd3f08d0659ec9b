//! Pools as large as people need them stay within what the API server spends on rules.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::cases::Kind;
use super::pools::{delete_all, refused};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::api(
            "crd::large::five_thousand_exclusions_are_checked_and_stored",
            exclusions,
        ),
        Test::api(
            "crd::large::twenty_thousand_static_allocations_are_checked_and_stored",
            static_allocations,
        ),
        Test::api(
            "crd::large::whatever_fits_into_an_object_is_accepted",
            longest_lists,
        ),
    ]
}

/// The address whose last 24 bits are `n`.
fn address(n: u32) -> String {
    format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255)
}

async fn exclusions(bed: Arc<Bed>) -> Result<()> {
    let range = |n: u32| json!({ "startIP": address(16 * n), "endIP": address(16 * n + 7) });
    let mut spec = json!({
        "subnet": "10.0.0.0/8", "perNodeBlockSize": 100, "gateway": "10.0.0.1",
        "exclusions": (0..5_000).map(range).collect::<Value>(),
    });
    let object = Kind::IPPool.object("large", &spec)?;
    Kind::IPPool
        .api(&bed)
        .create(&PostParams::default(), &object)
        .await?;
    spec["exclusions"][4_999]["endIP"] = json!("11.0.0.1");
    let said = refused(&bed, Kind::IPPool, "wrong", &spec).await?;
    let expected = r#"spec.exclusions: Invalid value: "11.0.0.1": is not part of the 10.0.0.0/8 subnet"#;
    ensure!(said.iter().eq([expected]), "{said:?}");
    delete_all(&bed).await
}

async fn static_allocations(bed: Arc<Bed>) -> Result<()> {
    let allocation = |n: u32| json!({ "nodeName": format!("worker-{n:05}"), "prefix": format!("{}/24", address(256 * n)) });
    let mut spec = json!({
        "cidr": "10.0.0.0/8", "perNodeNetworkPrefix": 24, "gatewayIndex": 1,
        "staticAllocations": (0..20_000).map(allocation).collect::<Value>(),
    });
    let object = Kind::CIDRPool.object("large", &spec)?;
    let pools = Kind::CIDRPool.api(&bed);
    let mut stored = pools.create(&PostParams::default(), &object).await?;
    stored.data["status"] =
        json!({ "allocations": [{ "nodeName": "worker-00000", "prefix": "10.0.0.0/24" }] });
    pools
        .replace_status("large", &PostParams::default(), &stored)
        .await?;
    spec["staticAllocations"][19_999]["prefix"] = json!("10.1.0.0/25");
    let said = refused(&bed, Kind::CIDRPool, "wrong", &spec).await?;
    // That there is one is seen; to find it would cost too much.
    let expected =
        "spec.staticAllocations: Invalid value: prefix size doesn't match spec.perNodeNetworkPrefix";
    ensure!(said.iter().eq([expected]), "{said:?}");
    delete_all(&bed).await
}

/// The lists that cost most: as many entries as an object has room for, or as may be, as long as addresses can be.
async fn longest_lists(bed: Arc<Bed>) -> Result<()> {
    let short = |_| json!({ "startIP": "10.1.1.1", "endIP": "10.1.1.1" });
    let prefix =
        |n: u32| json!({ "prefix": format!("fd00:0000:0000:{n:04x}:0000:0000:255.255.255.255/128") });
    for (kind, spec) in [
        (
            Kind::IPPool,
            json!({ "subnet": "10.0.0.0/8", "perNodeBlockSize": 8, "exclusions": (0..32_768).map(short).collect::<Value>() }),
        ),
        (
            Kind::CIDRPool,
            json!({ "cidr": "fd00:0000:0000:0000:0000:0000:0000:0000/32", "perNodeNetworkPrefix": 128,
                "staticAllocations": (0..20_000).map(prefix).collect::<Value>() }),
        ),
    ] {
        let said = refused(&bed, kind, "longest", &spec).await?;
        ensure!(said.is_empty(), "{said:?}");
    }
    Ok(())
}

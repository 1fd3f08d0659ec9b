//! Objects that were stored before the rules, as those of an upgraded Go version: they can be lived with, and mended.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::cases::{self, Case, Kind};
use super::pools::{delete_all, faults, storable, under_types_only};

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::api(
        "crd::stored::an_invalid_object_from_before_the_rules_keeps_its_status_written_until_it_is_mended",
        from_before,
    )]
}

/// Of both kinds, the cases that the API server refuses now.
fn invalid() -> Vec<Case> {
    let refused = |case: &Case| !case.said().is_empty();
    cases::all().into_iter().filter(refused).collect()
}

async fn from_before(bed: Arc<Bed>) -> Result<()> {
    delete_all(&bed).await?;
    let stored = under_types_only(&bed, async || {
        let stored = storable(&bed, invalid()).await?;
        for case in &stored {
            let object = case.kind.object(case.name, &case.spec)?;
            case.kind
                .api(&bed)
                .create(&PostParams::default(), &object)
                .await?;
        }
        Ok(stored)
    })
    .await?;
    for kind in [Kind::IPPool, Kind::CIDRPool] {
        let cases: Vec<&Case> = stored.iter().filter(|case| case.kind == kind).collect();
        for (case, other) in cases.iter().zip(cases.iter().cycle().skip(1)) {
            lived_with(&bed, case, other)
                .await
                .with_context(|| case.name.to_owned())?;
        }
    }
    delete_all(&bed).await
}

/// Status and metadata are written; a spec that is invalid in another way is refused, and a valid one accepted.
async fn lived_with(bed: &Bed, case: &Case, other: &Case) -> Result<()> {
    let pools = case.kind.api(bed);
    let patch = async |patch: Value| {
        let patched = pools
            .patch(case.name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        faults(patched.map(drop))
    };
    let allocation = match case.kind {
        Kind::IPPool => json!({ "nodeName": "a", "startIP": "10.7.0.1", "endIP": "10.7.0.8" }),
        Kind::CIDRPool => json!({ "nodeName": "a", "prefix": "10.7.0.0/24" }),
    };
    let mut pool = pools.get(case.name).await?;
    pool.data["status"] = json!({ "allocations": [allocation] });
    pools
        .replace_status(case.name, &PostParams::default(), &pool)
        .await
        .context("its status")?;
    let said =
        patch(json!({ "metadata": { "labels": { "a": "b" }, "finalizers": ["e2e.nv-ipam.test/held"] } }))
            .await?;
    ensure!(said.is_empty(), "its metadata: {said:?}");
    let said = patch(json!({ "metadata": { "finalizers": null } })).await?;
    ensure!(said.is_empty(), "its finalizer: {said:?}");

    let mut pool = pools.get(case.name).await?;
    ensure!(pool.data["status"]["allocations"][0] == allocation, "{pool:?}");
    for (spec, valid) in [(other.spec.clone(), false), (case.kind.valid_spec(), true)] {
        pool.data["spec"] = spec;
        let replaced = pools.replace(case.name, &PostParams::default(), &pool).await;
        let said = faults(replaced.map(drop))?;
        ensure!(
            said.is_empty() == valid,
            "its spec, replaced with {}: {said:?}",
            pool.data["spec"]
        );
    }
    Ok(())
}

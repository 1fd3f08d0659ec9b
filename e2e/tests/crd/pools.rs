//! Pools of these tests, as the API server has them; and the CRDs with and without what they say beyond types.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use e2e::bed::Bed;
use e2e::names::{self, NAMESPACE};
use e2e::wait;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use serde_json::{Value, json};

use super::cases::{Case, Kind, NEVER_STORED};

pub(crate) const CRD: &str = "config/crd/nv-ipam.nvidia.com.yaml";

/// What a schema says beyond types.
const BEYOND_TYPES: [&str; 4] = ["x-kubernetes-validations", "maxLength", "maxItems", "pattern"];

/// What a request is refused with: a field and what is wrong with it, each.
pub(crate) type Faults = BTreeSet<String>;

impl Kind {
    pub(crate) fn api(self, bed: &Bed) -> Api<DynamicObject> {
        let resource = match self {
            Self::IPPool => ApiResource::erase::<IPPool>(&()),
            Self::CIDRPool => ApiResource::erase::<CIDRPool>(&()),
        };
        Api::namespaced_with(bed.client.clone(), NAMESPACE, &resource)
    }

    /// A valid spec.
    pub(crate) fn valid_spec(self) -> Value {
        match self {
            Self::IPPool => json!({ "subnet": "10.7.0.0/24", "perNodeBlockSize": 8 }),
            Self::CIDRPool => json!({ "cidr": "10.7.0.0/16", "perNodeNetworkPrefix": 24 }),
        }
    }

    /// A pool with this spec.
    pub(crate) fn object(self, name: &str, spec: &Value) -> Result<DynamicObject> {
        Ok(serde_json::from_value(json!({
            "apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": format!("{self:?}"),
            "metadata": { "name": name, "namespace": NAMESPACE }, "spec": spec,
        }))?)
    }
}

/// What the creation of this pool is refused with. It is not stored if it is not.
pub(crate) async fn refused(bed: &Bed, kind: Kind, name: &str, spec: &Value) -> Result<Faults> {
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let created = kind.api(bed).create(&dry_run, &kind.object(name, spec)?).await;
    faults(created.map(drop)).with_context(|| name.to_owned())
}

/// Whether faults are `expected`. API servers up to 1.33 say the type of a value where newer ones say the value.
pub(crate) fn are(said: &[&str], expected: &[&str]) -> bool {
    let is_expected = |said: &&str| expected.iter().any(|expected| is(said, expected));
    let is_said = |expected: &&str| said.iter().any(|said| is(said, expected));
    said.iter().all(is_expected) && expected.iter().all(is_said)
}

fn is(said: &str, expected: &str) -> bool {
    const BEFORE: &str = "Invalid value: ";
    let is_but_for_the_value = |type_: &str| {
        said.split_once(&format!("{BEFORE}\"{type_}\""))
            .is_some_and(|(field, text)| {
                expected.starts_with(&format!("{field}{BEFORE}")) && expected.ends_with(text)
            })
    };
    said == expected
        || ["string", "integer", "null"]
            .into_iter()
            .any(is_but_for_the_value)
}

/// Those of `cases` that can be stored under [`types_only`], which must be all but [`NEVER_STORED`].
pub(crate) async fn storable(bed: &Bed, cases: Vec<Case>) -> Result<Vec<Case>> {
    let mut storable = Vec::new();
    let mut not = Vec::new();
    for case in cases {
        if refused(bed, case.kind, case.name, &case.spec).await?.is_empty() {
            storable.push(case);
        } else {
            not.push(case.name);
        }
    }
    ensure!(
        not == [NEVER_STORED],
        "under types only these are refused: {not:?}"
    );
    Ok(storable)
}

/// What a request was refused with as invalid; nothing if it was not.
pub(crate) fn faults(answer: kube::Result<()>) -> Result<Faults> {
    match answer {
        Ok(()) => Ok(Faults::new()),
        Err(kube::Error::Api(status)) if status.is_invalid() => {
            let causes = status
                .details
                .as_ref()
                .map(|details| &details.causes[..])
                .unwrap_or_default();
            ensure!(!causes.is_empty(), "no causes: {}", status.message);
            Ok(causes
                .iter()
                .map(|cause| untyped(&format!("{}: {}", cause.field, cause.message)))
                .collect())
        }
        Err(error) => Err(error.into()),
    }
}

/// A fault of an object or a list as new API servers say it. Older ones (1.33 does, 1.36 doesn't) say its type before what a
/// rule says: `Invalid value: "object": 300: is too much`.
pub(crate) fn untyped(fault: &str) -> String {
    const BEFORE: &str = "Invalid value: ";
    let before = ["object", "array"].map(|type_| format!("{BEFORE}\"{type_}\": "));
    let found = before.iter().find(|with| fault.contains(with.as_str()));
    found.map_or_else(
        || fault.to_owned(),
        |with| fault.replacen(with.as_str(), BEFORE, 1),
    )
}

/// Runs `body` under CRDs that say nothing but types, as they were before there were rules; then the real ones are there again.
pub(crate) async fn under_types_only<T>(bed: &Bed, body: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
    bed.apply(&types_only()?).await?;
    wait_judged(bed, false).await?;
    let outcome = body().await;
    bed.apply_file(CRD).await?;
    wait_judged(bed, true).await?;
    outcome
}

fn types_only() -> Result<String> {
    let text = std::fs::read_to_string(names::repository().join(CRD))?;
    let mut crds: Vec<Value> = serde_yaml::from_multiple(&text)?;
    for crd in &mut crds {
        let Some(schema) = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec") else {
            bail!("a CRD without a spec");
        };
        strip(schema);
    }
    Ok(json!({ "apiVersion": "v1", "kind": "List", "items": crds }).to_string())
}

/// Takes away what is said beyond types. (No field is named like one of the keywords.)
fn strip(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.retain(|name, _| !BEYOND_TYPES.contains(&name.as_str()));
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Waits until the API server judges more than types of both kinds, or no longer does.
async fn wait_judged(bed: &Bed, judged: bool) -> Result<()> {
    for (kind, spec) in [
        (Kind::IPPool, json!({ "subnet": "x", "perNodeBlockSize": 1 })),
        (Kind::CIDRPool, json!({ "cidr": "x", "perNodeNetworkPrefix": 1 })),
    ] {
        wait::until(
            "the API server to know the CRDs",
            wait::USUAL,
            async || match refused(bed, kind, "probe", &spec).await {
                Ok(said) if said.is_empty() != judged => wait::done(()),
                other => wait::not_yet(format!("{other:?}")),
            },
        )
        .await?;
    }
    Ok(())
}

/// Deletes every pool.
pub(crate) async fn delete_all(bed: &Bed) -> Result<()> {
    for kind in [Kind::IPPool, Kind::CIDRPool] {
        kind.api(bed)
            .delete_collection(&DeleteParams::default(), &ListParams::default())
            .await?;
    }
    Ok(())
}

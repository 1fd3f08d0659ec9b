//! Whose label [`ROLE`] is `worker`, while a test of the sample pools runs.
//!
//! The cluster may be somebody's, with nodes that have this label already, or the names that a test is about. What a label
//! of theirs was is kept with the node itself, so that it can be given back also after a run that was killed.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Node;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::pods;

/// The label that decides whether a node gets a block of the sample pool.
pub const ROLE: &str = "kubernetes.io/role";

const WORKER: &str = "worker";

/// The annotation that keeps what the label was: JSON, a string or null.
const BEFORE: &str = "e2e.nv-ipam.test/role-before";

/// Makes exactly these nodes workers. Those that aren't there are made, without a machine.
pub async fn only_workers(client: &Client, names: &[&str]) -> Result<()> {
    let mut missing = names.to_vec();
    for node in nodes(client).await? {
        let name = node.name_any();
        missing.retain(|&missing| missing != name);
        let wanted = names.contains(&name.as_str());
        let role = node.labels().get(ROLE);
        if wanted == (role.map(String::as_str) == Some(WORKER)) {
            continue;
        }
        let before = node
            .annotations()
            .get(BEFORE)
            .cloned()
            .unwrap_or_else(|| json!(role).to_string());
        let role = wanted.then_some(WORKER);
        patch(client, &name, &json!(role), &json!(before)).await?;
    }
    for name in missing {
        pods::create_fake_node(client, name, &[(ROLE, WORKER)]).await?;
    }
    Ok(())
}

/// Gives each node the label that it had before [`only_workers`].
pub async fn give_back(client: &Client) -> Result<()> {
    for node in nodes(client).await? {
        if let Some(before) = node.annotations().get(BEFORE) {
            let name = node.name_any();
            let role: Value = serde_json::from_str(before)
                .with_context(|| format!("annotation {BEFORE} of node {name}: {before}"))?;
            patch(client, &name, &role, &Value::Null).await?;
        }
    }
    Ok(())
}

async fn nodes(client: &Client) -> Result<Vec<Node>> {
    let nodes: Api<Node> = Api::all(client.clone());
    let list = nodes.list(&ListParams::default()).await;
    Ok(list.context("could not list the nodes")?.items)
}

/// Both at once: whoever sees the one sees the other.
async fn patch(client: &Client, node: &str, role: &Value, before: &Value) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let [labels, annotations] = [(ROLE, role), (BEFORE, before)].map(|pair| BTreeMap::from([pair]));
    let patch = json!({ "metadata": { "labels": labels, "annotations": annotations } });
    nodes
        .patch(node, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .with_context(|| format!("could not label node {node}"))?;
    Ok(())
}

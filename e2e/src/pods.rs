//! Pods and Node objects that tests make and remove.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Container, Node, NodeSpec, Pod, PodSpec, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::names::POD_IMAGE;
use crate::wait;

/// Where tests' pods live.
pub const NAMESPACE: &str = "default";

/// A pod that does nothing until it is told to end, on a node that the scheduler is not asked about.
#[must_use]
pub fn idle(name: &str, node: &str) -> Pod {
    let script = "trap exit TERM; sleep 2147483 & wait";
    Pod {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            node_name: Some(node.to_owned()),
            containers: vec![Container {
                name: "idle".to_owned(),
                image: Some(POD_IMAGE.to_owned()),
                image_pull_policy: Some("Never".to_owned()),
                command: Some(["sh", "-c", script].map(str::to_owned).to_vec()),
                ..Container::default()
            }],
            termination_grace_period_seconds: Some(5),
            // There is no cluster DNS, and the kubelet would say so of every pod.
            dns_policy: Some("Default".to_owned()),
            ..PodSpec::default()
        }),
        ..Pod::default()
    }
}

/// Pods in [`NAMESPACE`].
#[must_use]
pub fn api(client: &Client) -> Api<Pod> {
    Api::namespaced(client.clone(), NAMESPACE)
}

/// Creates an idle pod, and returns it as the API server made it (with its UID).
pub async fn create(client: &Client, name: &str, node: &str) -> Result<Pod> {
    let pod = api(client)
        .create(&PostParams::default(), &idle(name, node))
        .await;
    pod.with_context(|| format!("could not create pod {name}"))
}

/// Waits until the pod is Running and returns its address. At the deadline the pod's events are part of the error.
pub async fn wait_running(client: &Client, name: &str) -> Result<String> {
    let what = format!("pod {name} to be Running");
    let waited = wait::until(&what, wait::USUAL, async || {
        let status = match api(client).get(name).await {
            Ok(pod) => pod.status.unwrap_or_default(),
            Err(error) => return wait::not_yet(error.to_string()),
        };
        match (status.phase.as_deref(), status.pod_ip) {
            (Some("Running"), Some(address)) => wait::done(address),
            (phase, address) => wait::not_yet(format!("phase {phase:?}, address {address:?}")),
        }
    });
    match waited.await {
        Ok(address) => Ok(address),
        Err(error) => Err(error.context(format!("events of pod {name}:\n{}", events(client, name).await))),
    }
}

/// Creates an idle pod, waits until it is Running, and returns its address.
pub async fn run(client: &Client, name: &str, node: &str) -> Result<String> {
    create(client, name, node).await?;
    wait_running(client, name).await
}

/// Deletes a pod and waits until it is gone, which the kubelet says once its network is torn down. None is success.
pub async fn delete(client: &Client, name: &str) -> Result<()> {
    match api(client).delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
        other => other.with_context(|| format!("could not delete pod {name}"))?,
    };
    wait_gone(client, name).await
}

/// Waits until there is no such pod.
pub async fn wait_gone(client: &Client, name: &str) -> Result<()> {
    wait::until(
        &format!("pod {name} to be gone"),
        wait::USUAL,
        async || match api(client).get_opt(name).await {
            Ok(None) => wait::done(()),
            Ok(Some(pod)) => wait::not_yet(format!(
                "deletion asked for at {:?}",
                pod.metadata.deletion_timestamp
            )),
            Err(error) => wait::not_yet(error.to_string()),
        },
    )
    .await
}

/// Deletes every pod in [`NAMESPACE`] and waits until they are gone.
pub async fn delete_all(client: &Client) -> Result<()> {
    let pods = api(client);
    let names: Vec<_> = pods
        .list(&ListParams::default())
        .await?
        .into_iter()
        .filter_map(|pod| pod.metadata.name)
        .collect();
    for name in &names {
        // Asked for all of them first, so that the kubelets work side by side.
        let _ = pods.delete(name, &DeleteParams::default()).await;
    }
    for name in &names {
        wait_gone(client, name).await?;
    }
    Ok(())
}

/// What the cluster says happened to a pod.
async fn events(client: &Client, name: &str) -> String {
    let events: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(client.clone(), NAMESPACE);
    let params = ListParams::default().fields(&format!("involvedObject.name={name}"));
    let list = events
        .list(&params)
        .await
        .map(|list| list.items)
        .unwrap_or_default();
    let line = |event: k8s_openapi::api::core::v1::Event| {
        format!(
            "  {}: {}\n",
            event.reason.unwrap_or_default(),
            event.message.unwrap_or_default()
        )
    };
    list.into_iter().map(line).collect()
}

/// The label of Node objects that have no machine, and their taint.
const FAKE: &str = "e2e.nv-ipam.test/fake";

/// Creates a Node object without a machine behind it.
pub async fn create_fake_node(client: &Client, name: &str, labels: &[(&str, &str)]) -> Result<()> {
    let mut all: std::collections::BTreeMap<_, _> = labels
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    all.insert(FAKE.to_owned(), String::new());
    let node = Node {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(all),
            ..ObjectMeta::default()
        },
        // Nobody's DaemonSet is to make pods for it.
        spec: Some(NodeSpec {
            taints: Some(vec![Taint {
                key: FAKE.to_owned(),
                effect: "NoSchedule".to_owned(),
                ..Taint::default()
            }]),
            ..NodeSpec::default()
        }),
        ..Node::default()
    };
    let nodes: Api<Node> = Api::all(client.clone());
    nodes
        .create(&PostParams::default(), &node)
        .await
        .with_context(|| format!("could not create node {name}"))?;
    Ok(())
}

/// Deletes a Node object. None is success.
pub async fn delete_node(client: &Client, name: &str) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    match nodes.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => other
            .map(drop)
            .with_context(|| format!("could not delete node {name}")),
    }
}

/// Deletes every Node object that [`create_fake_node`] made.
pub async fn delete_fake_nodes(client: &Client) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    nodes
        .delete_collection(&DeleteParams::default(), &ListParams::default().labels(FAKE))
        .await?;
    Ok(())
}

/// Sets a label of a node, or removes it.
pub async fn label_node(client: &Client, node: &str, key: &str, value: Option<&str>) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let patch = json!({ "metadata": { "labels": { key: value } } });
    nodes
        .patch(node, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .with_context(|| format!("could not label node {node}"))?;
    Ok(())
}

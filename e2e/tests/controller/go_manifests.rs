//! With nothing but the image exchanged: under the CRDs and the role of the Go version.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use e2e::{account, names, pods, wait};
use serde_json::{Value, json};

use super::extra::{Extra, folder, kubeconfig_flag};
use super::pool::{Pool, create_nodes};

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::api(
        "controller::go_manifests::it_works_under_the_crd_and_the_role_of_the_go_version",
        works,
    )]
}

const ACCOUNT: &str = "e2e-go-controller";
const CRD: &str = "config/crd/nv-ipam.nvidia.com.yaml";

/// Contract B.12: what the Go version's manifests allow the controller.
const ROLE: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: { name: e2e-go-controller, namespace: kube-system }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: e2e-go-controller }
rules:
- { apiGroups: [''], resources: [nodes], verbs: [get, list, patch, update, watch] }
- { apiGroups: [''], resources: [configmaps], verbs: [get, list, watch, delete] }
- { apiGroups: [''], resources: [events], verbs: [create, patch] }
- { apiGroups: [coordination.k8s.io], resources: [leases], verbs: ['*'] }
- { apiGroups: [nv-ipam.nvidia.com], resources: [ippools, cidrpools], verbs: [get, list, watch, create] }
- { apiGroups: [nv-ipam.nvidia.com], resources: [ippools/status, cidrpools/status], verbs: [get, update, patch] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: e2e-go-controller }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: e2e-go-controller }
subjects: [{ kind: ServiceAccount, name: e2e-go-controller, namespace: kube-system }]
";

async fn works(bed: Arc<Bed>) -> Result<()> {
    let outcome = under_go_manifests(&bed).await;
    bed.kubectl
        .run_with(&["delete", "--ignore-not-found", "-f", "-"], ROLE)
        .await?
        .success()?;
    bed.apply_file(CRD).await?;
    wait_conditions_kept(&bed, true).await?;
    outcome
}

async fn under_go_manifests(bed: &Bed) -> Result<()> {
    bed.apply(ROLE).await?;
    bed.apply(&crds_without_conditions()?).await?;
    wait_conditions_kept(bed, false).await?;
    let kubeconfig = folder(bed).join("go.kubeconfig");
    let base = folder(bed).join(e2e::app::KUBECONFIG);
    account::write_kubeconfig(&bed.client, &base, ACCOUNT, &kubeconfig).await?;
    let controller = Extra::new(bed).with(&[&kubeconfig_flag(bed, "go.kubeconfig")]);
    let mark = controller.0.service.log_length();

    create_nodes(bed, "go", &["e2e-a", "e2e-b"]).await?;
    let spec = json!({ "cidr": "10.8.0.0/23", "perNodeNetworkPrefix": 24 });
    let pools = [
        Pool::create(bed, "go", "10.7.0.0/24", 100).await?,
        Pool::create_cidr(bed, "go", spec).await?,
    ];
    controller.0.start().await?;
    for pool in &pools {
        pool.wait_nodes(&["e2e-a", "e2e-b"]).await?;
    }
    create_nodes(bed, "go", &["e2e-c"]).await?;
    for (pool, reason) in pools.iter().zip(["NoFreeRanges", "NoFreePrefixes"]) {
        pool.wait_event(reason, "Node: e2e-c").await?;
    }
    pods::delete_node(&bed.client, "e2e-a").await?;
    for pool in &pools {
        for touch in ["1", "2", "3", "4", "5"] {
            pool.touch(touch, &controller.0).await?;
        }
        let metrics = controller.0.scrape().await?;
        let of_pool = [("pool", pool.key.as_str())];
        let figure = |name: &str| metrics.value(&format!("nv_ipam_controller_{name}"), &of_pool);
        // The one entry that no longer fits is told by a metric only.
        ensure!(figure("stale_allocations")? > 0.5, "{}", metrics.text());
        let writes = figure("status_writes_total")?;
        ensure!(writes < 1.5, "{writes} writes for ranges that were dealt at once");
        let status = pool.get().await?.data["status"].clone();
        ensure!(status.get("conditions").is_none(), "{status}");
    }

    let log = controller.0.service.log_since(mark);
    for kind in ["kind=ippool", "kind=cidrpool"] {
        let says_so = |line: &&str| line.contains("conditions are off") && line.contains(kind);
        let said = log.lines().filter(says_so).count();
        ensure!(said == 1, "said {said} times of {kind}:\n{log}");
    }
    for trouble in ["forbidden", "events are off", "ERROR"] {
        ensure!(!log.contains(trouble), "{log}");
    }
    let ended = controller.0.stop().await?;
    ensure!(ended.success(), "{ended}");
    Ok(())
}

/// The committed CRDs, with the status of the Go version's.
fn crds_without_conditions() -> Result<String> {
    let text = std::fs::read_to_string(names::repository().join(CRD))?;
    let mut crds: Vec<Value> = serde_yaml::from_multiple(&text)?;
    for crd in &mut crds {
        let status = crd
            .pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties")
            .and_then(Value::as_object_mut)
            .context("the CRD has no status")?;
        status.remove("conditions").context("the CRD has no conditions")?;
    }
    ensure!(crds.len() == 2, "{} CRDs", crds.len());
    // A JSON document is a YAML document.
    let documents: Vec<String> = crds.iter().map(Value::to_string).collect();
    Ok(documents.join("\n---\n"))
}

/// Waits until the API server goes by the schemas that it was given last.
async fn wait_conditions_kept(bed: &Bed, kept: bool) -> Result<()> {
    for (kind, spec) in [
        ("IPPool", "{subnet: 10.0.0.0/24, perNodeBlockSize: 1}"),
        ("CIDRPool", "{cidr: 10.0.0.0/24, perNodeNetworkPrefix: 25}"),
    ] {
        let manifest = format!(
            "{{apiVersion: nv-ipam.nvidia.com/v1alpha1, kind: {kind}, \
            metadata: {{name: probe, namespace: kube-system}}, spec: {spec}, \
            status: {{allocations: [], conditions: [{{type: Probe, status: 'True', reason: Probe, message: '', \
            lastTransitionTime: '2020-01-01T00:00:00Z'}}]}}}}"
        );
        let what = format!("the CRD of {kind} with conditions kept: {kept}");
        wait::until(&what, wait::USUAL, async || {
            // Strict validation tells of fields that would be dropped.
            let apply = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
            match bed.kubectl.run_with(&apply, &manifest).await {
                Ok(ran) if ran.ok() == kept => wait::done(()),
                other => wait::not_yet(format!("{other:?}")),
            }
        })
        .await?;
    }
    Ok(())
}

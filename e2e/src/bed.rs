//! What a test stands on: a cluster, ours or one that the user named, with nv-ipam installed in it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use futures::future::try_join_all;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};

use crate::account;
use crate::app::{App, CONTROLLER_ACCOUNT, DAEMON_ACCOUNT, KUBECONFIG};
use crate::cluster::{Cluster, ClusterSpec};
use crate::command::Ran;
use crate::existing::Existing;
use crate::kubectl::Kubectl;
use crate::names::{self, NAMESPACE, Subnet};
use crate::node::Node;
use crate::node_config::STATIC_PODS;
use crate::ours::Ours;
use crate::pods;
use crate::progress::Step;
use crate::reset;
use crate::roles;
use crate::wait;

pub use crate::roles::ROLE;

/// The lease by which controllers exclude each other.
pub const LEASE: &str = "dd1643cf.nvidia.com";

/// The configuration of config/webhook.
const WEBHOOK: &str = "nv-ipam-validating-webhook-configuration";

/// A cluster with the CRDs, the ServiceAccounts and their rights, and our programs ready to be started.
pub struct Bed {
    /// A client with all rights.
    pub client: Client,
    /// kubectl as administrator.
    pub kubectl: Kubectl,
    kind: Kind,
}

enum Kind {
    Ours(Box<Cluster>),
    Existing(Box<Existing>),
}

impl Bed {
    /// True if the user named a cluster: `E2E_EXISTING_CLUSTER=1`, with KUBECONFIG.
    #[must_use]
    pub fn is_existing() -> bool {
        Existing::is_named()
    }

    /// Brings up a cluster and installs nv-ipam in it.
    pub async fn up(spec: &ClusterSpec) -> Result<Self> {
        Self::up_with(spec, &Ours::build().await?).await
    }

    /// The same with programs that are built already.
    pub async fn up_with(spec: &ClusterSpec, ours: &Ours) -> Result<Self> {
        let cluster = Cluster::up(spec).await?;
        match install(&cluster, ours).await {
            Ok(kubectl) => Ok(Self {
                client: cluster.client(),
                kubectl,
                kind: Kind::Ours(Box::new(cluster)),
            }),
            Err(error) => {
                cluster.take_down().await?;
                Err(error)
            }
        }
    }

    /// Uses the cluster of KUBECONFIG. Only the controller runs, on this machine.
    pub async fn existing() -> Result<Self> {
        let existing = Existing::prepare().await?;
        Ok(Self {
            client: existing.client.clone(),
            kubectl: existing.kubectl.clone(),
            kind: Kind::Existing(Box::new(existing)),
        })
    }

    /// The cluster, if it is ours.
    pub fn cluster(&self) -> Result<&Cluster> {
        match &self.kind {
            Kind::Ours(cluster) => Ok(cluster),
            Kind::Existing(_) => bail!("this needs nodes of our own, and E2E_EXISTING_CLUSTER is set"),
        }
    }

    /// The cluster, to be changed.
    pub fn cluster_mut(&mut self) -> Result<&mut Cluster> {
        match &mut self.kind {
            Kind::Ours(cluster) => Ok(cluster),
            Kind::Existing(_) => bail!("this needs nodes of our own, and E2E_EXISTING_CLUSTER is set"),
        }
    }

    /// The nodes; none in a cluster that is not ours.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        match &self.kind {
            Kind::Ours(cluster) => &cluster.nodes,
            Kind::Existing(_) => &[],
        }
    }

    /// ipam-controller.
    #[must_use]
    pub fn controller(&self) -> &App {
        match &self.kind {
            Kind::Ours(cluster) => &cluster.plane.controller,
            Kind::Existing(existing) => &existing.controller,
        }
    }

    /// Another controller, with ports of its own; [`Bed::controller`] is number 0. Not started, and the caller's to end.
    #[must_use]
    pub fn another_controller(&self, number: u16) -> App {
        match &self.kind {
            Kind::Ours(cluster) => {
                let address = Subnet::new(cluster.record().subnet).control_plane();
                App::controller(number, &cluster.plane.machine, address, &cluster.logs())
            }
            Kind::Existing(existing) => App::controller_on_host(number, &existing.folder),
        }
    }

    /// Where logs are.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        match &self.kind {
            Kind::Ours(cluster) => cluster.logs(),
            Kind::Existing(existing) => existing.folder.clone(),
        }
    }

    /// The IPPools.
    #[must_use]
    pub fn pools(&self) -> Api<IPPool> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// The CIDRPools.
    #[must_use]
    pub fn cidrpools(&self) -> Api<CIDRPool> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Applies a manifest of the repository, and insists that the API server has no warning about it.
    pub async fn apply_file(&self, path: &str) -> Result<()> {
        let path = names::repository().join(path);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        self.apply(&text).await
    }

    /// Applies manifests, and insists that the API server has no warning about them.
    pub async fn apply(&self, manifests: &str) -> Result<()> {
        let Ran {
            code, stderr, stdout, ..
        } = self.kubectl.apply(manifests).await?;
        if code != Some(0) || stderr.contains("Warning") {
            bail!("kubectl apply: {stdout}{stderr}");
        }
        Ok(())
    }

    /// Waits until the pool's status has a block for exactly these nodes, and returns (node, first, last) of each.
    pub async fn wait_blocks(&self, pool: &str, nodes: &[&str]) -> Result<Vec<(String, String, String)>> {
        wait::until(
            &format!("pool {pool} to have blocks for {nodes:?}"),
            wait::USUAL,
            async || {
                let status = match self.pools().get(pool).await {
                    Ok(pool) => pool.status.unwrap_or_default(),
                    Err(error) => return wait::not_yet(error.to_string()),
                };
                let blocks: Vec<_> = status
                    .allocations
                    .into_iter()
                    .map(|entry| (entry.node_name, entry.start_ip, entry.end_ip))
                    .collect();
                if blocks
                    .iter()
                    .map(|(node, ..)| node.as_str())
                    .eq(nodes.iter().copied())
                {
                    wait::done(blocks)
                } else {
                    wait::not_yet(format!("{blocks:?}"))
                }
            },
        )
        .await
    }

    /// Puts the cluster back to where it was after it came up: usual flags, no pods, pools, fake nodes, role labels or networks of
    /// tests, no webhook, our programs not running and the nodes' stores empty. What tests mount on a node they mount under `/run/mnt`,
    /// and it is unmounted. Tests begin with it, so none depends on the one before.
    pub async fn reset(&self) -> Result<()> {
        if let Kind::Ours(cluster) = &self.kind
            && !cluster.plane.api_server.is_running()
        {
            cluster.plane.start_api_server().await?;
        }
        for node in self.nodes() {
            let script = format!("rm -rf {STATIC_PODS}/*");
            node.exec(&["sh", "-ec", &script]).await?.success()?;
        }
        if !self.nodes().is_empty() {
            pods::delete_all(&self.client).await?;
        }
        self.controller().kill().await?;
        self.controller().service.restore_argv();
        delete_lease(&self.client).await?;
        if matches!(self.kind, Kind::Ours(_)) {
            delete_webhook(&self.client).await?;
        }
        self.pools()
            .delete_collection(&DeleteParams::default(), &ListParams::default())
            .await?;
        self.cidrpools()
            .delete_collection(&DeleteParams::default(), &ListParams::default())
            .await?;
        pods::delete_fake_nodes(&self.client).await?;
        roles::give_back(&self.client).await?;
        try_join_all(self.nodes().iter().map(|node| self.reset_node(node))).await?;
        Ok(())
    }

    async fn reset_node(&self, node: &Node) -> Result<()> {
        node.daemon.kill().await?;
        node.daemon.service.restore_argv();
        pods::label_node(&self.client, &node.name, ROLE, None).await?;
        reset::clean(node).await?;
        node.wait_ready(&self.client).await
    }

    /// Ends everything and removes it.
    pub async fn down(&self) -> Result<()> {
        match &self.kind {
            Kind::Ours(cluster) => cluster.take_down().await,
            Kind::Existing(existing) => {
                // What the last test made is not to stay in somebody's cluster.
                self.reset().await?;
                existing.leave().await
            }
        }
    }
}

async fn install(cluster: &Cluster, ours: &Ours) -> Result<Kubectl> {
    ours.copy_to(&cluster.folder)?;
    let step = Step::begin("installing nv-ipam: CRD, ServiceAccounts, their rights and tokens");
    let admin = &cluster.plane.admin_kubeconfig;
    let kubectl = Kubectl::new(cluster.assets.on_host("kubectl"), admin);
    kubectl.apply_ours().await?;
    let client = cluster.client();
    account::write_kubeconfig(
        &client,
        admin,
        CONTROLLER_ACCOUNT,
        &cluster.folder.join(KUBECONFIG),
    )
    .await?;
    for node in &cluster.nodes {
        let path = node.machine.folder.join(KUBECONFIG);
        account::write_kubeconfig(&client, admin, DAEMON_ACCOUNT, &path).await?;
    }
    step.end();
    Ok(kubectl)
}

/// A lease outlives its killed holder by 15 seconds, which the next controller would have to wait.
async fn delete_lease(client: &Client) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    match leases.delete(LEASE, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => other.map(drop).context("could not delete the controllers' lease"),
    }
}

/// One that nobody answers for would keep pools from being made.
async fn delete_webhook(client: &Client) -> Result<()> {
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    match configurations.delete(WEBHOOK, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => other
            .map(drop)
            .context("could not delete the webhook's configuration"),
    }
}

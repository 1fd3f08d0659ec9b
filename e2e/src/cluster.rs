//! A whole cluster: brought up, handed to tests, taken down.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use kube::Client;

use crate::assets::Assets;
use crate::control_plane::ControlPlane;
use crate::image;
use crate::machine::{Lifetime, Machine};
use crate::names::Subnet;
use crate::network;
use crate::node::{Node, NodeSpec};
use crate::pki::Authority;
use crate::proc::ProcessId;
use crate::progress::Step;
use crate::record::{self, Record, Turn};
use crate::service::Service;
use crate::wait;

/// What to bring up.
#[derive(Debug, Clone)]
pub struct ClusterSpec {
    /// The nodes' names.
    pub nodes: Vec<String>,
    /// Whether the cluster outlives this process.
    pub lifetime: Lifetime,
}

impl Default for ClusterSpec {
    fn default() -> Self {
        Self {
            nodes: vec!["host-a".to_owned(), "host-b".to_owned()],
            lifetime: Lifetime::OfOwner,
        }
    }
}

/// A cluster of our own making.
pub struct Cluster {
    /// Its folder on the host: logs, certificates, kubeconfigs, the machines' files.
    pub folder: PathBuf,
    /// The programs it runs.
    pub assets: Assets,
    /// API server and company.
    pub plane: ControlPlane,
    /// The nodes, all Ready.
    pub nodes: Vec<Node>,
    lifetime: Lifetime,
    record: Record,
}

impl Cluster {
    /// Brings a cluster up and waits until every node is Ready. On failure what was made is taken down again, and the error
    /// carries the ends of the logs.
    pub async fn up(spec: &ClusterSpec) -> Result<Self> {
        let assets = Assets::ensure().await?;
        let step = Step::begin(format!("starting a cluster with {} nodes", spec.nodes.len()));
        let record = reserve(spec).await?;
        match build(spec, record.clone(), assets).await {
            Ok(cluster) => {
                step.end();
                Ok(cluster)
            }
            Err(error) => {
                let logs = log_tails(&record.folder()?.join("logs"));
                let current = record::all()?
                    .into_iter()
                    .find(|other| other.id == record.id)
                    .unwrap_or(record);
                let error = error.context(format!("the cluster did not come up\n{logs}"));
                match current.take_down().await {
                    Ok(()) => Err(error),
                    Err(second) => Err(error.context(format!("{second:#}"))),
                }
            }
        }
    }

    /// A client with all rights.
    #[must_use]
    pub fn client(&self) -> Client {
        self.plane.client()
    }

    /// What it owns on the host.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Where the output of every process goes.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Every service of the control plane and the nodes.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        let nodes = self
            .nodes
            .iter()
            .flat_map(|node| [&node.containerd, &node.kubelet]);
        self.plane.services().into_iter().chain(nodes)
    }

    /// Hands it over to whoever calls `e2e down`: it is not taken down when this process ends.
    ///
    /// # Errors
    /// If its machines were started to live as long as this process.
    pub fn keep(&mut self) -> Result<()> {
        ensure!(
            self.lifetime == Lifetime::UntilTakenDown,
            "this cluster's machines end with this process"
        );
        self.record.kept = true;
        self.record.write()
    }

    /// Takes it down. Nothing of it is left on the host.
    pub async fn take_down(&self) -> Result<()> {
        self.record.take_down().await
    }
}

/// Sweeps, then writes the record of a new cluster: from here on whatever is made can be found again.
async fn reserve(spec: &ClusterSpec) -> Result<Record> {
    let _turn = Turn::wait().await?;
    record::sweep().await?;
    let taken: Vec<u8> = record::all()?.iter().map(|record| record.subnet).collect();
    let owner = ProcessId::own()?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    let number = (now.subsec_micros() ^ owner.pid.unsigned_abs()) & 0xffff;
    let id = format!("{number:04x}");
    let start = u8::try_from(number & 0xff)?;
    let subnet = network::free_subnet(start, &taken).await?;
    let Some(number) = (0..=u8::MAX).find(|&number| Subnet::new(number) == subnet) else {
        anyhow::bail!("no subnet");
    };
    let record = Record {
        cgroups: spec
            .nodes
            .iter()
            .map(|name| format!("nv-ipam-e2e-{id}-{name}"))
            .collect(),
        kept: false,
        subnet: number,
        machines: BTreeMap::new(),
        owner,
        id,
    };
    fs::create_dir_all(record.folder()?.join("logs"))?;
    record.write()?;
    Ok(record)
}

async fn build(spec: &ClusterSpec, mut record: Record, assets: Assets) -> Result<Cluster> {
    let folder = record.folder()?;
    let subnet = Subnet::new(record.subnet);
    let authority = Authority::create(&folder.join("pki"))?;
    image::write(&folder)?;
    let machine = start_machine("control-plane", spec, &mut record, &assets).await?;
    network::build_switch(&machine, subnet, &record.id).await?;
    let plane = ControlPlane::start(machine, &folder, &assets, &authority, subnet).await?;
    let mut nodes = Vec::new();
    for (index, name) in spec.nodes.iter().enumerate() {
        let cgroup = record.cgroups[index].clone();
        crate::cgroups::create(&cgroup)?;
        let machine = start_machine(name, spec, &mut record, &assets).await?;
        let node = NodeSpec {
            name: name.clone(),
            index: u8::try_from(index)?,
            cgroup,
            subnet,
        };
        nodes.push(
            Node::start(
                &node,
                machine,
                &plane.machine,
                &folder,
                &assets,
                &authority,
                &plane.server,
            )
            .await?,
        );
    }
    let client = plane.client();
    for node in &nodes {
        node.wait_ready(&client).await?;
    }
    wait_default_account(&client).await?;
    Ok(Cluster {
        folder,
        assets,
        plane,
        nodes,
        lifetime: spec.lifetime,
        record,
    })
}

async fn start_machine(
    name: &str,
    spec: &ClusterSpec,
    record: &mut Record,
    assets: &Assets,
) -> Result<Arc<Machine>> {
    let folder = record.folder()?;
    let machine = Machine::start(name, &folder, assets, spec.lifetime, |first| {
        record.machines.insert(name.to_owned(), first.clone());
        record.write()
    });
    Ok(Arc::new(machine.await?))
}

/// Pods are refused until the controller manager has made the namespace's ServiceAccount.
async fn wait_default_account(client: &Client) -> Result<()> {
    let accounts: kube::Api<k8s_openapi::api::core::v1::ServiceAccount> =
        kube::Api::namespaced(client.clone(), "default");
    wait::until(
        "the ServiceAccount default/default",
        wait::USUAL,
        async || match accounts.get_opt("default").await {
            Ok(Some(_)) => wait::done(()),
            Ok(None) => wait::not_yet("not there"),
            Err(error) => wait::not_yet(error.to_string()),
        },
    )
    .await
}

/// The ends of all logs in a folder.
#[must_use]
pub fn log_tails(folder: &Path) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let tails = paths
        .iter()
        .map(|path| format!("--- {}\n{}\n", path.display(), crate::service::tail(path, 15)));
    tails.collect()
}

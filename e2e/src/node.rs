//! A node: a machine with containerd and a kubelet of its own.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Node as ApiNode;
use kube::{Api, Client};

use crate::app::App;
use crate::assets::Assets;
use crate::command::Ran;
use crate::kubeconfig::{self, Credential};
use crate::machine::Machine;
use crate::names::{self, Subnet};
use crate::network;
use crate::node_config;
use crate::pki::Authority;
use crate::service::{Place, Service};
use crate::wait;

/// CNI plugins that every node has from the start. The daemon adds nv-ipam itself.
const PLUGINS: &[&str] = &["bridge", "host-local", "loopback", "macvlan"];
/// Where the kubelet's runtime looks for networks: the first file in alphabetical order is the pods' network.
const NETWORKS: &str = "/etc/cni/net.d";

/// What makes one node different from the next.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// Its name.
    pub name: String,
    /// Its position, from 0: decides addresses.
    pub index: u8,
    /// Its cgroup.
    pub cgroup: String,
    /// The network it is in.
    pub subnet: Subnet,
}

impl NodeSpec {
    /// Its address in the network of the machines.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.subnet.node(self.index)
    }
}

/// A node that has been started.
#[derive(Debug)]
pub struct Node {
    /// Its name in the API.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// The namespaces that it lives in.
    pub machine: Arc<Machine>,
    /// The container runtime.
    pub containerd: Service,
    /// The kubelet.
    pub kubelet: Service,
    /// ipam-node on this node. Not started, see [`crate::bed`].
    pub daemon: App,
}

impl Node {
    /// Plugs the machine into the control plane's switch and starts containerd, imports the images and starts the kubelet.
    /// It becomes Ready some seconds later: see [`Node::wait_ready`].
    pub async fn start(
        spec: &NodeSpec,
        machine: Arc<Machine>,
        plane: &Machine,
        cluster: &Path,
        assets: &Assets,
        authority: &Authority,
        server: &str,
    ) -> Result<Self> {
        let name = &spec.name;
        network::plug_in(spec, &machine, plane).await?;
        write_files(spec, &machine, cluster, authority, server)?;
        install_plugins(&machine, assets).await?;
        let inside = |file: &str| format!("{}/cluster/{name}/{file}", names::INSIDE);
        let service = |program: &str, flags: Vec<String>| {
            let argv = std::iter::once(assets.inside(program)).chain(flags).collect();
            Service::new(
                &format!("{program}-{name}"),
                Place::Machine(machine.clone()),
                &cluster.join("logs"),
                argv,
            )
        };
        let node = Self {
            name: name.clone(),
            address: spec.address(),
            daemon: App::daemon(name, &machine, spec.address(), &cluster.join("logs")),
            containerd: service(
                "containerd",
                vec![format!("--config={}", inside("containerd.toml"))],
            ),
            kubelet: service(
                "kubelet",
                vec![
                    format!("--config={}", inside("kubelet.json")),
                    format!("--kubeconfig={}", inside("kubelet.kubeconfig")),
                    format!("--hostname-override={name}"),
                    format!("--node-ip={}", spec.address()),
                ],
            ),
            machine,
        };
        node.share_namespaces().await?;
        node.write_network("90-default.conflist", &node_config::default_network(spec.index))?;
        node.containerd.start().await?;
        node.import_images(assets).await?;
        node.kubelet.start().await?;
        Ok(node)
    }

    /// Runs a program on the node to its end.
    pub async fn exec<S: AsRef<str>>(&self, argv: &[S]) -> Result<Ran> {
        self.machine.exec(argv).await
    }

    /// Writes a CNI configuration and waits until containerd has read it. containerd uses the file that comes first in the
    /// alphabet for all pods started from then on; the one that is there from the start is called `90-default.conflist`.
    pub async fn install_network(&self, file: &str, content: &str) -> Result<()> {
        self.write_network(file, content)?;
        self.wait_networks_read().await
    }

    /// Removes a CNI configuration, and waits until containerd has noticed. One that is not there is success.
    pub async fn remove_network(&self, file: &str) -> Result<()> {
        match fs::remove_file(self.machine.path(&format!("{NETWORKS}/{file}"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("could not remove {NETWORKS}/{file} on {}", self.name))
            }
            _ => self.wait_networks_read().await,
        }
    }

    /// Waits until containerd has acted on every change made to its folder of networks so far.
    ///
    /// It handles changes one after the other and says so before each: once it speaks of a change made after all others,
    /// it is done with the others.
    pub async fn wait_networks_read(&self) -> Result<()> {
        let name = format!("seen-{}", self.containerd.log_length());
        let mark = self.machine.path(&format!("{NETWORKS}/{name}"));
        let before = self.containerd.log_length();
        fs::write(&mark, "")?;
        wait::until(
            &format!("containerd on {} to read its networks", self.name),
            wait::USUAL,
            async || match self.containerd.must_be_running() {
                Err(error) => wait::done(Err(error)),
                Ok(()) if self.containerd.log_since(before).contains(&name) => wait::done(Ok(())),
                Ok(()) => wait::not_yet("no word of the last change in its log"),
            },
        )
        .await??;
        fs::remove_file(&mark)?;
        Ok(())
    }

    fn write_network(&self, file: &str, content: &str) -> Result<()> {
        let path = |name: &str| self.machine.path(&format!("{NETWORKS}/{name}"));
        let unfinished = path(&format!("{file}.new"));
        let write = || fs::write(&unfinished, content).and_then(|()| fs::rename(&unfinished, path(file)));
        write().with_context(|| format!("could not write {NETWORKS}/{file} on {}", self.name))
    }

    /// Waits until the API says that the node is Ready.
    pub async fn wait_ready(&self, client: &Client) -> Result<()> {
        self.wait_condition(client, "True").await.map(drop)
    }

    /// Waits until the API says that the node is not Ready, and returns the kubelet's message.
    pub async fn wait_not_ready(&self, client: &Client) -> Result<String> {
        self.wait_condition(client, "False").await
    }

    async fn wait_condition(&self, client: &Client, status: &str) -> Result<String> {
        let nodes: Api<ApiNode> = Api::all(client.clone());
        let what = format!("node {} to have Ready={status}", self.name);
        wait::until(&what, Duration::from_secs(90), async || {
            if let Err(error) = self
                .kubelet
                .must_be_running()
                .and_then(|()| self.containerd.must_be_running())
            {
                return wait::done(Err(error));
            }
            let node = match nodes.get_opt(&self.name).await {
                Ok(Some(node)) => node,
                Ok(None) => return wait::not_yet("no such Node object"),
                Err(error) => return wait::not_yet(error.to_string()),
            };
            let conditions = node
                .status
                .and_then(|status| status.conditions)
                .unwrap_or_default();
            let Some(ready) = conditions
                .into_iter()
                .find(|condition| condition.type_ == "Ready")
            else {
                return wait::not_yet("no Ready condition");
            };
            let message = ready.message.unwrap_or_default();
            if ready.status == status {
                wait::done(Ok(message))
            } else {
                wait::not_yet(format!("{}: {message}", ready.status))
            }
        })
        .await?
    }

    /// Makes the folder of network namespaces the shared mount that `ip netns add` makes of it at its first use. Then the
    /// namespaces of pods that are there already would be mounted a second time, and containerd could not remove them.
    async fn share_namespaces(&self) -> Result<()> {
        let script =
            "mkdir -p /run/netns; mount --bind /run/netns /run/netns; mount --make-shared /run/netns";
        self.exec(&["sh", "-ec", script]).await?.success()?;
        Ok(())
    }

    async fn import_images(&self, assets: &Assets) -> Result<()> {
        let archive = format!("{}/cluster/image.tar", names::INSIDE);
        let import = [
            &assets.inside("ctr"),
            "-n",
            "k8s.io",
            "images",
            "import",
            "--local",
            "--snapshotter=native",
            &archive,
        ];
        wait::until(
            &format!("containerd on {} to take the images", self.name),
            wait::USUAL,
            async || {
                if let Err(error) = self.containerd.must_be_running() {
                    return wait::done(Err(error));
                }
                wait::from_result(self.exec(&import).await.and_then(Ran::success).map(|_| Ok(())))
            },
        )
        .await?
    }
}

fn write_files(
    spec: &NodeSpec,
    machine: &Machine,
    cluster: &Path,
    authority: &Authority,
    server: &str,
) -> Result<()> {
    let name = &spec.name;
    let identity = authority.client(&format!("system:node:{name}"), Some("system:nodes"))?;
    let kubeconfig = machine.folder.join("kubelet.kubeconfig");
    kubeconfig::write(
        &kubeconfig,
        server,
        &authority.certificate_pem,
        &Credential::Certificate(&identity),
    )?;
    authority.write(
        &format!("kubelet-{name}"),
        &authority.server(&[name], &[spec.address()])?,
    )?;
    fs::create_dir_all(machine.path(node_config::STATIC_PODS))?;
    fs::write(machine.folder.join("containerd.toml"), node_config::containerd())?;
    fs::write(
        machine.folder.join("kubelet.json"),
        node_config::kubelet(name, &spec.cgroup)?,
    )?;
    fs::create_dir_all(cluster.join("logs"))?;
    Ok(())
}

async fn install_plugins(machine: &Machine, assets: &Assets) -> Result<()> {
    for plugin in PLUGINS {
        machine
            .exec(&["cp", &assets.inside(plugin), "/opt/cni/bin/"])
            .await?
            .success()?;
    }
    Ok(())
}

//! The machine with etcd, the API server, the controller manager and the scheduler, and the switch that nodes are plugged into.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use kube::{Client, Config, config::Kubeconfig};

use crate::app::App;
use crate::assets::Assets;
use crate::kubeconfig::{self, Credential};
use crate::machine::Machine;
use crate::names::{self, Subnet};
use crate::pki::Authority;
use crate::service::{Place, Service};
use crate::wait;

/// The services that together are a cluster without nodes.
pub struct ControlPlane {
    /// The machine that all of them run in.
    pub machine: Arc<Machine>,
    /// The store of the API server.
    pub etcd: Service,
    /// Tests stop and start it; see [`ControlPlane::start_api_server`].
    pub api_server: Service,
    /// Makes tokens, ServiceAccounts, garbage collection and node life cycle work.
    pub controller_manager: Service,
    /// Binds pods that are not pinned to a node.
    pub scheduler: Service,
    /// ipam-controller. Not started, see [`crate::bed`].
    pub controller: App,
    /// The administrator's kubeconfig, on the host.
    pub admin_kubeconfig: PathBuf,
    /// As the nodes reach it.
    pub server: String,
    client: Client,
}

impl ControlPlane {
    /// Starts everything and waits until the API server is ready.
    pub async fn start(
        machine: Arc<Machine>,
        cluster: &Path,
        assets: &Assets,
        authority: &Authority,
        subnet: Subnet,
    ) -> Result<Self> {
        let address = subnet.control_plane();
        let server = format!("https://{address}:6443");
        write_identities(cluster, authority, subnet, &server)?;
        let admin_kubeconfig = cluster.join("admin.kubeconfig");
        let service = |name: &str, flags: Vec<String>| {
            let argv = std::iter::once(assets.inside(name)).chain(flags).collect();
            Service::new(name, Place::Machine(machine.clone()), &cluster.join("logs"), argv)
        };
        let plane = Self {
            etcd: service("etcd", etcd_flags(&machine.name)),
            api_server: service("kube-apiserver", api_server_flags(&address.to_string())),
            controller_manager: service("kube-controller-manager", controller_manager_flags()),
            scheduler: service("kube-scheduler", scheduler_flags()),
            controller: App::controller(0, &machine, address, &cluster.join("logs")),
            client: client(&admin_kubeconfig).await?,
            admin_kubeconfig,
            server,
            machine,
        };
        plane.etcd.start().await?;
        plane.start_api_server().await?;
        plane.controller_manager.start().await?;
        plane.scheduler.start().await?;
        Ok(plane)
    }

    /// A client with all rights.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Starts the API server and waits until it is ready.
    pub async fn start_api_server(&self) -> Result<()> {
        self.api_server.start().await?;
        wait::until("the API server to be ready", wait::USUAL, async || {
            if let Err(error) = self
                .api_server
                .must_be_running()
                .and_then(|()| self.etcd.must_be_running())
            {
                return wait::done(Err(error));
            }
            let request = http_get("/readyz");
            match request {
                Ok(request) => match self.client.request_text(request).await {
                    Ok(_) => wait::done(Ok(())),
                    Err(error) => wait::not_yet(error.to_string()),
                },
                Err(error) => wait::done(Err(error)),
            }
        })
        .await?
    }

    /// Takes the API server away, as a power cut would. (A polite end waits a minute for the watches of the nodes.)
    pub async fn stop_api_server(&self) -> Result<()> {
        self.api_server.kill().await
    }

    /// Every service, for logs.
    #[must_use]
    pub fn services(&self) -> [&Service; 4] {
        [
            &self.etcd,
            &self.api_server,
            &self.controller_manager,
            &self.scheduler,
        ]
    }
}

fn http_get(path: &str) -> Result<http::Request<Vec<u8>>> {
    Ok(http::Request::get(path).body(Vec::new())?)
}

/// A client from a kubeconfig on the host. Requests that fail are not repeated, so that waits see what happens.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("could not read {}", kubeconfig.display()))?;
    let mut config =
        Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

fn write_identities(cluster: &Path, authority: &Authority, subnet: Subnet, server: &str) -> Result<()> {
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "localhost",
    ];
    let service_address = std::net::Ipv4Addr::new(10, 96, 0, 1);
    let addresses = [
        subnet.control_plane(),
        service_address,
        std::net::Ipv4Addr::LOCALHOST,
    ];
    authority.write("apiserver", &authority.server(&names, &addresses)?)?;
    authority.write(
        "apiserver-kubelet",
        &authority.client("kube-apiserver-kubelet-client", Some("system:masters"))?,
    )?;
    let users = [
        ("admin", "admin", Some("system:masters")),
        ("kube-controller-manager", "system:kube-controller-manager", None),
        ("kube-scheduler", "system:kube-scheduler", None),
    ];
    for (name, user, group) in users {
        let identity = authority.client(user, group)?;
        let path = cluster.join(format!("{name}.kubeconfig"));
        kubeconfig::write(
            &path,
            server,
            &authority.certificate_pem,
            &Credential::Certificate(&identity),
        )?;
    }
    fs::create_dir_all(cluster.join("logs"))?;
    Ok(())
}

fn inside(file: &str) -> String {
    format!("{}/cluster/{file}", names::INSIDE)
}

fn etcd_flags(machine: &str) -> Vec<String> {
    vec![
        format!("--data-dir={}", inside(&format!("{machine}/etcd"))),
        "--listen-client-urls=http://127.0.0.1:2379".to_owned(),
        "--advertise-client-urls=http://127.0.0.1:2379".to_owned(),
        "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
        // What a test cluster holds need not survive a power cut.
        "--unsafe-no-fsync".to_owned(),
    ]
}

fn api_server_flags(address: &str) -> Vec<String> {
    let pki = |name: &str| inside(&format!("pki/{name}"));
    vec![
        format!("--advertise-address={address}"),
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        // There is no kube-proxy: webhooks and aggregated APIs are reached by endpoint.
        "--enable-aggregator-routing=true".to_owned(),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!("--kubelet-certificate-authority={}", pki("ca.crt")),
        format!("--kubelet-client-certificate={}", pki("apiserver-kubelet.crt")),
        format!("--kubelet-client-key={}", pki("apiserver-kubelet.key")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", pki("sa.pub")),
        format!("--service-account-signing-key-file={}", pki("sa.key")),
    ]
}

fn controller_manager_flags() -> Vec<String> {
    vec![
        format!("--kubeconfig={}", inside("kube-controller-manager.kubeconfig")),
        format!("--root-ca-file={}", inside("pki/ca.crt")),
        format!("--service-account-private-key-file={}", inside("pki/sa.key")),
        "--use-service-account-credentials=true".to_owned(),
        "--leader-elect=false".to_owned(),
    ]
}

fn scheduler_flags() -> Vec<String> {
    vec![
        format!("--kubeconfig={}", inside("kube-scheduler.kubeconfig")),
        "--leader-elect=false".to_owned(),
    ]
}

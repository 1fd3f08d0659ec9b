//! Our two long-running programs as tests handle them: start, stop, kill, ask.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;

use crate::http_get;
use crate::machine::Machine;
use crate::metrics::Metrics;
use crate::names;
use crate::ours;
use crate::service::{Place, Service};
use crate::wait;

/// The file, in the cluster's folder and in the folder of each machine's own files, with the kubeconfig of our program there.
pub const KUBECONFIG: &str = "nv-ipam.kubeconfig";
/// The ServiceAccount of the controller, in config/operator.
pub const CONTROLLER_ACCOUNT: &str = "nv-ipam-controller";
/// The ServiceAccount of the daemon, in config/node.
pub const DAEMON_ACCOUNT: &str = "nv-ipam-node";
/// Folders that the daemon's manifest mounts from the host, which makes them where they are missing.
const DAEMON_FOLDERS: [&str; 3] = ["/opt/cni/bin", "/etc/cni/net.d/nv-ipam.d", "/var/lib/cni/nv-ipam"];

/// An ipam-controller or an ipam-node.
#[derive(Debug)]
pub struct App {
    /// The process: for signals, logs, other flags, or a start that waits for nothing.
    pub service: Service,
    /// Where it serves /metrics.
    pub metrics: SocketAddr,
    /// Where it serves /healthz and /readyz.
    pub probes: SocketAddr,
    /// The node, for a daemon that lives on one.
    node: Option<Arc<Machine>>,
}

impl App {
    /// The controller in the control plane's machine. `number` tells several apart: the first, 0, has the default ports.
    #[must_use]
    pub fn controller(
        number: u16,
        plane: &Arc<Machine>,
        address: std::net::Ipv4Addr,
        logs: &std::path::Path,
    ) -> Self {
        let (metrics, probes) = (8080 + 10 * number, 8081 + 10 * number);
        let cluster = format!("{}/cluster", names::INSIDE);
        let mut argv = controller_argv(
            &format!("{cluster}/{}", ours::FOLDER),
            &format!("{cluster}/{KUBECONFIG}"),
        );
        argv.push(format!("--metrics-bind-address=:{metrics}"));
        argv.push(format!("--health-probe-bind-address=:{probes}"));
        Self {
            service: Service::new(
                &controller_name(number),
                Place::Machine(plane.clone()),
                logs,
                argv,
            ),
            metrics: SocketAddr::new(address.into(), metrics),
            probes: SocketAddr::new(address.into(), probes),
            node: None,
        }
    }

    /// The controller on the host, beside the tests, for a cluster that is not ours. `folder` has the program and gets the log.
    #[must_use]
    pub fn controller_on_host(number: u16, folder: &std::path::Path) -> Self {
        let loopback = std::net::Ipv4Addr::LOCALHOST;
        let (metrics, probes) = (
            SocketAddr::new(loopback.into(), 18080 + 10 * number),
            SocketAddr::new(loopback.into(), 18081 + 10 * number),
        );
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let mut argv = controller_argv(&path(ours::FOLDER), &path(KUBECONFIG));
        argv.push(format!("--metrics-bind-address={metrics}"));
        argv.push(format!("--health-probe-bind-address={probes}"));
        Self {
            service: Service::new(&controller_name(number), Place::Host, folder, argv),
            metrics,
            probes,
            node: None,
        }
    }

    /// The daemon of a node, with the flags of its manifest.
    #[must_use]
    pub fn daemon(
        node: &str,
        machine: &Arc<Machine>,
        address: std::net::Ipv4Addr,
        logs: &std::path::Path,
    ) -> Self {
        let cluster = format!("{}/cluster", names::INSIDE);
        let argv = vec![
            format!("{cluster}/{}/ipam-node", ours::FOLDER),
            format!("--node-name={node}"),
            format!("--kubeconfig={cluster}/{node}/{KUBECONFIG}"),
            format!("--cni-nv-ipam-bin-file={cluster}/{}/nv-ipam", ours::FOLDER),
        ];
        Self {
            service: Service::new(
                &format!("ipam-node-{node}"),
                Place::Machine(machine.clone()),
                logs,
                argv,
            ),
            metrics: SocketAddr::new(address.into(), 8080),
            probes: SocketAddr::new(address.into(), 8081),
            node: Some(machine.clone()),
        }
    }

    /// Starts it and waits until /readyz says yes. To start it without waiting, make the folders with
    /// [`App::make_folders`] and use [`Service::start`].
    pub async fn start(&self) -> Result<()> {
        self.make_folders().await?;
        self.service.start().await?;
        self.wait_ready().await
    }

    /// Makes the folders that a daemon finds on its node.
    pub async fn make_folders(&self) -> Result<()> {
        if let Some(machine) = &self.node {
            let argv: Vec<_> = ["mkdir", "-p"].into_iter().chain(DAEMON_FOLDERS).collect();
            machine.exec(&argv).await?.success()?;
        }
        Ok(())
    }

    /// Waits until /readyz answers 200. A process that ends meanwhile is an error at once, with the end of its log.
    pub async fn wait_ready(&self) -> Result<()> {
        wait::until(
            &format!("{} to be ready", self.service.name),
            wait::USUAL,
            async || {
                if let Err(error) = self.service.must_be_running() {
                    return wait::done(Err(error));
                }
                match http_get::get(self.probes, "/readyz").await {
                    Ok((200, _)) => wait::done(Ok(())),
                    Ok((code, body)) => wait::not_yet(format!("/readyz: {code} {}", body.trim())),
                    Err(error) => wait::not_yet(format!("{error:#}")),
                }
            },
        )
        .await?
    }

    /// Waits until a daemon knows its node's block of the pool, so that it can give addresses of it. Ready means only that
    /// it has read the pools: a block dealt just before may come a moment later.
    pub async fn wait_block(&self, pool: &str) -> Result<()> {
        let what = format!("{} to know its block of {pool}", self.service.name);
        let free = [("pool", pool), ("state", "free")];
        wait::until(&what, wait::USUAL, async || {
            let metrics = self.scrape().await;
            wait::from_result(metrics.and_then(|metrics| metrics.value("nv_ipam_addresses", &free)))
        })
        .await?;
        Ok(())
    }

    /// SIGTERM, and waits for the end. See [`Service::stop`].
    pub async fn stop(&self) -> Result<std::process::ExitStatus> {
        self.service.stop().await
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(&self) -> Result<()> {
        self.service.kill().await
    }

    /// Reads /metrics.
    pub async fn scrape(&self) -> Result<Metrics> {
        Metrics::scrape(self.metrics).await
    }
}

fn controller_name(number: u16) -> String {
    if number == 0 {
        "ipam-controller".to_owned()
    } else {
        format!("ipam-controller-{number}")
    }
}

fn controller_argv(folder: &str, kubeconfig: &str) -> Vec<String> {
    vec![
        format!("{folder}/ipam-controller"),
        format!("--kubeconfig={kubeconfig}"),
        "--leader-elect=true".to_owned(),
    ]
}

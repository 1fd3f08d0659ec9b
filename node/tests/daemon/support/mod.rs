//! A node to test on: a disk, the daemon in this process, and what the plugin would say to it.

pub(crate) mod api_server;
pub(crate) mod endpoints;
mod pools;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use node::bind_address::BindAddress;
use node::cleaner::Pace;
use node::config::Config;
use node::daemon;
use process::Fatal;
use process::shutdown::Shutdown;
use rpc::journal::Stamp;
use rpc::v1::ipam_service_client::IpamServiceClient;
use rpc::v1::{
    AllocateRequest, Attachment, CollectGarbageRequest, DeallocateRequest, IpamMetadata, IpamParameters,
    IsAllocatedRequest, PoolType, StatusRequest,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use api_server::ApiServer;

/// Nothing here takes longer, but on a machine that is very busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// This node's name.
pub(crate) const NODE: &str = "host-a";

/// The pool that everything happens in unless said otherwise.
const POOL: &str = "pool1";

/// A node's disk, on which daemons run one after the other.
pub(crate) struct Node {
    root: TempDir,
}

/// A daemon that runs.
pub(crate) struct Daemon {
    shutdown: Shutdown,
    task: JoinHandle<Result<(), Fatal>>,
    client: IpamServiceClient<Channel>,
}

/// An interface of a container, and the pod that it is of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interface {
    pub(crate) container: &'static str,
    pub(crate) pod: &'static str,
    pub(crate) uid: &'static str,
}

impl Interface {
    pub(crate) fn parameters(self, pool: &str) -> IpamParameters {
        IpamParameters {
            pools: vec![pool.to_owned()],
            cni_containerid: self.container.to_owned(),
            cni_ifname: "net1".to_owned(),
            metadata: Some(IpamMetadata {
                k8s_pod_name: self.pod.to_owned(),
                k8s_pod_namespace: "default".to_owned(),
                k8s_pod_uid: self.uid.to_owned(),
                device_id: String::new(),
            }),
            ..IpamParameters::default()
        }
    }
}

impl Node {
    pub(crate) fn new(api_server: &ApiServer) -> Self {
        Self::new_in(&std::env::temp_dir(), api_server)
    }

    /// The same with everything below `disk`.
    pub(crate) fn new_in(disk: &Path, api_server: &ApiServer) -> Self {
        let root = tempfile::tempdir_in(disk).unwrap();
        fs::write(root.path().join("kubeconfig"), api_server.kubeconfig()).unwrap();
        Self { root }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            node_name: NODE.to_owned(),
            pools_namespace: "kube-system".to_owned(),
            bind_address: BindAddress::Unix(self.path("sock")),
            store_file: self.path("store"),
            binary: None,
            conf: None,
            kubeconfig: Some(self.path("kubeconfig")),
            metrics_address: "0".to_owned(),
            probe_address: "0".to_owned(),
            cleaner_pace: Pace {
                interval: Duration::from_millis(20),
                ..Pace::default()
            },
            health_interval: Duration::from_millis(20),
        }
    }

    /// Waits until it is recorded that the interface's pod was seen in the API.
    pub(crate) async fn seen(&self, interface: Interface) {
        let store = rusqlite::Connection::open(self.path("store")).unwrap();
        let query = "SELECT 1 FROM reservations WHERE container = ? AND pod_seen";
        within("the pod is recorded as seen", async || {
            store.query_row(query, [interface.container], |_| Ok(())).ok()
        })
        .await;
        store.close().unwrap();
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) async fn start(&self) -> Daemon {
        self.start_with(self.config()).await
    }

    /// The same with another configuration, whose socket is this node's.
    pub(crate) async fn start_with(&self, config: Config) -> Daemon {
        process::kubernetes::install_crypto_provider();
        let shutdown = Shutdown::new();
        let task = tokio::spawn(daemon::run(config, shutdown.clone()));
        let url = format!("unix://{}", self.path("sock").display());
        let client = within("the daemon answers", async || {
            assert!(!task.is_finished(), "the daemon ended");
            Endpoint::from_shared(url.clone()).unwrap().connect().await.ok()
        });
        let client = IpamServiceClient::new(client.await);
        Daemon {
            shutdown,
            task,
            client,
        }
    }
}

impl Daemon {
    /// ADD in [`POOL`]: the address.
    pub(crate) async fn add(&self, interface: Interface) -> Result<String, Status> {
        self.add_from(POOL, interface).await
    }

    /// ADD: the address.
    pub(crate) async fn add_from(&self, pool: &str, interface: Interface) -> Result<String, Status> {
        self.add_as(interface.parameters(pool)).await
    }

    /// ADD in a CIDRPool: the address.
    pub(crate) async fn add_from_cidr(&self, pool: &str, interface: Interface) -> Result<String, Status> {
        let mut parameters = interface.parameters(pool);
        parameters.set_pool_type(PoolType::Cidrpool);
        self.add_as(parameters).await
    }

    /// ADD of these parameters: the first address.
    pub(crate) async fn add_as(&self, parameters: IpamParameters) -> Result<String, Status> {
        let request = AllocateRequest {
            parameters: Some(parameters),
        };
        let answer = self.client.clone().allocate(request).await?.into_inner();
        Ok(answer.allocations[0].ip.clone())
    }

    /// ADD in [`POOL`] by this network, of a plugin that says so.
    pub(crate) async fn add_by(&self, network: &str, interface: Interface) -> Result<String, Status> {
        let request = AllocateRequest {
            parameters: Some(IpamParameters {
                network_name: network.to_owned(),
                ..interface.parameters(POOL)
            }),
        };
        let answer = self.client.clone().allocate(request).await?.into_inner();
        Ok(answer.allocations[0].ip.clone())
    }

    /// GC of this network, by a plugin that began at `began`: how many addresses it released.
    pub(crate) async fn gc(&self, network: &str, live: &[Interface], began: Stamp) -> Result<u32, Status> {
        let attachment = |interface: &Interface| Attachment {
            cni_containerid: interface.container.to_owned(),
            cni_ifname: "net1".to_owned(),
        };
        let request = CollectGarbageRequest {
            network_name: network.to_owned(),
            live: live.iter().map(attachment).collect(),
            began: Some(began),
        };
        let answer = self.client.clone().collect_garbage(request).await?;
        Ok(answer.into_inner().released)
    }

    /// DEL in [`POOL`].
    pub(crate) async fn del(&self, interface: Interface) {
        self.del_as(interface.parameters(POOL)).await;
    }

    /// DEL in a CIDRPool.
    pub(crate) async fn del_from_cidr(&self, pool: &str, interface: Interface) {
        let mut parameters = interface.parameters(pool);
        parameters.set_pool_type(PoolType::Cidrpool);
        self.del_as(parameters).await;
    }

    async fn del_as(&self, parameters: IpamParameters) {
        let request = DeallocateRequest {
            parameters: Some(parameters),
        };
        self.client.clone().deallocate(request).await.unwrap();
    }

    /// CHECK: whether the interface has an address.
    pub(crate) async fn has(&self, interface: Interface) -> bool {
        let request = IsAllocatedRequest {
            parameters: Some(interface.parameters(POOL)),
        };
        match self.client.clone().is_allocated(request).await {
            Ok(_) => true,
            Err(status) if status.code() == Code::NotFound => false,
            Err(status) => panic!("{status}"),
        }
    }

    /// STATUS.
    pub(crate) async fn status(&self) -> Result<(), Status> {
        self.client.clone().status(StatusRequest {}).await.map(drop)
    }

    /// ADD, as soon as the pool is known.
    pub(crate) async fn add_when_known(&self, interface: Interface) -> String {
        within("the pool is known", async || match self.add(interface).await {
            Ok(address) => Some(address),
            Err(status) if matches!(status.code(), Code::Unavailable | Code::NotFound) => None,
            Err(status) => panic!("{status}"),
        })
        .await
    }

    /// Waits until CHECK says that the interface has no address any more.
    pub(crate) async fn released(&self, interface: Interface) {
        within("the address is released", async || {
            (!self.has(interface).await).then_some(())
        })
        .await;
    }

    /// SIGTERM.
    pub(crate) async fn stop(self) {
        self.shutdown.request();
        self.end().await.unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn end(self) -> Result<(), Fatal> {
        timeout(PATIENCE, self.task).await.unwrap().unwrap()
    }
}

/// Waits for what `condition` comes to give.
pub(crate) async fn within<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(result) = condition().await {
            return result;
        }
        assert!(Instant::now() < end, "in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

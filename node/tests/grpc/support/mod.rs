//! A served daemon's core, and what plugins ask of it.

mod standing;

use std::path::Path;
use std::time::Duration;

use api::node_pool::NodePool;
use api::pool_key::{PoolKey, PoolKind};
use axum::http::{Request, Response};
use kube::client::Body;
use node::bind_address::BindAddress;
use node::cleaner::inquiry::Inquiry;
use node::clock::{BootClock, Clock};
use node::journal::Journal;
use node::metrics::Metrics;
use node::service::{self, Listener, ServeError, Service};
use node::store::{Store, StoreLock};
use node::table::{Knowledge, Table};
use node::watch::pods::PodWatch;
use node::writer::{self, Ended, Parts, Writer};
use prometheus::Registry;
use rpc::v1::ipam_service_client::IpamServiceClient;
use rpc::v1::{
    AllocateRequest, AllocationInfo, CollectGarbageRequest, DeallocateRequest, IpamMetadata, IpamParameters,
    IsAllocatedRequest, StatusRequest,
};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

pub(crate) use standing::{serve_standing, serve_standing_within};

/// A core that serves on its own store. Its API server can't be reached.
pub(crate) struct Served {
    pub(crate) folder: TempDir,
    pub(crate) url: String,
    pub(crate) writer: Writer,
    pub(crate) ended: Ended,
    pub(crate) metrics: Metrics,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) service: JoinHandle<Result<(), ServeError>>,
    pub(crate) client: IpamServiceClient<Channel>,
}

/// On a unix socket, with these pools.
pub(crate) async fn serve_with(clock: impl Clock, table: Vec<NodePool>) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let address = BindAddress::Unix(socket_in(folder.path()));
    let served = serve_at(folder, address, clock).await;
    served
        .writer
        .set_table(Table::of(table, Knowledge::Synced))
        .await
        .unwrap();
    served
}

/// With an IPPool `v4` and, behind a gateway, an IPPool `v6`.
pub(crate) async fn serve() -> Served {
    serve_with(BootClock::new().unwrap(), vec![v4(), v6()]).await
}

/// Before it knows any pools. Told to stop, it waits for what runs, for ever.
pub(crate) async fn serve_at(folder: TempDir, address: BindAddress, clock: impl Clock) -> Served {
    serve_within(Duration::MAX, folder, address, clock).await
}

/// Told to stop, it waits for what runs for as long as `grace`.
async fn serve_within(grace: Duration, folder: TempDir, address: BindAddress, clock: impl Clock) -> Served {
    let lock = StoreLock::take(&folder.path().join("store")).unwrap();
    let listener = Listener::bind(&address, &lock).unwrap();
    let (store, ledger) = Store::open(lock).unwrap();
    let metrics = Metrics::register(&Registry::new()).unwrap();
    let journal = Some(Journal::open(folder.path()).unwrap());
    let (writer, ended) = writer::spawn(Parts {
        store,
        ledger,
        journal,
        metrics: metrics.clone(),
        clock,
    })
    .unwrap();
    let (ready, is_ready) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let parts = Service {
        writer: writer.clone(),
        metrics: metrics.clone(),
        pods: unreachable_pods(&writer),
        grace,
    };
    let service = tokio::spawn(service::serve(
        listener,
        parts,
        move || ready.send(()).unwrap(),
        async { drop(stopped.await) },
    ));
    is_ready.await.unwrap();
    let url = match address {
        BindAddress::Unix(socket) => format!("unix://{}", socket.display()),
        BindAddress::Tcp(address) => format!("http://{address}"),
    };
    let client = connect(&url).await;
    Served {
        folder,
        url,
        writer,
        ended,
        metrics,
        stop,
        service,
        client,
    }
}

fn unreachable_pods(writer: &Writer) -> Inquiry {
    let refuse = |_: Request<Body>| {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        std::future::ready(Err::<Response<Body>, _>(refused))
    };
    let client = kube::Client::new(tower::service_fn(refuse), "default");
    // The watch never runs.
    let (_, pods) = PodWatch::new(client.clone(), "host-a".to_owned(), writer.clone());
    Inquiry { client, pods }
}

pub(crate) fn socket_in(folder: &Path) -> std::path::PathBuf {
    folder.join("daemon.sock")
}

/// A connection of its own.
pub(crate) async fn connect(url: &str) -> IpamServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    IpamServiceClient::new(endpoint.connect().await.unwrap())
}

/// An IPPool of four addresses without a gateway.
pub(crate) fn v4() -> NodePool {
    pool(
        PoolKind::IpPool,
        "v4",
        "192.168.0.0/16",
        ("192.168.0.1", "192.168.0.4"),
    )
}

/// An IPPool behind a gateway, which is its first address.
pub(crate) fn v6() -> NodePool {
    NodePool {
        gateway: "fd52:2eb5:44::1".parse().ok(),
        default_gateway: true,
        routes: vec!["fd00:1::/64".parse().unwrap()],
        ..pool(
            PoolKind::IpPool,
            "v6",
            "fd52:2eb5:44::/48",
            ("fd52:2eb5:44::1", "fd52:2eb5:44::1f4"),
        )
    }
}

pub(crate) fn pool(kind: PoolKind, name: &str, subnet: &str, (first, last): (&str, &str)) -> NodePool {
    NodePool {
        key: PoolKey::new(kind, name),
        uid: name.to_owned(),
        subnet: subnet.parse().unwrap(),
        range: api::range::Range::new(first.parse().unwrap(), last.parse().unwrap()).unwrap(),
        gateway: None,
        exclusions: Vec::new(),
        default_gateway: false,
        routes: Vec::new(),
    }
}

/// Of a pod `default/web`, by the network `mynet`.
pub(crate) fn parameters(container: &str, pools: &[&str]) -> IpamParameters {
    IpamParameters {
        pools: pools.iter().map(ToString::to_string).collect(),
        cni_containerid: container.to_owned(),
        cni_ifname: "net1".to_owned(),
        metadata: Some(IpamMetadata {
            k8s_pod_name: "web".to_owned(),
            k8s_pod_namespace: "default".to_owned(),
            ..IpamMetadata::default()
        }),
        network_name: "mynet".to_owned(),
        ..IpamParameters::default()
    }
}

pub(crate) fn with_ips(container: &str, pools: &[&str], ips: &[&str]) -> IpamParameters {
    IpamParameters {
        requested_ips: ips.iter().map(ToString::to_string).collect(),
        ..parameters(container, pools)
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

impl Served {
    /// How many calls of `method` were answered with `code`.
    pub(crate) fn answered(&self, method: &str, code: &str) -> u64 {
        self.metrics.requests.with_label_values(&[method, code]).get()
    }

    pub(crate) async fn allocate(&self, parameters: IpamParameters) -> Result<Vec<AllocationInfo>, Status> {
        let request = AllocateRequest {
            parameters: Some(parameters),
        };
        Ok(self
            .client
            .clone()
            .allocate(request)
            .await?
            .into_inner()
            .allocations)
    }

    pub(crate) async fn add(&self, container: &str, pools: &[&str]) -> Result<Vec<String>, Status> {
        let allocations = self.allocate(parameters(container, pools)).await?;
        Ok(allocations.into_iter().map(|allocation| allocation.ip).collect())
    }

    pub(crate) async fn check(&self, parameters: IpamParameters) -> Result<(), Status> {
        let request = IsAllocatedRequest {
            parameters: Some(parameters),
        };
        self.client.clone().is_allocated(request).await.map(drop)
    }

    pub(crate) async fn del(&self, parameters: IpamParameters) -> Result<(), Status> {
        let request = DeallocateRequest {
            parameters: Some(parameters),
        };
        self.client.clone().deallocate(request).await.map(drop)
    }

    pub(crate) async fn gc(&self, request: CollectGarbageRequest) -> Result<u32, Status> {
        Ok(self
            .client
            .clone()
            .collect_garbage(request)
            .await?
            .into_inner()
            .released)
    }

    /// A cache says that this node has no pools.
    pub(crate) async fn lose_pools(&self) {
        let nothing = Table::of([], Knowledge::Synced);
        self.writer.set_table(nothing).await.unwrap();
    }

    pub(crate) async fn status(&self) -> Result<(), Status> {
        self.client.clone().status(StatusRequest {}).await.map(drop)
    }
}

pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.unwrap_err();
    (status.code(), status.message().to_owned())
}

pub(crate) fn refused(code: Code, message: &str) -> (Code, String) {
    (code, message.to_owned())
}

//! The service over a real socket, on a real store: what a plugin sees.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use api::node_pool::NodePool;
use api::pool_key::{PoolKey, PoolKind};
use node::bind_address::BindAddress;
use node::clock::{BootClock, Clock};
use node::journal::Journal;
use node::metrics::Metrics;
use node::service::{self, Listener, ServeError};
use node::store::{Store, StoreLock};
use node::writer::{self, Ended, Parts, Writer};
use prometheus::Registry;
use rpc::journal::Stamp;
use rpc::v1::ipam_service_client::IpamServiceClient;
use rpc::v1::{
    AllocateRequest, AllocationInfo, DeallocateRequest, IpamFeatures, IpamMetadata, IpamParameters,
    IsAllocatedRequest, PoolType, StatusRequest,
};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

struct Served {
    folder: TempDir,
    writer: Writer,
    ended: Ended,
    metrics: Metrics,
    stop: oneshot::Sender<()>,
    service: JoinHandle<Result<(), ServeError>>,
    client: IpamServiceClient<Channel>,
}

async fn serve_with(clock: impl Clock) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let lock = StoreLock::take(&folder.path().join("store")).unwrap();
    let socket = folder.path().join("daemon.sock");
    let listener = Listener::bind(&BindAddress::Unix(socket.clone()), &lock).unwrap();
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
    let service = tokio::spawn(service::serve(
        listener,
        writer.clone(),
        metrics.clone(),
        move || ready.send(()).unwrap(),
        async { drop(stopped.await) },
    ));
    is_ready.await.unwrap();
    let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display())).unwrap();
    let client = IpamServiceClient::new(endpoint.connect().await.unwrap());
    Served {
        folder,
        writer,
        ended,
        metrics,
        stop,
        service,
        client,
    }
}

/// With an IPPool `v4` and, behind a gateway, an IPPool `v6`.
async fn serve() -> Served {
    let served = serve_with(BootClock::new().unwrap()).await;
    let v4 = pool(
        PoolKind::IpPool,
        "v4",
        "192.168.0.0/16",
        ("192.168.0.1", "192.168.0.4"),
    );
    let mut v6 = pool(
        PoolKind::IpPool,
        "v6",
        "fd52:2eb5:44::/48",
        ("fd52:2eb5:44::1", "fd52:2eb5:44::1f4"),
    );
    v6.gateway = "fd52:2eb5:44::1".parse().ok();
    v6.default_gateway = true;
    v6.routes = vec!["fd00:1::/64".parse().unwrap()];
    served.writer.set_table(vec![v4, v6]).await.unwrap();
    served
}

fn pool(kind: PoolKind, name: &str, subnet: &str, (first, last): (&str, &str)) -> NodePool {
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

fn parameters(container: &str, pools: &[&str]) -> IpamParameters {
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

impl Served {
    fn socket(&self) -> PathBuf {
        self.folder.path().join("daemon.sock")
    }

    async fn allocate(&self, parameters: IpamParameters) -> Result<Vec<AllocationInfo>, Status> {
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

    async fn add(&self, container: &str, pools: &[&str]) -> Result<Vec<String>, Status> {
        let allocations = self.allocate(parameters(container, pools)).await?;
        Ok(allocations.into_iter().map(|allocation| allocation.ip).collect())
    }

    async fn check(&self, container: &str, pools: &[&str]) -> Result<(), Status> {
        let request = IsAllocatedRequest {
            parameters: Some(parameters(container, pools)),
        };
        self.client.clone().is_allocated(request).await.map(drop)
    }

    async fn del(&self, parameters: IpamParameters) -> Result<(), Status> {
        let request = DeallocateRequest {
            parameters: Some(parameters),
        };
        self.client.clone().deallocate(request).await.map(drop)
    }

    async fn status(&self) -> Result<(), Status> {
        self.client.clone().status(StatusRequest {}).await.map(drop)
    }
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.unwrap_err();
    (status.code(), status.message().to_owned())
}

fn refused(code: Code, message: &str) -> (Code, String) {
    (code, message.to_owned())
}

#[tokio::test]
async fn an_address_comes_with_prefix_gateway_and_routes() {
    let served = serve().await;
    let allocations = served.allocate(parameters("a", &["v6", "v4"])).await.unwrap();
    let v6 = &allocations[0];
    assert_eq!(
        (&*v6.pool, &*v6.ip, &*v6.gateway),
        ("v6", "fd52:2eb5:44::2/48", "fd52:2eb5:44::1")
    );
    assert_eq!(
        v6.routes.iter().map(|r| &*r.dest).collect::<Vec<_>>(),
        ["::/0", "fd00:1::/64"]
    );
    assert_eq!(v6.pool_type(), PoolType::Ippool);
    let v4 = &allocations[1];
    assert_eq!((&*v4.pool, &*v4.ip, &*v4.gateway), ("v4", "192.168.0.1/16", ""));
    assert!(v4.routes.is_empty());
}

#[tokio::test]
async fn an_address_is_given_checked_and_released() {
    let served = serve().await;
    assert_eq!(served.add("a", &["v4"]).await.unwrap(), ["192.168.0.1/16"]);
    served.check("a", &["v4"]).await.unwrap();
    let bare = IpamParameters {
        metadata: None,
        ..parameters("a", &["v4"])
    };
    served.del(bare.clone()).await.unwrap();
    assert_eq!(
        refusal(served.check("a", &["v4"]).await),
        refused(
            Code::NotFound,
            r#"reservation for pool "v4", poolType "ippool" not found"#
        )
    );
    served.del(bare).await.expect("releasing nothing succeeds");
    served.del(parameters("a", &["unknown"])).await.unwrap();
    assert_eq!(
        served.add("b", &["v4"]).await.unwrap(),
        ["192.168.0.2/16"],
        "the next one, not the freed one"
    );
}

#[tokio::test]
async fn a_del_follows_its_network_into_a_pool_it_does_not_name_any_more() {
    let served = serve().await;
    served.add("a", &["v4"]).await.unwrap();
    let other = IpamParameters {
        network_name: "other".to_owned(),
        ..parameters("a", &["v6"])
    };
    served.del(other).await.unwrap();
    served
        .del(IpamParameters {
            network_name: String::new(),
            ..parameters("a", &["v6"])
        })
        .await
        .unwrap();
    served.check("a", &["v4"]).await.unwrap();
    served.del(parameters("a", &["v6"])).await.unwrap();
    assert!(served.check("a", &["v4"]).await.is_err());
}

#[tokio::test]
async fn refusals_have_the_codes_and_words_of_the_go_daemon() {
    let served = serve().await;
    assert_eq!(
        refusal(served.add("a", &["nope"]).await),
        refused(
            Code::NotFound,
            r#"configuration for pool "nope", poolType "ippool" not found"#
        )
    );
    let mut cidr = parameters("a", &["v4"]);
    cidr.set_pool_type(PoolType::Cidrpool);
    assert_eq!(
        refusal(served.allocate(cidr).await),
        refused(
            Code::NotFound,
            r#"configuration for pool "v4", poolType "cidrpool" not found"#
        )
    );
    served.add("a", &["v4"]).await.unwrap();
    assert_eq!(
        refusal(served.add("a", &["v4"]).await),
        refused(
            Code::AlreadyExists,
            r#"allocation already exist in the pool "v4", poolType "ippool""#
        )
    );
    for container in ["b", "c", "d"] {
        served.add(container, &["v4"]).await.unwrap();
    }
    assert_eq!(
        refusal(served.add("e", &["v4"]).await),
        refused(
            Code::ResourceExhausted,
            r#"no free addresses in the pool "v4", poolType "ippool""#
        )
    );
    let (code, message) = refusal(served.allocate(parameters("", &["v4"])).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("cni_containerid"), "{message}");
}

#[tokio::test]
async fn wishes_are_fulfilled_or_refused_in_the_words_of_the_go_daemon() {
    let served = serve().await;
    let with_ip = |container: &str, ip: &str| IpamParameters {
        requested_ips: vec![ip.to_owned()],
        ..parameters(container, &["v4"])
    };
    assert_eq!(
        served.allocate(with_ip("a", "192.168.0.3")).await.unwrap()[0].ip,
        "192.168.0.3/16"
    );
    assert_eq!(
        refusal(served.allocate(with_ip("b", "192.168.0.3")).await),
        refused(
            Code::ResourceExhausted,
            r#"requested IP is already reserved in the pool "v4", poolType "ippool""#
        )
    );
    let (code, message) = refusal(served.allocate(with_ip("b", "192.168.7.7")).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(
        message.contains("outside of this node's range 192.168.0.1-192.168.0.4"),
        "{message}"
    );
    assert_eq!(
        refusal(served.allocate(with_ip("b", "10.0.0.1")).await),
        refused(
            Code::InvalidArgument,
            "not all requested static IPs can be allocated from the ranges available on the node, ip 10.0.0.1 has no \
             matching Pool"
        )
    );
    let with_features = |container: &str, pool: &str, gateway: bool, index: Option<i32>| IpamParameters {
        features: Some(IpamFeatures {
            allocate_default_gateway: gateway,
            allocate_ip_with_index: index,
        }),
        ..parameters(container, &[pool])
    };
    assert_eq!(
        refusal(served.allocate(with_features("b", "v4", true, None)).await),
        refused(
            Code::InvalidArgument,
            r#"pool without gateway can't be used with allocate_default_gateway feature,pool "v4", poolType "ippool""#
        )
    );
    let gateway = &served
        .allocate(with_features("b", "v6", true, None))
        .await
        .unwrap()[0];
    assert_eq!((&*gateway.ip, &*gateway.gateway), ("fd52:2eb5:44::1/48", ""));
    assert!(gateway.routes.is_empty());
    assert_eq!(
        served
            .allocate(with_features("c", "v6", false, Some(4)))
            .await
            .unwrap()[0]
            .ip,
        "fd52:2eb5:44::5/48"
    );
    assert_eq!(
        refusal(served.allocate(with_features("d", "v6", false, Some(0))).await),
        refused(
            Code::InvalidArgument,
            r#"requested IP index "0" is the actual gateway, use allocate_default_gateway feature instead"#
        )
    );
    for index in [500, -1] {
        assert_eq!(
            refusal(
                served
                    .allocate(with_features("d", "v6", false, Some(index)))
                    .await
            ),
            refused(
                Code::InvalidArgument,
                &format!(r#"requested IP index "{index}" is outside of the given chunk"#)
            )
        );
    }
    // None of them moved the place from which the next one is looked for.
    assert_eq!(served.add("e", &["v6"]).await.unwrap(), ["fd52:2eb5:44::2/48"]);
}

#[tokio::test]
async fn before_there_are_pools_the_daemon_is_unavailable() {
    let served = serve_with(BootClock::new().unwrap()).await;
    let (add, _) = refusal(served.add("a", &["v4"]).await);
    let (status, reason) = refusal(served.status().await);
    assert_eq!((add, status), (Code::Unavailable, Code::Unavailable));
    assert!(reason.contains("API server"), "{reason}");
    served.del(parameters("a", &["v4"])).await.unwrap();
    served.writer.set_table(Vec::new()).await.unwrap();
    served.status().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_in_parallel_share_commits_and_never_an_address() {
    let served = serve().await;
    let adds = (0..64).map(|n| {
        let mut client = served.client.clone();
        let request = AllocateRequest {
            parameters: Some(parameters(&format!("c{n}"), &["v6"])),
        };
        async move { client.allocate(request).await }
    });
    let before = served.metrics.batch_size.get_sample_count();
    let answers = futures::future::join_all(adds).await;
    let mut ips: Vec<_> = answers
        .into_iter()
        .map(|a| a.unwrap().into_inner().allocations[0].ip.clone())
        .collect();
    ips.sort();
    ips.dedup();
    assert_eq!(ips.len(), 64);
    let commits = served.metrics.batch_size.get_sample_count() - before;
    assert!(commits < 64, "{commits} commits for 64 requests");
    assert_eq!(
        served
            .metrics
            .requests
            .with_label_values(&["Allocate", "OK"])
            .get(),
        64
    );
}

/// A clock at which the writer stands, once it is told to, until it is let go.
struct Gate {
    clock: BootClock,
    hold: Receiver<(Sender<()>, Receiver<()>)>,
}

impl Clock for Gate {
    fn stamp(&self) -> Stamp {
        let stamp = self.clock.stamp();
        if let Ok((standing, go)) = self.hold.try_recv() {
            standing.send(()).unwrap();
            // An error lets it go as well.
            let _ = go.recv();
        }
        stamp
    }

    fn boot_id(&self) -> &str {
        self.clock.boot_id()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_gave_up_gets_nothing_reserved() {
    let (hold, told) = channel();
    let served = serve_with(Gate {
        clock: BootClock::new().unwrap(),
        hold: told,
    })
    .await;
    let table = vec![pool(
        PoolKind::IpPool,
        "v4",
        "192.168.0.0/16",
        ("192.168.0.1", "192.168.0.4"),
    )];
    served.writer.set_table(table).await.unwrap();
    let (standing, stands) = channel();
    let (go, wait) = channel();
    hold.send((standing, wait)).unwrap();
    stands.recv().unwrap();
    // The daemon is slow, not dead: it has accepted the request, and the caller's patience ends.
    let mut request = Request::new(AllocateRequest {
        parameters: Some(parameters("late", &["v4"])),
    });
    request.set_timeout(Duration::from_millis(100));
    let status = served.client.clone().allocate(request).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{status}"
    );
    // Another caller dies: its connection closes, and it never said how long it would wait.
    let endpoint = Endpoint::from_shared(format!("unix://{}", served.socket().display())).unwrap();
    let mut dying = IpamServiceClient::new(endpoint.connect().await.unwrap());
    let request = AllocateRequest {
        parameters: Some(parameters("dead", &["v4"])),
    };
    let call = dying.allocate(request);
    tokio::time::timeout(Duration::from_millis(100), call)
        .await
        .expect_err("the writer stands");
    drop(dying);
    go.send(()).unwrap();
    assert_eq!(served.writer.reservations().await.unwrap(), []);
    assert_eq!(served.add("patient", &["v4"]).await.unwrap(), ["192.168.0.1/16"]);
}

#[tokio::test]
async fn a_stopped_daemon_finishes_what_runs_and_leaves_no_socket() {
    let mut served = serve().await;
    served.add("a", &["v4"]).await.unwrap();
    let socket = served.socket();
    let start = Instant::now();
    served.stop.send(()).unwrap();
    served.service.await.unwrap().unwrap();
    served.writer.stop().await;
    served.ended.wait().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(UnixStream::connect(&socket).is_err() && !socket.exists());
    // Its log has been moved into it.
    assert!(!served.folder.path().join("store-wal").exists());
    StoreLock::take(&served.folder.path().join("store")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_daemon_is_away_for_all_but_those_it_serves() {
    let (hold, told) = channel();
    let served = serve_with(Gate {
        clock: BootClock::new().unwrap(),
        hold: told,
    })
    .await;
    let table = vec![pool(
        PoolKind::IpPool,
        "v4",
        "192.168.0.0/16",
        ("192.168.0.1", "192.168.0.4"),
    )];
    served.writer.set_table(table).await.unwrap();
    let (standing, stands) = channel();
    let (go, wait) = channel();
    hold.send((standing, wait)).unwrap();
    stands.recv().unwrap();
    let mut client = served.client.clone();
    let mut running = Box::pin(client.allocate(AllocateRequest {
        parameters: Some(parameters("a", &["v4"])),
    }));
    tokio::time::timeout(Duration::from_millis(100), &mut running)
        .await
        .expect_err("the writer stands");
    served.stop.send(()).unwrap();
    let socket = served.folder.path().join("daemon.sock");
    // Code 11, which the plugin knows as nobody there, while the socket is.
    let refused = loop {
        match UnixStream::connect(&socket) {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(!served.service.is_finished());
    go.send(()).unwrap();
    let answer = running.await.unwrap().into_inner();
    assert_eq!(answer.allocations[0].ip, "192.168.0.1/16");
    served.service.await.unwrap().unwrap();
    assert!(!socket.exists());
}

#[tokio::test]
async fn tcp_serves_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let lock = StoreLock::take(&folder.path().join("store")).unwrap();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let listener = Listener::bind(&format!("tcp://127.0.0.1:{port}").parse().unwrap(), &lock).unwrap();
    let (store, ledger) = Store::open(lock).unwrap();
    let metrics = Metrics::register(&Registry::new()).unwrap();
    let clock = BootClock::new().unwrap();
    let (writer, _ended) = writer::spawn(Parts {
        store,
        ledger,
        journal: None,
        metrics: metrics.clone(),
        clock,
    })
    .unwrap();
    writer.set_table(Vec::new()).await.unwrap();
    let (ready, is_ready) = oneshot::channel();
    tokio::spawn(service::serve(
        listener,
        writer,
        metrics,
        move || ready.send(()).unwrap(),
        std::future::pending(),
    ));
    is_ready.await.unwrap();
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    IpamServiceClient::new(endpoint.connect().await.unwrap())
        .status(StatusRequest {})
        .await
        .unwrap();
}

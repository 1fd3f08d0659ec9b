//! A daemon that answers as a test says.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rpc::v1::ipam_service_server::{IpamService, IpamServiceServer};
use rpc::v1::{
    AllocateRequest, AllocateResponse, AllocationInfo, CollectGarbageRequest, CollectGarbageResponse,
    DeallocateRequest, DeallocateResponse, IpamParameters, IsAllocatedRequest, IsAllocatedResponse,
    StatusRequest, StatusResponse,
};
use tokio::runtime::Runtime;
use tonic::{Code, Request, Response, Status};

/// What the daemon does with every call.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Success; an ADD gets these.
    Allocations(Vec<AllocationInfo>),
    Refusal(Code, &'static str),
    Never,
}

/// A call that the daemon got.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: &'static str,
    pub(crate) parameters: Option<IpamParameters>,
    /// Of a GC.
    pub(crate) garbage: Option<CollectGarbageRequest>,
    /// The header in which the caller says how long it waits.
    pub(crate) grpc_timeout: Option<String>,
}

#[derive(Clone)]
struct Scripted {
    reply: Reply,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Seen {
    fn new<T>(method: &'static str, request: &Request<T>) -> Self {
        let grpc_timeout = request.metadata().get("grpc-timeout");
        Self {
            method,
            parameters: None,
            garbage: None,
            grpc_timeout: grpc_timeout.map(|value| value.to_str().unwrap().to_owned()),
        }
    }

    fn with(self, parameters: Option<&IpamParameters>) -> Self {
        Self {
            parameters: parameters.cloned(),
            ..self
        }
    }
}

impl Scripted {
    async fn answer(&self, seen: Seen) -> Result<Vec<AllocationInfo>, Status> {
        self.seen.lock().unwrap().push(seen);
        match self.reply.clone() {
            Reply::Allocations(allocations) => Ok(allocations),
            Reply::Refusal(code, message) => Err(Status::new(code, message)),
            Reply::Never => std::future::pending().await,
        }
    }
}

#[tonic::async_trait]
impl IpamService for Scripted {
    async fn allocate(
        &self,
        request: Request<AllocateRequest>,
    ) -> Result<Response<AllocateResponse>, Status> {
        let seen = Seen::new("Allocate", &request).with(request.get_ref().parameters.as_ref());
        let allocations = self.answer(seen).await?;
        Ok(Response::new(AllocateResponse { allocations }))
    }

    async fn is_allocated(
        &self,
        request: Request<IsAllocatedRequest>,
    ) -> Result<Response<IsAllocatedResponse>, Status> {
        let seen = Seen::new("IsAllocated", &request).with(request.get_ref().parameters.as_ref());
        self.answer(seen).await?;
        Ok(Response::new(IsAllocatedResponse {}))
    }

    async fn deallocate(
        &self,
        request: Request<DeallocateRequest>,
    ) -> Result<Response<DeallocateResponse>, Status> {
        let seen = Seen::new("Deallocate", &request).with(request.get_ref().parameters.as_ref());
        self.answer(seen).await?;
        Ok(Response::new(DeallocateResponse {}))
    }

    async fn collect_garbage(
        &self,
        request: Request<CollectGarbageRequest>,
    ) -> Result<Response<CollectGarbageResponse>, Status> {
        let seen = Seen::new("CollectGarbage", &request);
        self.answer(Seen {
            garbage: Some(request.into_inner()),
            ..seen
        })
        .await?;
        Ok(Response::new(CollectGarbageResponse { released: 2 }))
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.answer(Seen::new("Status", &request)).await?;
        Ok(Response::new(StatusResponse {}))
    }
}

/// A running daemon; it ends when dropped.
pub(crate) struct Daemon {
    seen: Arc<Mutex<Vec<Seen>>>,
    _runtime: Runtime,
}

impl Daemon {
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn serve(reply: Reply, run: impl FnOnce(&Runtime, tonic::transport::server::Router)) -> Self {
        let runtime = Runtime::new().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let service = IpamServiceServer::new(Scripted {
            reply,
            seen: seen.clone(),
        });
        run(&runtime, tonic::transport::Server::builder().add_service(service));
        Self {
            seen,
            _runtime: runtime,
        }
    }

    /// Listens on the unix socket `path`.
    pub(crate) fn on_unix(path: &Path, reply: Reply) -> Self {
        Self::serve(reply, |runtime, router| {
            let _inside = runtime.enter();
            let listener = tokio::net::UnixListener::bind(path).unwrap();
            let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
            runtime.spawn(router.serve_with_incoming(incoming));
        })
    }

    /// Listens on a free TCP port of 127.0.0.1.
    pub(crate) fn on_tcp(reply: Reply) -> (Self, u16) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let daemon = Self::serve(reply, |runtime, router| {
            let _inside = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            runtime.spawn(router.serve_with_incoming(incoming));
        });
        (daemon, port)
    }
}

/// One address with a gateway.
pub(crate) fn one_address() -> Reply {
    Reply::Allocations(vec![AllocationInfo {
        pool: "pool1".into(),
        ip: "192.168.0.2/16".into(),
        gateway: "192.168.0.1".into(),
        ..AllocationInfo::default()
    }])
}

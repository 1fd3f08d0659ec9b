//! The gRPC service that the CNI plugin calls.

mod claim;
mod deadline;
mod garbage;
mod incoming;
mod listener;
mod observed;
mod opening;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::pool_key::PoolKind;
use rpc::v1::ipam_service_server::{IpamService, IpamServiceServer};
use rpc::v1::{
    AllocateRequest, AllocateResponse, AllocationInfo, CollectGarbageRequest, CollectGarbageResponse,
    DeallocateRequest, DeallocateResponse, IsAllocatedRequest, IsAllocatedResponse, PoolType, Route,
    StatusRequest, StatusResponse,
};
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::brief;
use crate::call::{AllocateCall, CheckCall, ReleaseCall};
use crate::cleaner::inquiry::Inquiry;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::reservation::{Grant, Reservation};
use crate::writer::{Caller, Connection, Writer};

use observed::{Observed, Subject, Unsaid};

use listener::Listening;

pub use listener::{ListenError, Listener};

/// The usual [`Service::grace`].
pub const GRACE: Duration = Duration::from_secs(3);

/// Why the service ended, or never began.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Nobody can connect.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The socket is of no use to the runtime.
    #[error("serving on {address}: {source}")]
    Socket {
        /// Where.
        address: crate::bind_address::BindAddress,
        /// How it failed.
        source: io::Error,
    },
    /// The server failed.
    #[error("serving gRPC: {0}")]
    Server(#[from] tonic::transport::Error),
}

/// What the service works with.
pub struct Service {
    /// Has the reservations.
    pub writer: Writer,
    /// Where it counts.
    pub metrics: Metrics,
    /// Knows which pods there are.
    pub pods: Inquiry,
    /// So long connections may stay open after the service was told to stop: what runs is finished, and a client that has
    /// nothing to ask need not hang up.
    pub grace: Duration,
}

/// Answers on `listener` until `stop`; calls `ready` as soon as clients can connect. After `stop` the kernel refuses whoever
/// connects, and what runs is finished, within [`Service::grace`]; then the socket is removed. The store's lock must be held
/// all the while, so the writer must be stopped after it.
pub async fn serve(
    listener: Listener,
    service: Service,
    ready: impl FnOnce(),
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let Listening {
        address,
        socket,
        claim,
    } = listener.listen()?;
    // The server drops it at once when it is told to stop, and with it the only descriptor that listens.
    let incoming = incoming::incoming(&address, socket).map_err(|source| ServeError::Socket {
        address: address.clone(),
        source,
    })?;
    tracing::info!(%address, "answering");
    ready();
    let (told, mut overdue) = oneshot::channel();
    let stop = async {
        stop.await;
        // The receiver lives as long as this does.
        let _ = told.send(());
    };
    let grace = service.grace;
    let service = IpamServiceServer::new(Answering {
        service,
        unsaid: Unsaid::default(),
    });
    let server = Server::builder()
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, stop);
    let result = tokio::select! {
        result = server => result,
        () = async {
            let _ = (&mut overdue).await;
            tokio::time::sleep(grace).await;
        } => {
            tracing::warn!(?grace, "connections were still open");
            Ok(())
        }
    };
    if let Some(claim) = claim {
        claim.remove();
    }
    Ok(result?)
}

/// The service at work.
struct Answering {
    service: Service,
    unsaid: Unsaid,
}

impl Answering {
    fn observe(&self, method: &'static str, subject: Subject) -> Observed {
        Observed::new(&self.service.metrics, &self.unsaid, method, subject)
    }
}

#[tonic::async_trait]
impl IpamService for Answering {
    async fn allocate(
        &self,
        request: Request<AllocateRequest>,
    ) -> Result<Response<AllocateResponse>, Status> {
        let caller = caller(&request);
        let parameters = request.into_inner().parameters;
        let observed = self.observe("Allocate", Subject::of(parameters.as_ref()));
        let result = async {
            self.service
                .writer
                .allocate(AllocateCall::parse(parameters)?, caller)
                .await
        }
        .await;
        let grants = observed.answer(result.map_err(Status::from), |grants| {
            brief::list(grants.iter().map(|grant| grant.address))
        })?;
        Ok(Response::new(AllocateResponse {
            allocations: grants.iter().map(allocation).collect(),
        }))
    }

    async fn is_allocated(
        &self,
        request: Request<IsAllocatedRequest>,
    ) -> Result<Response<IsAllocatedResponse>, Status> {
        let parameters = request.into_inner().parameters;
        let observed = self.observe("IsAllocated", Subject::of(parameters.as_ref()));
        let result = async {
            self.service
                .writer
                .is_allocated(CheckCall::parse(parameters)?)
                .await
        }
        .await;
        observed.answer(result.map_err(Status::from), |()| String::new())?;
        Ok(Response::new(IsAllocatedResponse {}))
    }

    async fn deallocate(
        &self,
        request: Request<DeallocateRequest>,
    ) -> Result<Response<DeallocateResponse>, Status> {
        let caller = caller(&request);
        let parameters = request.into_inner().parameters;
        let observed = self.observe("Deallocate", Subject::of(parameters.as_ref()));
        let result = async {
            self.service
                .writer
                .deallocate(ReleaseCall::parse(parameters)?, caller)
                .await
        }
        .await;
        observed.answer(result.map_err(Status::from), |released| addresses(released))?;
        Ok(Response::new(DeallocateResponse {}))
    }

    async fn collect_garbage(
        &self,
        request: Request<CollectGarbageRequest>,
    ) -> Result<Response<CollectGarbageResponse>, Status> {
        let caller = caller(&request);
        let request = request.into_inner();
        let observed = self.observe("CollectGarbage", Subject::network(&request.network_name));
        let result = garbage::collect(&self.service, request, caller).await;
        let released = observed.answer(result, |released| addresses(released))?;
        Ok(Response::new(CollectGarbageResponse {
            released: u32::try_from(released.len()).unwrap_or(u32::MAX),
        }))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let observed = self.observe("Status", Subject::default());
        let result = self.service.writer.can_allocate().await;
        // Whatever the reason, it is not the caller's.
        let result = result.map_err(|refusal: Refusal| Status::unavailable(refusal.to_string()));
        observed.answer(result, |()| String::new())?;
        Ok(Response::new(StatusResponse {}))
    }
}

fn caller<T>(request: &Request<T>) -> Caller {
    let timeout = request.metadata().get("grpc-timeout");
    Caller {
        deadline: timeout
            .and_then(|header| deadline::parse(header.to_str().ok()?))
            .and_then(|timeout| Instant::now().checked_add(timeout)),
        connection: request.extensions().get::<Connection>().cloned(),
    }
}

fn addresses(released: &[Arc<Reservation>]) -> String {
    brief::list(released.iter().map(|reservation| reservation.address))
}

fn allocation(grant: &Grant) -> AllocationInfo {
    let pool_type = match grant.pool.kind() {
        PoolKind::IpPool => PoolType::Ippool,
        PoolKind::CidrPool => PoolType::Cidrpool,
    };
    AllocationInfo {
        pool: grant.pool.name().to_owned(),
        ip: grant.address.to_string(),
        gateway: grant.gateway.map(|ip| ip.to_string()).unwrap_or_default(),
        pool_type: pool_type.into(),
        routes: grant
            .routes
            .iter()
            .map(|route| Route {
                dest: route.to_string(),
            })
            .collect(),
    }
}

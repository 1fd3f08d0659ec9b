//! The connection to ipam-node: one call, within its deadline.

use std::time::{Duration, Instant};

use http::Uri;
use rpc::v1::ipam_service_client::IpamServiceClient;
use rpc::v1::{
    AllocateRequest, AllocateResponse, CollectGarbageRequest, DeallocateRequest, IpamParameters,
    IsAllocatedRequest, StatusRequest,
};
use tonic::{Request, Response, Status};

use crate::connection::Connection;
use crate::failure::Failure;
use crate::http2::{self, Http2};
use crate::target::Target;

/// Calls to the ipam-node at one place. Each makes its own connection: a process makes one call.
#[derive(Clone, Debug)]
pub struct Client<'a> {
    /// Where it listens.
    pub target: &'a Target,
    /// How long a call may take, connecting included. The daemon is told, and drops what it can't finish by then.
    pub timeout: Duration,
}

impl Client<'_> {
    /// ADD.
    pub fn allocate(&self, parameters: IpamParameters) -> Result<AllocateResponse, Failure> {
        let message = AllocateRequest {
            parameters: Some(parameters),
        };
        self.call(message, async |mut client, request| {
            client.allocate(request).await
        })
    }

    /// CHECK.
    pub fn is_allocated(&self, parameters: IpamParameters) -> Result<(), Failure> {
        let message = IsAllocatedRequest {
            parameters: Some(parameters),
        };
        self.call(message, async |mut client, request| {
            client.is_allocated(request).await
        })
        .map(drop)
    }

    /// DEL.
    pub fn deallocate(&self, parameters: IpamParameters) -> Result<(), Failure> {
        let message = DeallocateRequest {
            parameters: Some(parameters),
        };
        self.call(message, async |mut client, request| {
            client.deallocate(request).await
        })
        .map(drop)
    }

    /// GC: how many addresses it released.
    pub fn collect_garbage(&self, message: CollectGarbageRequest) -> Result<u32, Failure> {
        self.call(message, async |mut client, request| {
            client.collect_garbage(request).await
        })
        .map(|response| response.released)
    }

    /// STATUS.
    pub fn status(&self) -> Result<(), Failure> {
        self.call(StatusRequest {}, async |mut client, request| {
            client.status(request).await
        })
        .map(drop)
    }

    fn call<Message, Answer>(
        &self,
        message: Message,
        method: impl AsyncFnOnce(IpamServiceClient<Http2>, Request<Message>) -> Result<Response<Answer>, Status>,
    ) -> Result<Answer, Failure> {
        let deadline = Instant::now() + self.timeout;
        // What fails here certainly didn't reach the daemon.
        let connection = Connection::open(self.target, deadline)
            .map_err(|error| Failure::not_reached(self.target, &error))?;
        let mut request = Request::new(message);
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        let call = http2::with(connection.clone(), async |http2| {
            method(
                IpamServiceClient::with_origin(http2, Uri::from_static(ORIGIN)),
                request,
            )
            .await
        });
        match connection.run(call, deadline) {
            Some(Ok(response)) => Ok(response.into_inner()),
            Some(Err(status)) => Err(Failure::of_status(&status, self.target, self.timeout)),
            None => Err(Failure::deadline(self.target, self.timeout)),
        }
    }
}

/// HTTP wants a host; over a unix socket there is none, and the daemon doesn't look.
const ORIGIN: &str = "http://localhost";

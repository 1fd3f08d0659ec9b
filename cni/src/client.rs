//! The connection to ipam-node: one call, within its deadline.

use std::error::Error as StdError;
use std::time::Duration;

use rpc::v1::ipam_service_client::IpamServiceClient;
use rpc::v1::{
    AllocateRequest, AllocateResponse, CollectGarbageRequest, DeallocateRequest, IpamParameters,
    IsAllocatedRequest, StatusRequest,
};
use tokio::time::{Instant, timeout_at};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use crate::failure::Failure;
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
        method: impl AsyncFnOnce(IpamServiceClient<Channel>, Request<Message>) -> Result<Response<Answer>, Status>,
    ) -> Result<Answer, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::not_reached(self.target, &error))?;
        let outcome = runtime.block_on(async {
            let deadline = Instant::now() + self.timeout;
            let channel = self.connect(deadline).await?;
            let mut request = Request::new(message);
            request.set_timeout(deadline.saturating_duration_since(Instant::now()));
            match timeout_at(deadline, method(IpamServiceClient::new(channel), request)).await {
                Ok(Ok(response)) => Ok(response.into_inner()),
                Ok(Err(status)) => Err(Failure::of_status(&status, self.target, self.timeout)),
                Err(_) => Err(Failure::deadline(self.target, self.timeout)),
            }
        });
        // Don't wait for a name look-up that outlives the deadline.
        runtime.shutdown_background();
        outcome
    }

    /// What fails here certainly didn't reach the daemon.
    async fn connect(&self, deadline: Instant) -> Result<Channel, Failure> {
        let not_reached = |error: &(dyn StdError + 'static)| Failure::not_reached(self.target, &root(error));
        let endpoint = Endpoint::from_shared(self.target.uri()).map_err(|error| not_reached(&error))?;
        match timeout_at(deadline, endpoint.connect()).await {
            Ok(connected) => connected.map_err(|error| not_reached(&error)),
            Err(_) => Err(Failure::not_reached(
                self.target,
                &format_args!("no connection within {}s", self.timeout.as_secs()),
            )),
        }
    }
}

/// The innermost cause: "No such file or directory" instead of "transport error".
fn root<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

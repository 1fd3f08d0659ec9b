//! The connection to ipam-node: one call, within its deadline.

use std::time::{Duration, Instant};

use prost::Message;
use rpc::v1::{
    AllocateRequest, AllocateResponse, CollectGarbageRequest, CollectGarbageResponse, DeallocateRequest,
    DeallocateResponse, IpamParameters, IsAllocatedRequest, IsAllocatedResponse, StatusRequest,
    StatusResponse,
};

use crate::connection::Connection;
use crate::failure::Failure;
use crate::grpc;
use crate::log::Log;
use crate::target::Target;

/// Calls to the ipam-node at one place. Each makes its own connection: a process makes one call.
#[derive(Debug)]
pub struct Client<'a> {
    /// Where it listens.
    pub target: &'a Target,
    /// How long a call may take, connecting included. The daemon is told, and drops what it can't finish by then.
    pub timeout: Duration,
    /// Written while the daemon works on the request: until then nobody waits for it, and nothing depends on it.
    pub log: &'a mut Log,
}

impl Client<'_> {
    /// ADD.
    pub fn allocate(&mut self, parameters: IpamParameters) -> Result<AllocateResponse, Failure> {
        let parameters = Some(parameters);
        self.call("Allocate", &AllocateRequest { parameters })
    }

    /// CHECK.
    pub fn is_allocated(&mut self, parameters: IpamParameters) -> Result<(), Failure> {
        let parameters = Some(parameters);
        self.call("IsAllocated", &IsAllocatedRequest { parameters })
            .map(|IsAllocatedResponse {}| ())
    }

    /// DEL.
    pub fn deallocate(&mut self, parameters: IpamParameters) -> Result<(), Failure> {
        let parameters = Some(parameters);
        self.call("Deallocate", &DeallocateRequest { parameters })
            .map(|DeallocateResponse {}| ())
    }

    /// GC: how many addresses it released.
    pub fn collect_garbage(&mut self, message: &CollectGarbageRequest) -> Result<u32, Failure> {
        self.call("CollectGarbage", message)
            .map(|CollectGarbageResponse { released }| released)
    }

    /// STATUS.
    pub fn status(&mut self) -> Result<(), Failure> {
        self.call("Status", &StatusRequest {}).map(|StatusResponse {}| ())
    }

    fn call<Answer: Message + Default>(
        &mut self,
        method: &str,
        message: &impl Message,
    ) -> Result<Answer, Failure> {
        let deadline = Instant::now() + self.timeout;
        // What fails here certainly didn't reach the daemon.
        let mut connection = Connection::open(self.target, deadline)
            .map_err(|error| Failure::not_reached(self.target, &error))?;
        let path = format!("/nvidia.ipam.node.v1.IPAMService/{method}");
        let answer = grpc::call(&mut connection, &path, &message.encode_to_vec(), deadline, || {
            self.log.flush();
        })
        .map_err(|error| Failure::of_call(error, self.target, self.timeout))?;
        Answer::decode(answer.as_slice()).map_err(|error| Failure::lost(self.target, &error))
    }
}

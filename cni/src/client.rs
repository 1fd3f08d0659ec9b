//! The connection to ipam-node: one call, within its deadline.

use std::io;
use std::mem;
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

/// A connection to the ipam-node at one place, for the one call that a process makes.
#[derive(Debug)]
pub struct Client<'a> {
    target: &'a Target,
    timeout: Duration,
    deadline: Instant,
    /// `None`: it has to be waited for.
    connection: io::Result<Option<Connection>>,
}

impl<'a> Client<'a> {
    /// Connects, unless that has to be waited for; then the call does. If it fails the call does, so this can be done before it
    /// is certain that there will be one: meanwhile the daemon wakes up.
    ///
    /// `timeout` is how long call and connecting may take together. The daemon is told, and drops what it can't finish by then.
    #[must_use]
    pub fn connect(target: &'a Target, timeout: Duration) -> Self {
        Self {
            target,
            timeout,
            deadline: Instant::now() + timeout,
            connection: Connection::at_once(target),
        }
    }

    /// ADD.
    pub fn allocate(self, parameters: IpamParameters, log: &mut Log) -> Result<AllocateResponse, Failure> {
        let parameters = Some(parameters);
        self.call("Allocate", &AllocateRequest { parameters }, log)
    }

    /// CHECK.
    pub fn is_allocated(self, parameters: IpamParameters, log: &mut Log) -> Result<(), Failure> {
        let parameters = Some(parameters);
        self.call("IsAllocated", &IsAllocatedRequest { parameters }, log)
            .map(|IsAllocatedResponse {}| ())
    }

    /// DEL.
    pub fn deallocate(self, parameters: IpamParameters, log: &mut Log) -> Result<(), Failure> {
        let parameters = Some(parameters);
        self.call("Deallocate", &DeallocateRequest { parameters }, log)
            .map(|DeallocateResponse {}| ())
    }

    /// GC: how many addresses it released.
    pub fn collect_garbage(self, message: &CollectGarbageRequest, log: &mut Log) -> Result<u32, Failure> {
        self.call("CollectGarbage", message, log)
            .map(|CollectGarbageResponse { released }| released)
    }

    /// STATUS.
    pub fn status(self, log: &mut Log) -> Result<(), Failure> {
        self.call("Status", &StatusRequest {}, log)
            .map(|StatusResponse {}| ())
    }

    /// Writes the log while there is something to wait for.
    fn call<Answer: Message + Default>(
        self,
        method: &str,
        message: &impl Message,
        log: &mut Log,
    ) -> Result<Answer, Failure> {
        let connection = match self.connection {
            Ok(Some(connection)) => Ok(connection),
            Ok(None) => {
                log.flush();
                Connection::open(self.target, self.deadline)
            }
            Err(error) => Err(error),
        };
        // What fails here certainly didn't reach the daemon.
        let mut connection = connection.map_err(|error| Failure::not_reached(self.target, &error))?;
        let path = format!("/nvidia.ipam.node.v1.IPAMService/{method}");
        let message = message.encode_to_vec();
        let answer = grpc::call(&mut connection, &path, &message, self.deadline, || log.flush())
            .map_err(|error| Failure::of_call(error, self.target, self.timeout))?;
        // It is closed when the process ends. Sooner, it would wake the daemon beside a plugin that still has to answer.
        mem::forget(connection);
        Answer::decode(answer.as_slice()).map_err(|error| Failure::lost(self.target, &error))
    }
}

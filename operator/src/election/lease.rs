//! The Lease at the API server.

use std::fs;
use std::io;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};

use super::LEASE;
use super::machine::{Answer, Ask};
use crate::call::{CallError, within};

/// Where the Lease is.
pub trait LeaseStore {
    /// Does what is asked and says what became of it, within `limit`; if it failed, why.
    fn ask(&self, ask: &Ask, limit: Duration) -> impl Future<Output = Result<Answer, CallError>> + Send;
}

/// The Lease of the contract, in one namespace.
#[derive(Clone, Debug)]
pub struct KubeLease(Api<Lease>);

impl KubeLease {
    /// The one in `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        Self(Api::namespaced(client, namespace))
    }
}

impl LeaseStore for KubeLease {
    async fn ask(&self, ask: &Ask, limit: Duration) -> Result<Answer, CallError> {
        let post = PostParams::default();
        let done = match ask {
            Ask::Read => within(limit, self.0.get(LEASE)).await,
            Ask::Create(lease) => within(limit, self.0.create(&post, lease)).await,
            Ask::Replace(lease) => within(limit, self.0.replace(LEASE, &post, lease)).await,
        };
        match done {
            Ok(lease) => Ok(Answer::Lease(Box::new(lease))),
            Err(error) => match error.status() {
                Some(status) if status.is_conflict() => Ok(Answer::Conflict),
                // Creating in a namespace that isn't there is a failure, not an absent Lease.
                Some(status) if status.is_not_found() && !matches!(ask, Ask::Create(_)) => Ok(Answer::Absent),
                _ => Err(error),
            },
        }
    }
}

/// A name that no other process has or had: that of the host (in a pod, the pod's), and a random part, as client-go does.
pub fn identity() -> io::Result<String> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname")?;
    let random = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    Ok(format!("{}_{}", host.trim(), random.trim()))
}

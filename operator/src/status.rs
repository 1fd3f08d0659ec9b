//! Writing a pool's status.

use std::time::Duration;

use kube::api::PostParams;
use kube::core::Status;
use kube::{Api, Client, ResourceExt};

use crate::call::{CallError, within};
use crate::pool::Pool;

/// How long a write or a read may take. Shorter than the time between a holder's giving up the lease and another's taking
/// it, so that a write that began in time also ends in time.
pub(crate) const LIMIT: Duration = Duration::from_secs(4);

/// What became of a write.
#[derive(Debug)]
pub enum Outcome<K> {
    /// It was taken; this is the pool now.
    Written(K),
    /// The pool had changed, and is this now. Nothing was written.
    Changed(K),
    /// Nothing was sent, because this process no longer led.
    Withheld,
}

/// Writes the status of pools of one kind, in one namespace.
#[derive(Clone, Debug)]
pub struct StatusWriter<K> {
    api: Api<K>,
}

impl<K: Pool> StatusWriter<K> {
    /// For the pools in `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
        }
    }

    /// Writes `status`, which was planned from `pool`: only if the pool at the API server is still that one.
    ///
    /// That it isn't found is an error like any other, to be tried again. Only the watch can tell that a pool is gone: an API
    /// server that doesn't serve the CRD at that moment, or a CRD without status subresource, says "not found" too.
    pub async fn write(&self, mut pool: K, status: K::Status) -> Result<Outcome<K>, CallError> {
        let name = pool.name_any();
        *pool.status_mut() = Some(status);
        // The resourceVersion in it is the condition of the write; who manages which field is the API server's business.
        pool.meta_mut().managed_fields = None;
        let parameters = PostParams::default();
        let written = self.api.replace_status(&name, &parameters, &pool);
        match within(LIMIT, written).await {
            Ok(written) => Ok(Outcome::Written(written)),
            Err(error) if error.status().is_some_and(Status::is_conflict) => {
                let current = within(LIMIT, self.api.get(&name)).await?;
                Ok(Outcome::Changed(current))
            }
            Err(error) => Err(error),
        }
    }
}

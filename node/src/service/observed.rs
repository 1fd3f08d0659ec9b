//! What is said and counted of each request.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rpc::code::Code;
use rpc::v1::IpamParameters;
use tonic::Status;

use crate::metrics::Metrics;

/// What the log has yet to say of requests that were answered.
#[derive(Clone, Default)]
pub(super) struct Unsaid(Arc<Mutex<Vec<Said>>>);

impl Unsaid {
    /// Says it when the answers that are ready have gone out: whoever waits for one doesn't wait for a log.
    fn say(&self, said: Said) {
        let mut all = self.lock();
        all.push(said);
        if all.len() > 1 {
            return;
        }
        let unsaid = self.clone();
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            let all = mem::take(&mut *unsaid.lock());
            all.into_iter().for_each(Said::log);
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Said>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request, from its arrival to its answer. Dropped before, it was given up by its caller, which is counted and said
/// like any answer.
pub(super) struct Observed {
    metrics: Metrics,
    unsaid: Unsaid,
    method: &'static str,
    id: u64,
    subject: Subject,
    start: Instant,
    answered: bool,
}

/// For whom a request is, as it says itself.
#[derive(Default)]
pub(super) struct Subject {
    container: String,
    interface: String,
    pod: String,
    pools: Vec<String>,
    network: String,
}

impl Subject {
    pub(super) fn of(parameters: Option<&IpamParameters>) -> Self {
        let Some(parameters) = parameters else {
            return Self::default();
        };
        Self {
            container: parameters.cni_containerid.clone(),
            interface: parameters.cni_ifname.clone(),
            pod: parameters
                .metadata
                .as_ref()
                .map(|m| format!("{}/{}", m.k8s_pod_namespace, m.k8s_pod_name))
                .unwrap_or_default(),
            pools: parameters.pools.clone(),
            network: parameters.network_name.clone(),
        }
    }

    pub(super) fn network(name: &str) -> Self {
        Self {
            network: name.to_owned(),
            ..Self::default()
        }
    }
}

impl Observed {
    pub(super) fn new(metrics: &Metrics, unsaid: &Unsaid, method: &'static str, subject: Subject) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        metrics.requests_in_flight.inc();
        Self {
            metrics: metrics.clone(),
            unsaid: unsaid.clone(),
            method,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            subject,
            start: Instant::now(),
            answered: false,
        }
    }

    /// Counts `result`, and says it once it has gone out; `addresses` says which ones it is about, if it succeeded.
    pub(super) fn answer<T>(
        mut self,
        result: Result<T, Status>,
        addresses: impl FnOnce(&T) -> String,
    ) -> Result<T, Status> {
        self.answered = true;
        self.count(
            result
                .as_ref()
                .map_or_else(|status| status.code().into(), |_| Code::Ok),
        );
        let outcome = match &result {
            Ok(answer) => Ok(addresses(answer)),
            Err(status) => Err(status.clone()),
        };
        self.unsaid.say(Said {
            method: self.method,
            id: self.id,
            subject: mem::take(&mut self.subject),
            duration: self.start.elapsed(),
            outcome,
        });
        result
    }

    fn count(&self, code: Code) {
        self.metrics
            .requests
            .with_label_values(&[self.method, code.name()])
            .inc();
        let duration = self.start.elapsed().as_secs_f64();
        self.metrics
            .request_duration
            .with_label_values(&[self.method])
            .observe(duration);
    }
}

/// What the log says of a request that was answered.
struct Said {
    method: &'static str,
    id: u64,
    subject: Subject,
    duration: Duration,
    /// The addresses that it is about, or why it was refused.
    outcome: Result<String, Status>,
}

impl Said {
    fn log(self) {
        let Self {
            method,
            id,
            subject,
            duration,
            outcome,
        } = self;
        let Subject {
            container,
            interface,
            pod,
            pools,
            network,
        } = subject;
        let pools = pools.join(",");
        match outcome {
            Ok(addresses) => {
                let text = match method {
                    "Allocate" => "reserved",
                    "Deallocate" | "CollectGarbage" if addresses.is_empty() => "nothing to release",
                    "Deallocate" | "CollectGarbage" => "released",
                    _ => {
                        tracing::debug!(
                            request = id,
                            method,
                            container,
                            interface,
                            pod,
                            pools,
                            network,
                            ?duration,
                            "ok"
                        );
                        return;
                    }
                };
                tracing::info!(
                    request = id,
                    method,
                    pools,
                    addresses,
                    pod,
                    container,
                    interface,
                    network,
                    ?duration,
                    "{text}"
                );
            }
            Err(status) => tracing::error!(
                request = id,
                method,
                code = Code::from(status.code()).name(),
                error = status.message(),
                pools,
                pod,
                container,
                interface,
                network,
                ?duration,
                "refused"
            ),
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.metrics.requests_in_flight.dec();
        if !self.answered {
            self.count(Code::Cancelled);
            let Self {
                method,
                id,
                start,
                subject,
                ..
            } = &*self;
            tracing::warn!(
                request = id, method, pod = subject.pod, container = subject.container, interface = subject.interface,
                duration = ?start.elapsed(), "the caller gave up before it was answered"
            );
        }
    }
}

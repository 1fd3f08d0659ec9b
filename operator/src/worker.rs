//! The loop that keeps pools planned: it takes in what the watches say, and plans each pool that something changed for.
//!
//! Each kind of pool has a loop of its own, which owns what it knows, so there is nothing to lock. It has one write under
//! way at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::pool_key::PoolKey;
use api::selector::NodeLabels;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::watcher::Event;
use process::shutdown::Shutdown;
use tokio::time::{Instant, sleep_until};

use crate::cache::{Cache, Change};
use crate::call::CallError;
use crate::events::Recorder;
use crate::findings::{Notice, Said};
use crate::nodes::wakes;
use crate::objects::PoolObject;
use crate::pace::Pace;
use crate::pool::{Plan, Pool, World};
use crate::status::{Outcome, StatusWriter};
use crate::tools::Tools;
use crate::watch::Events;

/// The loop, for the pools of one kind.
#[derive(Debug)]
pub struct Worker<K> {
    tools: Tools,
    writer: StatusWriter<K>,
    nodes: Cache<Arc<NodeLabels>>,
    pools: Cache<PoolObject<K>>,
    work: BTreeMap<String, Work>,
    /// Whether the API server keeps conditions, as far as the last write told.
    conditions_kept: bool,
}

/// What the loop remembers of a pool.
#[derive(Debug, Default)]
struct Work {
    uid: Option<String>,
    pace: Pace,
    said: Option<Said>,
    unjudged: usize,
}

/// A status write under way.
struct Write<K: Pool> {
    name: String,
    key: PoolKey,
    plan: Plan<K::Status>,
    outcome: BoxFuture<'static, Result<Outcome<K>, CallError>>,
}

/// The answer to a write; never, if there is none under way.
async fn answer<K: Pool>(write: &mut Option<Write<K>>) -> Result<Outcome<K>, CallError> {
    match write {
        Some(write) => (&mut write.outcome).await,
        None => std::future::pending().await,
    }
}

impl<K: Pool> Worker<K> {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new(tools: Tools, writer: StatusWriter<K>) -> Self {
        Self {
            tools,
            writer,
            nodes: Cache::default(),
            pools: Cache::default(),
            work: BTreeMap::new(),
            conditions_kept: true,
        }
    }

    /// Works until `shutdown` is requested; a write that is under way then is waited for.
    pub async fn run(
        mut self,
        mut nodes: Events<Arc<NodeLabels>>,
        mut pools: Events<PoolObject<K>>,
        shutdown: Shutdown,
    ) {
        let mut leadership = self.tools.leadership.clone();
        let mut led = false;
        let mut write: Option<Write<K>> = None;
        loop {
            let leads = leadership.leads();
            if leads && !led {
                self.want_all();
            }
            led = leads;
            // Whatever has happened is taken in before anything is planned, and while something is written. Only pools wait
            // for the end of a write: its own event would come before its answer.
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                Some(event) = nodes.next() => self.node_event(event),
                Some(event) = pools.next(), if write.is_none() => self.pool_event(event),
                () = leadership.gained(), if !led => {}
                outcome = answer(&mut write) => {
                    if let Some(done) = write.take() {
                        self.finish(done, outcome);
                    }
                }
                name = self.due(), if led && write.is_none() => write = self.begin(&name),
            }
        }
        if write.is_some() {
            // Its outcome is for the next one to see.
            drop(answer(&mut write).await);
        }
    }

    /// The pool that is to be planned next, when its time has come. Never, before everything is known.
    async fn due(&self) -> String {
        let next = self
            .work
            .iter()
            .filter_map(|(name, work)| work.pace.due().map(|due| (due, name)))
            .min();
        match next {
            Some((due, name)) if self.nodes.is_synced() && self.pools.is_synced() => {
                sleep_until(due).await;
                name.clone()
            }
            _ => std::future::pending().await,
        }
    }

    fn want_all(&mut self) {
        let now = Instant::now();
        for work in self.work.values_mut() {
            work.pace.want(now);
        }
    }

    fn node_event(&mut self, event: Event<Arc<NodeLabels>>) {
        let was_synced = self.nodes.is_synced();
        let changes = self.nodes.apply(event);
        if !was_synced {
            if self.nodes.is_synced() {
                tracing::info!(nodes = changes.len(), kind = %K::KIND, "nodes are known");
                self.tools.gates.nodes.open();
                self.want_all();
            }
            return;
        }
        let now = Instant::now();
        for (name, work) in &mut self.work {
            let Some(Ok(pool)) = self.pools.get(name).map(PoolObject::pool) else {
                continue;
            };
            let concerns = |change: &Change<Arc<NodeLabels>>| {
                let (before, after) = (change.before.as_deref(), self.nodes.get(&change.name));
                let after = after.map(AsRef::as_ref);
                wakes(pool.selector(), before, after, || pool.holds(&change.name))
            };
            if changes.iter().any(concerns) {
                work.pace.want(now);
            }
        }
    }

    fn pool_event(&mut self, event: Event<PoolObject<K>>) {
        let was_synced = self.pools.is_synced();
        let changes = self.pools.apply(event);
        if !was_synced && self.pools.is_synced() {
            tracing::info!(pools = changes.len(), kind = %K::KIND, "pools are known");
            self.tools.gates.of_kind(K::KIND).open();
            self.tools.gates.pools.open();
        }
        for change in changes {
            self.pool_changed(&change.name);
        }
    }

    /// Takes note that a pool is not what it was.
    fn pool_changed(&mut self, name: &str) {
        let pool = self.pools.get(name).map(PoolObject::pool);
        let network = pool.and_then(|pool| pool.ok()?.network());
        self.tools.other_pools.set(K::KIND, name, network);
        match pool {
            None => {
                self.work.remove(name);
                self.tools.metrics.forget(PoolKey::new(K::KIND, name).as_str());
            }
            Some(Err(reason)) => {
                tracing::error!(pool = name, kind = %K::KIND, "the pool can't be read, and is left as it is: {reason}");
                self.work.remove(name);
                self.tools.metrics.forget(PoolKey::new(K::KIND, name).as_str());
            }
            Some(Ok(pool)) => {
                let work = self.work.entry(name.to_owned()).or_default();
                let uid = pool.uid();
                if work.uid != uid {
                    // Another pool of the same name: nothing has been said of it.
                    *work = Work {
                        uid,
                        ..Work::default()
                    };
                }
                work.pace.want(Instant::now());
            }
        }
    }

    /// Plans a pool, and begins to write what comes out, if something does.
    fn begin(&mut self, name: &str) -> Option<Write<K>> {
        let pool = self.pools.get(name)?.pool().ok()?.clone();
        let mut plan = self.plan(&pool);
        let status = plan.status.take();
        self.work.get_mut(name)?.pace.begun();
        let Some(status) = status else {
            self.settle(&pool, plan);
            return None;
        };
        let (key, writer) = (pool.key(), self.writer.clone());
        let leadership = self.tools.leadership.clone();
        let outcome = async move {
            // The last look before the request: a plan takes its time, and so does what is taken in before this is polled.
            if leadership.leads() {
                writer.write(pool, status).await
            } else {
                Ok(Outcome::Withheld)
            }
        };
        Some(Write {
            name: name.to_owned(),
            key,
            plan,
            outcome: outcome.boxed(),
        })
    }

    fn finish(&mut self, write: Write<K>, outcome: Result<Outcome<K>, CallError>) {
        let Write { name, key, plan, .. } = write;
        let now = Instant::now();
        match outcome {
            Ok(Outcome::Written(written)) => {
                self.tools.metrics.wrote(key.as_str());
                tracing::debug!(pool = %key, version = ?written.resource_version(), "wrote the status");
                self.notice_pruning(&written);
                self.settle(&written, plan);
                self.pools.learn(written.into());
            }
            Ok(Outcome::Changed(current)) => {
                self.tools.metrics.conflicted(key.as_str());
                tracing::debug!(pool = %key, "the pool changed while it was planned; planning again");
                if self.pools.learn(current.into()).is_some() {
                    self.pool_changed(&name);
                }
                if let Some(work) = self.work.get_mut(&name) {
                    work.pace.done(now);
                    work.pace.want(now);
                }
            }
            Ok(Outcome::Withheld) => {
                if let Some(work) = self.work.get_mut(&name) {
                    work.pace.want(now);
                }
            }
            Err(error) => {
                tracing::warn!(pool = %key, "the status can't be written, trying again: {error}");
                if let Some(work) = self.work.get_mut(&name) {
                    work.pace.failed(now);
                    // Perhaps it can never be written: people are told nevertheless, once.
                    if let Some(Ok(pool)) = self.pools.get(&name).map(PoolObject::pool) {
                        work.said = Some(plan.said);
                        say(&self.tools.recorder, pool, plan.notices);
                    }
                }
            }
        }
    }

    fn plan(&self, pool: &K) -> Plan<K::Status> {
        let work = self.work.get(&pool.name_any());
        pool.plan(&World {
            nodes: self.nodes.objects(),
            now: now(),
            conditions_kept: self.conditions_kept,
            said: work.and_then(|work| work.said.as_ref()),
        })
    }

    /// What `plan` wanted stands in `pool` now: what remains is to tell of it.
    fn settle(&mut self, pool: &K, plan: Plan<K::Status>) {
        let Some(work) = self.work.get_mut(&pool.name_any()) else {
            return;
        };
        work.pace.done(Instant::now());
        let key = pool.key();
        work.said = Some(plan.said);
        say(&self.tools.recorder, pool, plan.notices);
        let unjudged = plan.unjudged.as_ref().map_or(0, |(count, ..)| *count);
        if let Some((count, node, error)) = plan.unjudged
            && count != work.unjudged
        {
            tracing::warn!(pool = %key, nodes = count, "nodes are skipped, the selector can't be evaluated on them; on {node}: {error}");
        }
        work.unjudged = unjudged;
        let bytes = pool.status().map_or(0, |status| {
            serde_json::to_vec(status).map_or(0, |json| json.len())
        });
        self.tools
            .metrics
            .planned(key.as_str(), plan.without_range, plan.stale, bytes);
    }

    /// A CRD of the Go version drops what it doesn't know. Then there is no use in writing it again and again, until another
    /// CRD is applied: each write tells, since each has conditions in it.
    fn notice_pruning(&mut self, written: &K) {
        let kept = !written.conditions().is_empty();
        if kept == self.conditions_kept {
            return;
        }
        self.conditions_kept = kept;
        if kept {
            tracing::info!(kind = %K::KIND, "conditions are on: the cluster's CRD keeps them now");
            self.want_all();
        } else {
            tracing::warn!(
                kind = %K::KIND,
                "conditions are off: the cluster's CRD, of the Go version, drops them; apply config/crd/nv-ipam.nvidia.com.yaml to get them with the next range that is dealt, or at once after a restart"
            );
        }
    }
}

/// Says `notices` of `pool`, in the log and in events.
fn say<K: Pool>(recorder: &Recorder, pool: &K, notices: Vec<Notice>) {
    for notice in notices {
        tracing::warn!(pool = %pool.key(), "{}: {}", notice.reason, notice.message);
        recorder.say(pool, notice);
    }
}

/// The time, in whole seconds as Kubernetes writes it.
fn now() -> Time {
    let now = Timestamp::now();
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

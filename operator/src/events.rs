//! Events on pools: core/v1, because that is what the Go version's role allows.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::Status;
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::call::{CallError, within};
use crate::conditions::beginning;
use crate::findings::Notice;
use crate::pool::Pool;

/// How long one event may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How many events may wait; more are dropped, and counted in the log.
const QUEUE: usize = 256;
/// How long nothing is tried after events were forbidden.
pub const RETRY: Duration = Duration::from_secs(60);
/// How many different events are remembered, to count repeats.
const REMEMBERED: usize = 1024;

/// An event to be posted.
#[derive(Clone, Debug)]
struct Order {
    about: ObjectReference,
    source: &'static str,
    notice: Notice,
    /// When it was ordered: it may be posted much later.
    at: Timestamp,
}

/// Takes events without waiting for the API server.
#[derive(Clone, Debug)]
pub struct Recorder(mpsc::Sender<Order>);

impl Recorder {
    /// Says `notice` of `pool`, sooner or later; it is dropped if too many wait.
    pub fn say<K: Pool>(&self, pool: &K, notice: Notice) {
        let order = Order {
            about: pool.object_ref(&()),
            source: K::EVENT_SOURCE,
            notice,
            at: Timestamp::now(),
        };
        if self.0.try_send(order).is_err() {
            tracing::debug!(pool = %pool.key(), "an event was dropped");
        }
    }
}

/// Posts the events that come from [`Recorder`]s.
#[expect(missing_debug_implementations, reason = "the client has none")]
pub struct Poster {
    orders: mpsc::Receiver<Order>,
    client: Client,
    retry: Duration,
    /// Name and count of what was posted.
    posted: HashMap<Posted, (String, i32)>,
}

/// What makes two events the same: UID of the pool, reason, message.
type Posted = (Option<String>, &'static str, String);

/// A recorder, and the poster that does its work. After events were forbidden it tries again every `retry`.
#[must_use]
pub fn recorder(client: Client, retry: Duration) -> (Recorder, Poster) {
    let (sender, orders) = mpsc::channel(QUEUE);
    let poster = Poster {
        orders,
        client,
        retry,
        posted: HashMap::new(),
    };
    (Recorder(sender), poster)
}

impl Poster {
    /// Posts until every recorder is gone. While the API server doesn't allow it, events wait, as many as there is room for.
    pub async fn run(mut self) {
        while let Some(order) = self.orders.recv().await {
            let mut off = false;
            loop {
                let Err(error) = self.post(&order).await else {
                    if off {
                        tracing::info!("events are on: they can be posted now");
                    }
                    break;
                };
                if !error.status().is_some_and(Status::is_forbidden) {
                    tracing::warn!(reason = order.notice.reason, "an event can't be posted: {error}");
                    break;
                }
                if !off {
                    tracing::warn!(
                        "events are off: {error}; allow create and patch on events (config/operator/role.yaml) to get them, it is tried again every {} s",
                        self.retry.as_secs()
                    );
                }
                off = true;
                sleep(self.retry).await;
            }
        }
    }

    async fn post(&mut self, order: &Order) -> Result<(), CallError> {
        let namespace = order.about.namespace.as_deref().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let same = (
            order.about.uid.clone(),
            order.notice.reason,
            order.notice.message.clone(),
        );
        if let Some((name, count)) = self.posted.get_mut(&same) {
            let repeat = Patch::Merge(json!({"count": *count + 1, "lastTimestamp": Time(order.at)}));
            match within(LIMIT, api.patch(name, &PatchParams::default(), &repeat)).await {
                // Events live for an hour.
                Err(error) if error.status().is_some_and(Status::is_not_found) => {}
                done => {
                    *count += 1;
                    return done.map(drop);
                }
            }
        }
        let event = event(order, Timestamp::now());
        let name = event.metadata.name.clone().unwrap_or_default();
        within(LIMIT, api.create(&PostParams::default(), &event)).await?;
        if self.posted.len() >= REMEMBERED {
            self.posted.clear();
        }
        self.posted.insert(same, (name, 1));
        Ok(())
    }
}

/// The event that is posted at the time `now`.
fn event(order: &Order, now: Timestamp) -> Event {
    Event {
        metadata: ObjectMeta {
            name: Some(event_name(order.about.name.as_deref().unwrap_or_default(), now)),
            namespace: order.about.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: order.about.clone(),
        reason: Some(order.notice.reason.to_owned()),
        message: Some(order.notice.message.clone()),
        type_: Some("Warning".to_owned()),
        count: Some(1),
        first_timestamp: Some(Time(order.at)),
        last_timestamp: Some(Time(order.at)),
        source: Some(EventSource {
            component: Some(order.source.to_owned()),
            host: None,
        }),
        reporting_component: Some(order.source.to_owned()),
        reporting_instance: Some(String::new()),
        ..Event::default()
    }
}

/// Name of an event on the object `about`: unique by its time, and a valid name however long `about` is.
fn event_name(about: &str, now: Timestamp) -> String {
    const LONGEST: usize = 253;
    let suffix = format!(".{:x}", now.as_nanosecond());
    let about = beginning(about, LONGEST - suffix.len());
    format!("{}{suffix}", about.trim_end_matches(['.', '-']))
}

#[cfg(test)]
mod tests {
    use api::ippool::IPPool;
    use kube::Resource;

    use super::*;

    #[test]
    fn an_event_is_about_the_pool_and_looks_as_the_go_version_makes_it() {
        let mut pool = IPPool::new(
            "pool1",
            serde_json::from_value(json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 8})).unwrap(),
        );
        pool.metadata.namespace = Some("kube-system".to_owned());
        pool.metadata.uid = Some("u1".to_owned());
        let order = Order {
            about: pool.object_ref(&()),
            source: IPPool::EVENT_SOURCE,
            notice: Notice {
                reason: "NoFreeRanges",
                message: "failed to allocate IPs on Node: host-a".to_owned(),
            },
            at: Timestamp::from_second(1).unwrap(),
        };
        let event = event(&order, Timestamp::from_second(61).unwrap());
        assert_eq!(
            serde_json::to_value(event).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "Event",
                "metadata": {"name": "pool1.e33e22200", "namespace": "kube-system"},
                "involvedObject": {"apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": "IPPool", "name": "pool1",
                    "namespace": "kube-system", "uid": "u1"},
                "reason": "NoFreeRanges", "message": "failed to allocate IPs on Node: host-a", "type": "Warning",
                "count": 1, "firstTimestamp": "1970-01-01T00:00:01Z", "lastTimestamp": "1970-01-01T00:00:01Z",
                "source": {"component": "IPPoolController"},
                "reportingComponent": "IPPoolController", "reportingInstance": "",
            })
        );
    }

    #[test]
    fn the_name_of_an_event_is_never_too_long() {
        let name = event_name(&format!("{}.-x", "p".repeat(235)), Timestamp::now());
        assert!(name.len() <= 253 && !name.contains(".."), "{name}");
    }
}

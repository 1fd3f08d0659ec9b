//! What the daemon follows at the API server: the pools, and the pods of this node.

pub mod api_server;
mod log;
mod objects;
pub mod pods;
pub mod pools;
mod synced;

use std::fmt::Debug;
use std::future;

use futures::{Stream, StreamExt};
use kube::runtime::watcher::{Config, DefaultBackoff, Error, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use log::WatchLog;

/// What a watch that never ends comes across: events, and failures, which are logged as `what`, once each, and tried again
/// with growing pauses.
///
/// It asks for one list, which the API server answers from its cache and still up to date, and not for pages, which would
/// go to etcd. The lists are short: a node's pods, a cluster's pools.
fn outcomes<K>(
    api: Api<K>,
    field_selector: Option<String>,
    what: &'static str,
) -> impl Stream<Item = Result<Event<K>, Error>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = Config {
        field_selector,
        page_size: None,
        ..Config::default()
    };
    let mut log = WatchLog::new(what);
    // The pauses differ from node to node: an API server that comes back is not to be met by all of them at once.
    process::watch::events(api, config, DefaultBackoff::default).inspect(move |outcome| log.observe(outcome))
}

/// The events of such a watch alone.
fn events<K>(api: Api<K>, field_selector: Option<String>, what: &'static str) -> impl Stream<Item = Event<K>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    outcomes(api, field_selector, what).filter_map(|outcome| future::ready(outcome.ok()))
}

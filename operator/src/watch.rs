//! Watching the API server.

use std::borrow::Cow;
use std::fmt::Debug;
use std::time::Duration;

use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, SinkExt, StreamExt, future};
use kube::runtime::utils::{Backoff, ResetTimerBackoff};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use process::watch::is_expiry;
use serde::de::DeserializeOwned;

/// The stream of what happens to objects. It never ends, and begins with a list of them.
pub type Events<T> = BoxStream<'static, Event<T>>;

/// Watches every object that `api` reaches. Failures are logged, once for each cause, and retried for ever; `what` says
/// in the log what is watched, `hint` what to look at.
#[must_use]
pub fn events<K>(api: Api<K>, what: impl Into<Cow<'static, str>>, hint: &'static str) -> Events<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut log = Log {
        what: what.into(),
        hint,
        failing: None,
    };
    let backoff = || ResetTimerBackoff::new(Retries::default(), LONGEST_RETRY * 2);
    process::watch::events(api, watcher::Config::default(), backoff)
        .filter_map(move |event| {
            future::ready(match event {
                Ok(event) => {
                    log.works(&event);
                    Some(event)
                }
                Err(error) => {
                    log.failed(&error);
                    None
                }
            })
        })
        .boxed()
}

/// How many events one of two listeners may be ahead of the other.
const AHEAD: usize = 256;

/// One watch, told to two, so that the API server has one to serve. Each gets every event, in order, while the future runs
/// and both listen.
#[must_use]
pub fn shared<T>(events: Events<T>) -> (BoxFuture<'static, ()>, [Events<T>; 2])
where
    T: Clone + Send + 'static,
{
    let (to_one, one) = mpsc::channel(AHEAD);
    let (to_other, other) = mpsc::channel(AHEAD);
    // Ends with an error when one stops to listen, at the end of the process.
    let telling = events.map(Ok).forward(to_one.fanout(to_other)).map(drop);
    (telling.boxed(), [one.boxed(), other.boxed()])
}

/// Says a failure once, and that it is over.
struct Log {
    what: Cow<'static, str>,
    hint: &'static str,
    failing: Option<String>,
}

impl Log {
    fn works<K>(&mut self, event: &Event<K>) {
        // A new attempt begins with Init, before anything was asked.
        if !matches!(event, Event::Init) && self.failing.take().is_some() {
            tracing::info!("watching {} again", self.what);
        }
    }

    fn failed(&mut self, error: &watcher::Error) {
        if is_expiry(error) {
            tracing::debug!(
                "the watch of {} has to begin again: {}",
                self.what,
                process::chain(error)
            );
            return;
        }
        let text = described(error, self.hint);
        if self.failing.as_ref() != Some(&text) {
            tracing::warn!("can't watch {}, trying again: {text}", self.what);
            self.failing = Some(text);
        }
    }
}

/// What went wrong, and what to look at if the API server refused it.
fn described(error: &watcher::Error, hint: &str) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => format!("{} ({}); {hint}", status.message, status.code),
        other => process::chain(other),
    }
}

/// Waits between attempts: from a fifth of a second to five, so that an API server that comes back is soon noticed.
#[derive(Debug)]
pub(crate) struct Retries(Duration);

const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(5);

impl Default for Retries {
    fn default() -> Self {
        Self(FIRST_RETRY)
    }
}

impl Iterator for Retries {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.0;
        self.0 = (wait * 2).min(LONGEST_RETRY);
        Some(wait)
    }
}

impl Backoff for Retries {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

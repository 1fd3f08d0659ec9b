//! The client, and whether the API server can be reached.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::Client;
use kube::client::ClientBuilder;
use process::kubernetes::ClientError;
use tower::util::MapResultLayer;

/// A client for the API server that `kubeconfig` or the environment names.
///
/// It doesn't connect yet: an API server that can't be reached is no error here. Whether it can is logged when that
/// changes, once for all who use the client.
pub async fn client(kubeconfig: Option<&Path>) -> Result<Client, ClientError> {
    let config = process::kubernetes::config(kubeconfig).await?;
    let url = config.cluster_url.to_string();
    let reachability = Arc::new(Mutex::new(Reachability::default()));
    let observe = move |outcome: Result<_, tower::BoxError>| {
        let error = outcome.as_ref().err().map(|error| process::chain(&**error));
        let mut reachability = reachability.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(change) = reachability.observe(error, Instant::now()) {
            change.log(&url);
        }
        outcome
    };
    let builder = ClientBuilder::try_from(config).map_err(ClientError::Client)?;
    Ok(builder.with_layer(&MapResultLayer::new(observe)).build())
}

/// What the outcomes of requests say about the way to the API server.
#[derive(Debug, Default)]
enum Reachability {
    #[default]
    Untried,
    Reached,
    Lost {
        since: Instant,
        /// All that were met since then: requests of different parts fail differently at the same time.
        errors: Vec<String>,
    },
}

#[derive(Debug, PartialEq, Eq)]
enum Change {
    Reached,
    ReachedAgain(Duration),
    Lost(String),
}

impl Reachability {
    /// A request was answered, whatever the answer, or failed with `error`. What there is to say about that, if anything.
    fn observe(&mut self, error: Option<String>, now: Instant) -> Option<Change> {
        match (error, &mut *self) {
            (None, Self::Reached) => None,
            (None, Self::Untried) => {
                *self = Self::Reached;
                Some(Change::Reached)
            }
            (None, Self::Lost { since, .. }) => {
                let away = now.saturating_duration_since(*since);
                *self = Self::Reached;
                Some(Change::ReachedAgain(away))
            }
            (Some(error), Self::Lost { errors, .. }) => {
                if errors.contains(&error) {
                    None
                } else {
                    errors.push(error.clone());
                    Some(Change::Lost(error))
                }
            }
            (Some(error), Self::Untried | Self::Reached) => {
                *self = Self::Lost {
                    since: now,
                    errors: vec![error.clone()],
                };
                Some(Change::Lost(error))
            }
        }
    }
}

impl Change {
    fn log(&self, url: &str) {
        match self {
            Self::Reached => tracing::info!(url, "connected to the API server"),
            Self::ReachedAgain(away) => {
                tracing::info!(
                    url,
                    away_seconds = away.as_secs(),
                    "the API server can be reached again"
                );
            }
            Self::Lost(error) => tracing::warn!(
                url,
                error,
                "the API server can't be reached; ADD, DEL and CHECK go on with the pools last known, changes of pools and \
                 vanished pods go unnoticed until it can"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_an_outage_is_said_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let refused = || Some("refused".to_owned());
        let timeout = || Some("timed out".to_owned());
        let mut reachability = Reachability::default();
        assert_eq!(
            reachability.observe(refused(), at(0)),
            Some(Change::Lost("refused".to_owned()))
        );
        assert_eq!(
            reachability.observe(timeout(), at(1)),
            Some(Change::Lost("timed out".to_owned()))
        );
        assert_eq!(reachability.observe(refused(), at(2)), None);
        assert_eq!(reachability.observe(timeout(), at(3)), None);
        assert_eq!(
            reachability.observe(None, at(35)),
            Some(Change::ReachedAgain(Duration::from_secs(35)))
        );
        assert_eq!(reachability.observe(None, at(36)), None);
        assert_eq!(
            reachability.observe(refused(), at(40)),
            Some(Change::Lost("refused".to_owned()))
        );
    }

    #[test]
    fn a_start_with_the_api_server_there_is_said_too() {
        let mut reachability = Reachability::default();
        assert_eq!(reachability.observe(None, Instant::now()), Some(Change::Reached));
        assert_eq!(reachability.observe(None, Instant::now()), None);
    }
}

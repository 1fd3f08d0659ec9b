//! What is wrong with a watch, told when it changes and not at each attempt.

use kube::runtime::watcher::{Error, Event};
use process::watch::is_expiry;

/// Logs the troubles of one watch.
#[derive(Debug)]
pub(super) struct WatchLog {
    what: &'static str,
    trouble: Option<String>,
}

impl WatchLog {
    /// The log of the watch of `what`.
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, trouble: None }
    }

    /// Logs what `outcome` says, if that is news.
    pub(super) fn observe<K>(&mut self, outcome: &Result<Event<K>, Error>) {
        match outcome {
            // The beginning of an attempt says nothing about its success.
            Ok(Event::Init) => {}
            Ok(_) => {
                if self.trouble.take().is_some() {
                    tracing::info!("{} can be watched again", self.what);
                }
            }
            Err(error) => {
                if let Some(trouble) = trouble(error)
                    && self.changed(&trouble)
                {
                    tracing::warn!(
                        "{} can't be watched, trying again and again: {trouble}",
                        self.what
                    );
                }
            }
        }
    }

    fn changed(&mut self, trouble: &str) -> bool {
        let changed = self.trouble.as_deref() != Some(trouble);
        if changed {
            self.trouble = Some(trouble.to_owned());
        }
        changed
    }
}

/// What is wrong with the watch itself. That the API server can't be reached is said elsewhere, for all at once
/// ([`super::api_server`]), and a watch that is too old is renewed as a matter of course.
fn trouble(error: &Error) -> Option<String> {
    if is_expiry(error) {
        return None;
    }
    match error {
        Error::WatchError(status) => Some(status.message.clone()),
        Error::NoResourceVersion => Some(error.to_string()),
        Error::InitialListFailed(cause) | Error::WatchStartFailed(cause) | Error::WatchFailed(cause) => {
            match cause {
                kube::Error::Api(status) if status.code == 404 => Some(format!(
                    "{} (is the CustomResourceDefinition installed?)",
                    status.message
                )),
                kube::Error::Api(status) => Some(status.message.clone()),
                kube::Error::SerdeError(_) => Some(cause.to_string()),
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn status(code: u16, message: &str) -> Box<Status> {
        Box::new(Status::failure(message, "").with_code(code))
    }

    fn refused(message: &str) -> Result<Event<()>, Error> {
        Err(Error::InitialListFailed(kube::Error::Api(status(403, message))))
    }

    #[test]
    fn a_trouble_is_news_when_it_changes_or_comes_back() {
        let mut log = WatchLog::new("pods");
        log.observe(&refused("pods is forbidden"));
        assert!(!log.changed("pods is forbidden"));
        log.observe::<()>(&Ok(Event::Init));
        assert!(
            !log.changed("pods is forbidden"),
            "each attempt begins with that event"
        );
        log.observe::<()>(&Ok(Event::InitDone));
        assert!(log.changed("pods is forbidden"));
    }

    #[test]
    fn an_outdated_watch_and_an_unreachable_server_are_no_trouble_of_the_watch() {
        assert_eq!(
            trouble(&Error::WatchError(status(410, "too old resource version"))),
            None
        );
        let expired = kube::Error::Api(status(410, "too old resource version"));
        assert_eq!(trouble(&Error::WatchStartFailed(expired)), None);
        let unreachable = kube::Error::Service("connection refused".into());
        assert_eq!(trouble(&Error::WatchStartFailed(unreachable)), None);
        assert_eq!(
            trouble(&refused("pods is forbidden").unwrap_err()).unwrap(),
            "pods is forbidden"
        );
    }
}

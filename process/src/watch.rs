//! Watching the API server, so that nothing but the API server can make it go stale.

use std::fmt::Debug;

use futures::{Stream, StreamExt, future, stream};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Config, Error, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// A watch is renewed this often. One whose connection fell silent is noticed a few seconds later.
const RENEWED_EVERY_SECONDS: u32 = 60;

/// The stream of what happens to the objects that `api` and `config` select, and of what goes wrong meanwhile. It never
/// ends, and begins with a list of them; whatever fails is tried again after a pause of `backoff`.
///
/// `config` keeps its own timeout out of this: a watch lasts a minute.
pub fn events<K, B>(
    api: Api<K>,
    config: Config,
    backoff: impl Fn() -> B,
) -> impl Stream<Item = Result<Event<K>, Error>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    B: Backoff,
{
    let config = config.timeout(RENEWED_EVERY_SECONDS);
    let attempt = move || {
        watcher::watcher(api.clone(), config.clone())
            .backoff(backoff())
            // kube lists again after an expiry that a watch tells of. If its start is answered with one, it asks for the
            // same version for ever, so it ends here, one attempt later: before that attempt comes the pause.
            .scan(false, |refused, event| {
                let over = *refused;
                *refused = matches!(&event, Err(error @ Error::WatchStartFailed(_)) if is_expiry(error));
                future::ready((!over).then_some(event))
            })
    };
    stream::repeat_with(attempt).flatten()
}

/// Whether the API server only says that the watch was away for too long. It begins again with a list, as a matter of
/// course.
#[must_use]
pub fn is_expiry(error: &Error) -> bool {
    match error {
        Error::WatchError(status)
        | Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchFailed(kube::Error::Api(status)) => status.code == 410,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::pin;
    use std::sync::{Arc, Mutex};

    use axum::http::{Request, Response};
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Client;
    use kube::client::Body;
    use kube::runtime::watcher::DefaultBackoff;

    use super::*;

    const EXPIRED: &str = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,
        "message":"too old resource version"}"#;

    /// An API server whose lists are of version 1, 2, ... and that forgot version 1 at once. It notes what it is asked.
    fn forgetful(asked: Arc<Mutex<Vec<String>>>) -> Client {
        let service = tower::service_fn(move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let mut asked = asked.lock().unwrap();
            asked.push(query.clone());
            let lists = asked.iter().filter(|query| !query.contains("watch=")).count();
            let answer = if query.contains("resourceVersion=1&") || query.ends_with("resourceVersion=1") {
                Response::builder()
                    .status(410)
                    .body(Body::from(EXPIRED.to_owned().into_bytes()))
            } else if query.contains("watch=") {
                Response::builder().body(Body::empty())
            } else {
                let list = format!(
                    r#"{{"kind":"ConfigMapList","apiVersion":"v1","metadata":{{"resourceVersion":"{lists}"}},"items":[]}}"#
                );
                Response::builder().body(Body::from(list.into_bytes()))
            };
            future::ready(Ok::<_, Infallible>(answer.unwrap()))
        });
        Client::new(service, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_whose_start_is_refused_as_expired_begins_again_with_a_list() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let api: Api<ConfigMap> = Api::all(forgetful(asked.clone()));
        let mut events = pin!(events(api, Config::default(), DefaultBackoff::default));
        let mut lists = 0;
        while lists < 2 {
            match events.next().await.unwrap() {
                Ok(Event::InitDone) => lists += 1,
                Ok(_) => {}
                Err(error) => assert!(is_expiry(&error), "{error}"),
            }
            let asked = asked.lock().unwrap();
            assert!(
                asked.len() < 10,
                "it asks for the same version again and again: {asked:?}"
            );
        }
        let asked = asked.lock().unwrap();
        let mut watches = asked.iter().filter(|query| query.contains("watch="));
        assert!(
            watches.all(|query| query.contains("timeoutSeconds=60")),
            "{asked:?}"
        );
    }

    #[test]
    fn only_a_410_is_an_expiry() {
        let status = |code| Box::new(kube::core::Status::failure("", "").with_code(code));
        assert!(is_expiry(&Error::WatchError(status(410))));
        assert!(is_expiry(&Error::WatchStartFailed(kube::Error::Api(status(410)))));
        assert!(!is_expiry(&Error::WatchStartFailed(kube::Error::Api(status(
            403
        )))));
        assert!(!is_expiry(&Error::NoResourceVersion));
    }
}

//! An API server in memory: pools and pods, listed, watched and read over HTTP on a loopback port. See [`super::pools`] for
//! what pools it can be given.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    IpPool,
    CidrPool,
    Pod,
}

#[derive(Default)]
pub(super) struct Objects {
    version: u64,
    current: BTreeMap<(Kind, String), Value>,
    /// Everything that ever happened: version, what, to which object.
    events: Vec<(u64, Kind, &'static str, Value)>,
    /// How often single pods were asked for.
    pod_reads: usize,
    /// What requests for single pods get instead of an answer.
    failure: Option<(StatusCode, &'static str)>,
    /// What requests for lists of CIDRPools get instead of an answer.
    pub(super) cidrpools_refused: Option<StatusCode>,
}

/// An API server. Its objects outlive its processes: it can be stopped and started on the same port.
pub(crate) struct ApiServer {
    address: SocketAddr,
    pub(super) objects: Arc<Mutex<Objects>>,
    changed: watch::Sender<u64>,
    /// Each answer to a request for a single pod takes one permit.
    pod_answers: Arc<Semaphore>,
    running: Option<Runtime>,
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.running.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Clone)]
struct Shared {
    objects: Arc<Mutex<Objects>>,
    changed: watch::Receiver<u64>,
    pod_answers: Arc<Semaphore>,
}

const POOLS: &str = "/apis/nv-ipam.nvidia.com/v1alpha1/namespaces/{namespace}";

const UNLIMITED: usize = 1 << 20;

impl ApiServer {
    /// One that runs.
    pub(crate) fn start() -> Self {
        let mut server = Self::absent();
        server.restart();
        server
    }

    /// One that doesn't run, at an address at which nobody answers.
    pub(crate) fn absent() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            address: free.local_addr().unwrap(),
            objects: Arc::default(),
            changed: watch::Sender::new(0),
            pod_answers: Arc::new(Semaphore::new(UNLIMITED)),
            running: None,
        }
    }

    /// Starts answering, with the objects that it has.
    pub(crate) fn restart(&mut self) {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let shared = Shared {
            objects: self.objects.clone(),
            changed: self.changed.subscribe(),
            pod_answers: self.pod_answers.clone(),
        };
        let listener = std::net::TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let routes = Router::new()
            .route(&format!("{POOLS}/ippools"), get(ippools))
            .route(&format!("{POOLS}/cidrpools"), get(cidrpools))
            .route("/api/v1/pods", get(pods))
            .route("/api/v1/namespaces/{namespace}/pods/{name}", get(pod))
            .with_state(shared);
        runtime.spawn(async move { axum::serve(TcpListener::from_std(listener).unwrap(), routes).await });
        self.running = Some(runtime);
    }

    /// Vanishes: connections break, and new ones are refused.
    pub(crate) fn stop(&mut self) {
        let runtime = self.running.take().unwrap();
        // In a thread of its own, because a test's own runtime lets none of its threads wait.
        let waiting = std::thread::spawn(|| runtime.shutdown_timeout(Duration::from_secs(5)));
        waiting.join().unwrap();
    }

    /// What a client needs to reach it.
    pub(crate) fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        })
        .to_string()
    }

    /// From now on requests for single pods get this status and body, or an answer again.
    pub(crate) fn fail_pod_reads(&self, failure: Option<(StatusCode, &'static str)>) {
        self.objects.lock().unwrap().failure = failure;
    }

    /// From now on requests for single pods wait.
    pub(crate) fn hold_pod_answers(&self) {
        self.pod_answers.forget_permits(UNLIMITED);
    }

    /// Answers `count` of the requests that wait, or that come.
    pub(crate) fn answer_pods(&self, count: usize) {
        self.pod_answers.add_permits(count);
    }

    /// How often single pods were asked for.
    pub(crate) fn pod_reads(&self) -> usize {
        self.objects.lock().unwrap().pod_reads
    }

    /// Creates or replaces a pod of the namespace default on `node`.
    pub(crate) fn put_pod(&self, name: &str, uid: &str, node: &str, annotations: &Value) {
        self.put(
            Kind::Pod,
            &format!("default/{name}"),
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": "default", "uid": uid, "annotations": annotations},
                "spec": {"nodeName": node, "containers": []},
            }),
        );
    }

    pub(crate) fn delete_pod(&self, name: &str) {
        self.delete(Kind::Pod, &format!("default/{name}"));
    }

    pub(super) fn put(&self, kind: Kind, name: &str, mut object: Value) {
        let mut objects = self.objects.lock().unwrap();
        objects.version += 1;
        let version = objects.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let old = objects.current.insert((kind, name.to_owned()), object.clone());
        let what = if old.is_some() { "MODIFIED" } else { "ADDED" };
        objects.events.push((version, kind, what, object));
        self.changed.send_replace(version);
    }

    pub(super) fn delete(&self, kind: Kind, name: &str) {
        let mut objects = self.objects.lock().unwrap();
        objects.version += 1;
        let version = objects.version;
        let mut object = objects.current.remove(&(kind, name.to_owned())).unwrap();
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        objects.events.push((version, kind, "DELETED", object));
        self.changed.send_replace(version);
    }
}

async fn ippools(State(shared): State<Shared>, uri: Uri) -> Response {
    answer(shared, Kind::IpPool, &uri)
}

async fn cidrpools(State(shared): State<Shared>, uri: Uri) -> Response {
    let refused = shared.objects.lock().unwrap().cidrpools_refused;
    match refused {
        Some(code) => {
            let status = json!({
                "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code.as_u16(),
                "message": "the server could not find the requested resource",
            });
            (code, status.to_string()).into_response()
        }
        None => answer(shared, Kind::CidrPool, &uri),
    }
}

async fn pods(State(shared): State<Shared>, uri: Uri) -> Response {
    answer(shared, Kind::Pod, &uri)
}

async fn pod(State(shared): State<Shared>, Path((namespace, name)): Path<(String, String)>) -> Response {
    shared.objects.lock().unwrap().pod_reads += 1;
    shared.pod_answers.acquire().await.unwrap().forget();
    let objects = shared.objects.lock().unwrap();
    if let Some(failure) = objects.failure {
        return failure.into_response();
    }
    if let Some(pod) = objects.current.get(&(Kind::Pod, format!("{namespace}/{name}"))) {
        return pod.to_string().into_response();
    }
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound",
        "message": format!("pods {name:?} not found"), "details": {"kind": "pods", "name": name},
    });
    (StatusCode::NOT_FOUND, status.to_string()).into_response()
}

fn parameter<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    uri.query()?
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

fn answer(shared: Shared, kind: Kind, uri: &Uri) -> Response {
    let node = parameter(uri, "fieldSelector").map(|selector| selector.replace("spec.nodeName%3D", ""));
    let selected = move |object: &Value| {
        node.as_ref()
            .is_none_or(|node| object["spec"]["nodeName"] == **node)
    };
    if matches!(parameter(uri, "watch"), Some("true" | "1")) {
        let from = parameter(uri, "resourceVersion")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        return Body::from_stream(follow(shared, kind, from, selected)).into_response();
    }
    let objects = shared.objects.lock().unwrap();
    let items: Vec<&Value> = objects
        .current
        .iter()
        .filter(|((its_kind, _), object)| *its_kind == kind && selected(object))
        .map(|(_, object)| object)
        .collect();
    json!({"metadata": {"resourceVersion": objects.version.to_string()}, "items": items})
        .to_string()
        .into_response()
}

/// The events after version `from`, as they happen.
fn follow(
    shared: Shared,
    kind: Kind,
    from: u64,
    selected: impl Fn(&Value) -> bool,
) -> impl stream::Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(
        (shared, from, selected),
        move |(mut shared, mut seen, selected)| async move {
            loop {
                let mut lines = String::new();
                {
                    let objects = shared.objects.lock().unwrap();
                    for (version, its_kind, what, object) in &objects.events {
                        if *version > seen && *its_kind == kind && selected(object) {
                            lines.push_str(&json!({"type": what, "object": object}).to_string());
                            lines.push('\n');
                        }
                    }
                    seen = seen.max(objects.version);
                }
                if !lines.is_empty() {
                    return Some((Ok(Bytes::from(lines)), (shared, seen, selected)));
                }
                shared.changed.wait_for(|version| *version > seen).await.ok()?;
            }
        },
    )
}

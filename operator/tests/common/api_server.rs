//! As much of an API server as the controller needs: list, watch, compare-and-swap, in memory, on loopback. And what can go
//! wrong with one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub(crate) const NODES: &str = "/api/v1/nodes";
pub(crate) const POOLS: &str = "/apis/nv-ipam.nvidia.com/v1alpha1/namespaces/kube-system/ippools";
pub(crate) const CIDRPOOLS: &str = "/apis/nv-ipam.nvidia.com/v1alpha1/namespaces/kube-system/cidrpools";
pub(crate) const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
pub(crate) const EVENTS: &str = "/api/v1/namespaces/kube-system/events";
const COLLECTIONS: [&str; 5] = [NODES, POOLS, CIDRPOOLS, LEASES, EVENTS];
/// Where it says which kinds of pools it serves.
pub(crate) const DISCOVERY: &str = "/apis/nv-ipam.nvidia.com/v1alpha1";

/// Whatever takes so long hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How a watcher is told that the version it wants to go on from is too old.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expiry {
    /// By an event of the watch, as Kubernetes does.
    Event,
    /// By the status of the answer.
    Status,
}

/// Something done at a certain moment.
type Hook = Box<dyn FnOnce(&ApiServer) + Send>;

/// What goes wrong.
#[derive(Default)]
pub(crate) struct Faults {
    /// Done before each status write; the write conflicts if this writes the pool.
    pub(crate) before_status_write: Option<Hook>,
    /// The CRD doesn't know conditions.
    pub(crate) prune_conditions: bool,
    /// These kinds are not served: no CRD of theirs is there.
    pub(crate) unserved: Vec<&'static str>,
    /// Who asks which kinds are served is told this instead.
    pub(crate) failing_discovery: Option<StatusCode>,
    /// Listing these collections is forbidden.
    pub(crate) forbidden: Vec<&'static str>,
    /// Events are forbidden.
    pub(crate) forbid_events: bool,
    /// Status writes are never answered, and not done.
    pub(crate) swallow_status_writes: bool,
    /// The next status writes fail, the last of these first.
    pub(crate) failing_status_writes: Vec<StatusCode>,
    /// Watches from before this version are told that it is too old.
    expired: Option<(u64, Expiry)>,
}

#[derive(Default)]
struct Data {
    objects: BTreeMap<String, Value>,
    /// Version, collection, type of event, object.
    log: Vec<(u64, &'static str, &'static str, Value)>,
    version: u64,
    /// How many requests of each kind were made, such as `PUT status`.
    requests: BTreeMap<String, usize>,
    node_accepts: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct ApiServer {
    data: Arc<Mutex<Data>>,
    pub(crate) faults: Arc<Mutex<Faults>>,
    /// Version, and how often all watches were cut.
    changed: watch::Sender<(u64, u64)>,
    pub(crate) address: std::net::SocketAddr,
}

impl ApiServer {
    /// Serves until the runtime ends.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            data: Arc::default(),
            faults: Arc::default(),
            changed: watch::Sender::new((0, 0)),
            address: listener.local_addr().unwrap(),
        };
        let app = Router::new().fallback(serve).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        server
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap()
    }

    /// Stores an object as whoever, whatever is stored.
    pub(crate) fn put(&self, collection: &'static str, mut object: Value) -> Value {
        let mut data = self.data();
        let path = format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap());
        data.version += 1;
        let version = data.version;
        let known = data.objects.get(&path).cloned();
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.insert("resourceVersion".to_owned(), json!(version.to_string()));
        let uid = match &known {
            Some(known) => known["metadata"]["uid"].clone(),
            None => json!(format!("uid-{version}")),
        };
        metadata.insert("uid".to_owned(), uid);
        metadata.entry("generation").or_insert(json!(1));
        let what = if known.is_some() { "MODIFIED" } else { "ADDED" };
        data.objects.insert(path, object.clone());
        data.log.push((version, collection, what, object.clone()));
        drop(data);
        self.changed.send_modify(|changed| changed.0 = version);
        object
    }

    pub(crate) fn delete(&self, collection: &'static str, name: &str) {
        let mut data = self.data();
        data.version += 1;
        let version = data.version;
        let mut object = data.objects.remove(&format!("{collection}/{name}")).unwrap();
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        data.log.push((version, collection, "DELETED", object));
        drop(data);
        self.changed.send_modify(|changed| changed.0 = version);
    }

    pub(crate) fn get(&self, collection: &str, name: &str) -> Option<Value> {
        self.data().objects.get(&format!("{collection}/{name}")).cloned()
    }

    /// Every object of a collection, by name.
    pub(crate) fn list(&self, collection: &str) -> Vec<Value> {
        let prefix = format!("{collection}/");
        self.data()
            .objects
            .iter()
            .filter(|(path, _)| path.starts_with(&prefix))
            .map(|(_, object)| object.clone())
            .collect()
    }

    pub(crate) fn requests(&self, kind: &str) -> usize {
        self.data().requests.get(kind).copied().unwrap_or_default()
    }

    /// How many requests were made.
    pub(crate) fn all_requests(&self) -> usize {
        self.data().requests.values().sum()
    }

    /// What the controller accepts as nodes.
    pub(crate) fn node_accepts(&self) -> Vec<String> {
        self.data().node_accepts.clone()
    }

    /// Ends every watch. With `forget`, those who want to go on from a version before now have to list again.
    pub(crate) fn cut_watches(&self, forget: Option<Expiry>) {
        let version = self.data().version;
        self.faults.lock().unwrap().expired = forget.map(|how| (version, how));
        self.changed.send_modify(|changed| changed.1 += 1);
    }

    /// Waits until `condition` holds; looks after each change, and each request.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let mut changes = self.changed.subscribe();
        let wait = async {
            while !condition(self) {
                changes.changed().await.unwrap();
            }
        };
        assert!(
            tokio::time::timeout(PATIENCE, wait).await.is_ok(),
            "waited in vain: {what}"
        );
    }

    fn watch(&self, collection: &'static str, since: u64) -> Response {
        let expired = self.faults.lock().unwrap().expired;
        if let Some((_, how)) = expired.filter(|(oldest, _)| since < *oldest) {
            let status = status(StatusCode::GONE, "Expired", "too old resource version");
            return match how {
                Expiry::Event => json_response(&json!({"type": "ERROR", "object": status})),
                Expiry::Status => (StatusCode::GONE, status.to_string()).into_response(),
            };
        }
        let changes = self.changed.subscribe();
        let cuts = changes.borrow().1;
        let events = stream::unfold(
            (self.clone(), since, changes),
            move |(server, since, mut changes)| async move {
                loop {
                    if changes.borrow_and_update().1 != cuts {
                        return None;
                    }
                    let next = server
                        .data()
                        .log
                        .iter()
                        .find(|(version, c, ..)| *version > since && *c == collection)
                        .map(|(version, _, what, object)| {
                            (*version, json!({"type": what, "object": object}))
                        });
                    if let Some((version, event)) = next {
                        let line = Ok::<_, std::io::Error>(format!("{event}\n"));
                        return Some((line, (server, version, changes)));
                    }
                    changes.changed().await.ok()?;
                }
            },
        );
        Body::from_stream(events).into_response()
    }

    /// Which kinds it serves.
    fn discovery(&self) -> Response {
        let faults = self.faults.lock().unwrap();
        if let Some(code) = faults.failing_discovery {
            return failure(code, "InternalError", "the API server is unwell");
        }
        let unserved = &faults.unserved;
        let served: Vec<Value> = ["cidrpools", "ippools"]
            .into_iter()
            .filter(|name| !unserved.contains(name))
            .map(|name| json!({"name": name, "singularName": "", "namespaced": true, "kind": "", "verbs": ["list"]}))
            .collect();
        if served.is_empty() {
            return no_such_page();
        }
        json_response(&json!({"kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": "nv-ipam.nvidia.com/v1alpha1", "resources": served}))
    }

    /// Why a list is refused.
    fn refused(&self, collection: &str) -> Option<Response> {
        let faults = self.faults.lock().unwrap();
        if faults.forbidden.contains(&collection) {
            return Some(failure(StatusCode::FORBIDDEN, "Forbidden", "it is forbidden"));
        }
        let unserved = faults
            .unserved
            .iter()
            .any(|name| collection.ends_with(&format!("/{name}")));
        unserved.then(no_such_page)
    }

    async fn status_write(&self, collection: &'static str, name: &str, new: Value) -> Response {
        let path = &format!("{collection}/{name}");
        let hook = self.faults.lock().unwrap().before_status_write.take();
        if let Some(hook) = hook {
            hook(self);
        }
        let (swallow, fail, prune) = {
            let mut faults = self.faults.lock().unwrap();
            let fail = faults.failing_status_writes.pop();
            (faults.swallow_status_writes, fail, faults.prune_conditions)
        };
        if swallow {
            std::future::pending::<()>().await;
        }
        if let Some(code) = fail {
            let reason = match code {
                StatusCode::NOT_FOUND => "NotFound",
                _ => "InternalError",
            };
            return failure(code, reason, "the API server is unwell");
        }
        let Some(current) = self.data().objects.get(path).cloned() else {
            return failure(StatusCode::NOT_FOUND, "NotFound", "no such pool");
        };
        if current["metadata"]["resourceVersion"] != new["metadata"]["resourceVersion"] {
            return failure(StatusCode::CONFLICT, "Conflict", "the object has been modified");
        }
        let mut next = current.clone();
        next["status"] = new["status"].clone();
        if prune {
            next["status"].as_object_mut().unwrap().remove("conditions");
        }
        if next == current {
            return json_response(&next);
        }
        json_response(&self.put(collection, next))
    }

    fn write(
        &self,
        collection: &'static str,
        method: &Method,
        name: Option<&str>,
        mut object: Value,
    ) -> Response {
        let known = name
            .or_else(|| object["metadata"]["name"].as_str())
            .and_then(|name| self.get(collection, name));
        match (method, known) {
            (&Method::POST, Some(_)) => failure(StatusCode::CONFLICT, "AlreadyExists", "it exists"),
            (&Method::PUT, Some(known))
                if known["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] =>
            {
                failure(StatusCode::CONFLICT, "Conflict", "the object has been modified")
            }
            (&Method::PATCH, Some(mut known)) => {
                for (key, value) in object.as_object_mut().unwrap() {
                    known[key] = value.take();
                }
                json_response(&self.put(collection, known))
            }
            (&Method::PUT | &Method::PATCH, None) => {
                failure(StatusCode::NOT_FOUND, "NotFound", "no such object")
            }
            _ => json_response(&self.put(collection, object)),
        }
    }
}

async fn serve(State(server): State<ApiServer>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let body: Value = serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap_or_default();
    if path == DISCOVERY {
        *server
            .data()
            .requests
            .entry(format!("GET {DISCOVERY}"))
            .or_default() += 1;
        server.changed.send_modify(|_| {});
        return server.discovery();
    }
    let collection = COLLECTIONS
        .into_iter()
        .find(|c| {
            path.strip_prefix(c)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
        .unwrap_or_else(|| panic!("nobody asks for {path}"));
    let rest: Vec<&str> = path[collection.len()..].split('/').skip(1).collect();
    let watching = query.split('&').any(|part| part == "watch=true");
    let kind = match rest[..] {
        [_, "status"] => format!("{} status", parts.method),
        _ if watching => format!("WATCH {collection}"),
        _ => format!("{} {collection}", parts.method),
    };
    *server.data().requests.entry(kind).or_default() += 1;
    if collection == NODES {
        let accept = parts.headers.get("accept").unwrap().to_str().unwrap().to_owned();
        server.data().node_accepts.push(accept);
    }
    // So that whoever waits for a request sees it.
    server.changed.send_modify(|_| {});
    match (&parts.method, &rest[..]) {
        (&Method::GET, []) if watching => {
            let since = query
                .split('&')
                .find_map(|part| part.strip_prefix("resourceVersion="))
                .and_then(|version| version.parse().ok());
            server.watch(collection, since.unwrap_or_default())
        }
        (&Method::GET, []) => {
            if let Some(refused) = server.refused(collection) {
                return refused;
            }
            let (items, version) = (server.list(collection), server.data().version);
            json_response(&json!({"apiVersion": "v1", "kind": "List", "items": items,
                "metadata": {"resourceVersion": version.to_string()}}))
        }
        (&Method::GET, [name]) => match server.get(collection, name) {
            Some(object) => json_response(&object),
            None => failure(StatusCode::NOT_FOUND, "NotFound", "no such object"),
        },
        (&Method::PUT, [name, "status"]) => server.status_write(collection, name, body).await,
        _ if collection == EVENTS && server.faults.lock().unwrap().forbid_events => {
            failure(StatusCode::FORBIDDEN, "Forbidden", "events is forbidden")
        }
        (method, rest) => server.write(collection, method, rest.first().copied(), body),
    }
}

fn json_response(object: &Value) -> Response {
    object.to_string().into_response()
}

fn status(code: StatusCode, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16()})
}

/// What Kubernetes says of paths that it doesn't serve: no status object.
fn no_such_page() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

fn failure(code: StatusCode, reason: &str, message: &str) -> Response {
    (code, status(code, reason, message).to_string()).into_response()
}

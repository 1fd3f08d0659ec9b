//! A daemon that answers as a test says, and a node on which the plugin runs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rpc::journal::{Entry, FOLDER, SUFFIX};
use rpc::v1::ipam_service_server::{IpamService, IpamServiceServer};
use rpc::v1::{
    AllocateRequest, AllocateResponse, AllocationInfo, CollectGarbageRequest, CollectGarbageResponse,
    DeallocateRequest, DeallocateResponse, IpamParameters, IsAllocatedRequest, IsAllocatedResponse,
    StatusRequest, StatusResponse,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::{Code, Request, Response, Status};

/// What the daemon does with every call.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Success; an ADD gets these.
    Allocations(Vec<AllocationInfo>),
    Refusal(Code, &'static str),
    Never,
}

/// A call that the daemon got.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: &'static str,
    pub(crate) parameters: Option<IpamParameters>,
    /// Of a GC.
    pub(crate) garbage: Option<CollectGarbageRequest>,
    /// The header in which the caller says how long it waits.
    pub(crate) grpc_timeout: Option<String>,
}

#[derive(Clone)]
struct Scripted {
    reply: Reply,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Seen {
    fn new<T>(method: &'static str, request: &Request<T>) -> Self {
        let grpc_timeout = request.metadata().get("grpc-timeout");
        Self {
            method,
            parameters: None,
            garbage: None,
            grpc_timeout: grpc_timeout.map(|value| value.to_str().unwrap().to_owned()),
        }
    }

    fn with(self, parameters: Option<&IpamParameters>) -> Self {
        Self {
            parameters: parameters.cloned(),
            ..self
        }
    }
}

impl Scripted {
    async fn answer(&self, seen: Seen) -> Result<Vec<AllocationInfo>, Status> {
        self.seen.lock().unwrap().push(seen);
        match self.reply.clone() {
            Reply::Allocations(allocations) => Ok(allocations),
            Reply::Refusal(code, message) => Err(Status::new(code, message)),
            Reply::Never => std::future::pending().await,
        }
    }
}

#[tonic::async_trait]
impl IpamService for Scripted {
    async fn allocate(
        &self,
        request: Request<AllocateRequest>,
    ) -> Result<Response<AllocateResponse>, Status> {
        let seen = Seen::new("Allocate", &request).with(request.get_ref().parameters.as_ref());
        let allocations = self.answer(seen).await?;
        Ok(Response::new(AllocateResponse { allocations }))
    }

    async fn is_allocated(
        &self,
        request: Request<IsAllocatedRequest>,
    ) -> Result<Response<IsAllocatedResponse>, Status> {
        let seen = Seen::new("IsAllocated", &request).with(request.get_ref().parameters.as_ref());
        self.answer(seen).await?;
        Ok(Response::new(IsAllocatedResponse {}))
    }

    async fn deallocate(
        &self,
        request: Request<DeallocateRequest>,
    ) -> Result<Response<DeallocateResponse>, Status> {
        let seen = Seen::new("Deallocate", &request).with(request.get_ref().parameters.as_ref());
        self.answer(seen).await?;
        Ok(Response::new(DeallocateResponse {}))
    }

    async fn collect_garbage(
        &self,
        request: Request<CollectGarbageRequest>,
    ) -> Result<Response<CollectGarbageResponse>, Status> {
        let seen = Seen::new("CollectGarbage", &request);
        self.answer(Seen {
            garbage: Some(request.into_inner()),
            ..seen
        })
        .await?;
        Ok(Response::new(CollectGarbageResponse { released: 2 }))
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.answer(Seen::new("Status", &request)).await?;
        Ok(Response::new(StatusResponse {}))
    }
}

/// A running daemon; it ends when dropped.
pub(crate) struct Daemon {
    seen: Arc<Mutex<Vec<Seen>>>,
    _runtime: Runtime,
}

impl Daemon {
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn serve(reply: Reply, run: impl FnOnce(&Runtime, tonic::transport::server::Router)) -> Self {
        let runtime = Runtime::new().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let service = IpamServiceServer::new(Scripted {
            reply,
            seen: seen.clone(),
        });
        run(&runtime, tonic::transport::Server::builder().add_service(service));
        Self {
            seen,
            _runtime: runtime,
        }
    }

    /// Listens on a free TCP port of 127.0.0.1.
    pub(crate) fn on_tcp(reply: Reply) -> (Self, u16) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let daemon = Self::serve(reply, |runtime, router| {
            let _inside = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            runtime.spawn(router.serve_with_incoming(incoming));
        });
        (daemon, port)
    }
}

/// What a run of the plugin gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Code and message of the error object.
    pub(crate) fn error(&self) -> (u64, String) {
        assert!(!self.success, "{self:?}");
        let error: Value = serde_json::from_str(&self.stdout).unwrap();
        (
            error["code"].as_u64().unwrap(),
            error["msg"].as_str().unwrap().to_owned(),
        )
    }

    /// Asserts that the verb succeeded, and gives what it printed.
    pub(crate) fn ok(&self) -> &str {
        assert!(self.success, "{self:?}");
        &self.stdout
    }
}

/// A call of the plugin: environment and standard input.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) stdin: Vec<u8>,
}

impl Call {
    /// The same call with the variable `name` set.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.retain(|(other, _)| *other != name);
        self.environment.push((name, value.into()));
        self
    }

    /// The same call with another configuration.
    pub(crate) fn stdin(mut self, stdin: impl Into<Vec<u8>>) -> Self {
        self.stdin = stdin.into();
        self
    }

    pub(crate) fn spawn(&self) -> Child {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nv-ipam"))
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // The plugin may refuse the call before it reads.
        let _ = stdin.write_all(&self.stdin);
        child
    }

    pub(crate) fn run(&self) -> Ran {
        let output = self.spawn().wait_with_output().unwrap();
        Ran {
            success: output.status.success(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The folders of a node: socket, configuration and log.
pub(crate) struct Node {
    folder: TempDir,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("daemon.sock")
    }

    /// A daemon on this node's socket.
    pub(crate) fn daemon(&self, reply: Reply) -> Daemon {
        Daemon::serve(reply, |runtime, router| {
            let _inside = runtime.enter();
            let listener = tokio::net::UnixListener::bind(self.socket()).unwrap();
            let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
            runtime.spawn(router.serve_with_incoming(incoming));
        })
    }

    /// The network configuration of a pod on this node. Its calls may take long, as a loaded machine may be slow.
    pub(crate) fn conf(&self, version: &str) -> Value {
        json!({
            "cniVersion": version,
            "name": "mynet",
            "type": "bridge",
            "ipam": {
                "type": "nv-ipam",
                "poolName": "pool1",
                "daemonSocket": format!("unix://{}", self.socket().display()),
                "daemonCallTimeoutSeconds": 60,
                "confDir": self.path("conf"),
                "logFile": self.path("log"),
            },
        })
    }

    /// A call as a kubelet makes it.
    pub(crate) fn call(&self, verb: &str) -> Call {
        let pod = "IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=pod;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=uid";
        Call {
            environment: Vec::new(),
            stdin: self.conf("1.0.0").to_string().into_bytes(),
        }
        .with("CNI_COMMAND", verb)
        .with("CNI_CONTAINERID", "c1")
        .with("CNI_NETNS", "/run/netns/not-there")
        .with("CNI_IFNAME", "net1")
        .with("CNI_PATH", "/opt/cni/bin")
        .with("CNI_ARGS", pod)
    }

    /// The DEL journal: every complete entry.
    pub(crate) fn journal(&self) -> Vec<Entry> {
        entries(&self.path(FOLDER))
    }

    /// A call that waits for a second only.
    pub(crate) fn impatient_call(&self, verb: &str, version: &str) -> Call {
        let mut conf = self.conf(version);
        conf["ipam"]["daemonCallTimeoutSeconds"] = json!(1);
        self.call(verb).stdin(conf.to_string())
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// The complete entries in `folder`. An entry that can't be read fails the test.
pub(crate) fn entries(folder: &Path) -> Vec<Entry> {
    let Ok(files) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    files
        .map(|file| file.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(SUFFIX))
        .map(|path| Entry::decode(&std::fs::read(path).unwrap()).unwrap())
        .collect()
}

/// One address with a gateway.
pub(crate) fn one_address() -> Reply {
    Reply::Allocations(vec![AllocationInfo {
        pool: "pool1".into(),
        ip: "192.168.0.2/16".into(),
        gateway: "192.168.0.1".into(),
        ..AllocationInfo::default()
    }])
}

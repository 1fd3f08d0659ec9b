//! A node on which the plugin runs, with a daemon that answers as a test says.

mod daemon;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rpc::journal::{Entry, FOLDER, SUFFIX};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use daemon::{Daemon, Reply, one_address};

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
        Daemon::on_unix(&self.socket(), reply)
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

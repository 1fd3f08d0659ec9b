//! Runs the plugin as a runtime does, with nothing in between.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::machine::Machine;

/// How to run the plugin for containers of one machine.
#[derive(Debug)]
pub(super) struct Caller {
    program: PathBuf,
    netns: String,
    config: String,
}

impl Caller {
    /// `program` for containers that get addresses of `pool`, from the daemon in `machine`.
    pub(super) fn new(program: PathBuf, machine: &Machine, pool: &str) -> Self {
        let own = |path: &str| machine.folder.join(path);
        let config = json!({
            "cniVersion": "1.0.0",
            "name": "bench",
            "type": "nv-ipam",
            "ipam": {
                "type": "nv-ipam",
                "poolName": pool,
                // Shorter than the machine's folder, which would not fit into a socket's address.
                "daemonSocket": format!("unix://{}", machine.path("/var/lib/cni/nv-ipam/daemon.sock").display()),
                "confDir": own("etc/cni/net.d/nv-ipam.d"),
                "logFile": own("var/log/nv-ipam-cni.log"),
            },
        });
        Self {
            program,
            netns: format!("/proc/{}/ns/net", machine.first.pid),
            config: config.to_string(),
        }
    }

    /// Runs it for one verb and returns how long that took: from before the fork until the process is gone.
    pub(super) fn call(&self, verb: &str, container: &str) -> Result<Duration> {
        let mut command = Command::new(&self.program);
        let args = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={container};K8S_POD_UID=uid-{container}"
        );
        command
            .env_clear()
            .envs([
                ("CNI_COMMAND", verb),
                ("CNI_CONTAINERID", container),
                ("CNI_NETNS", &self.netns),
                ("CNI_IFNAME", "eth0"),
                ("CNI_PATH", "/opt/cni/bin"),
                ("CNI_ARGS", &args),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let began = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("could not start {}", self.program.display()))?;
        if let Some(mut stdin) = child.stdin.take()
            && verb != "VERSION"
        {
            stdin.write_all(self.config.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        let took = began.elapsed();
        ensure!(
            output.status.success(),
            "{verb} of {container}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(took)
    }
}

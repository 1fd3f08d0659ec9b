//! Runs programs as a runtime runs plugins, with nothing in between.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::container::Container;
use super::fill::POOL;
use crate::node::Node;

/// A plugin and the network that it is called for.
#[derive(Debug)]
pub(super) struct Plugin {
    program: PathBuf,
    /// The network's configuration. A file is there as a whole, so nobody has to write while the plugin runs.
    config: PathBuf,
    netns: String,
}

impl Plugin {
    /// nv-ipam as the daemon of `node` installed it, for addresses from there. It runs outside the node's machine: `nsenter`
    /// would be measured too.
    pub(super) fn nv_ipam(node: &Node, folder: &Path) -> Result<Self> {
        let own = |path: &str| node.machine.folder.join(path);
        let ipam = json!({
            "type": "nv-ipam",
            "poolName": POOL,
            // Shorter than the machine's folder, which would not fit into a socket's address.
            "daemonSocket": format!("unix://{}", node.machine.path("/var/lib/cni/nv-ipam/daemon.sock").display()),
            "confDir": own("etc/cni/net.d/nv-ipam.d"),
            "logFile": own("var/log/nv-ipam-cni.log"),
        });
        Self::new(own("opt/cni/bin/nv-ipam"), node, folder, &ipam)
    }

    /// `program` for containers of `node`. Its configuration is written into `folder`.
    pub(super) fn new(program: PathBuf, node: &Node, folder: &Path, ipam: &Value) -> Result<Self> {
        let kind = ipam["type"].as_str().context("an IPAM without a type")?;
        let network = json!({ "cniVersion": "1.0.0", "name": "bench", "type": kind, "ipam": ipam });
        let config = folder.join(format!("{kind}.conf"));
        fs::write(&config, network.to_string())
            .with_context(|| format!("could not write {}", config.display()))?;
        Ok(Self {
            program,
            config,
            netns: format!("/proc/{}/ns/net", node.machine.first.pid),
        })
    }

    /// One call, and how long it took.
    pub(super) fn call(&self, verb: &str, container: &Container) -> Result<Duration> {
        time(&mut self.command(&[], verb, container)?).with_context(|| format!("{verb} of {}", container.pod))
    }

    /// One call that is yet to be made, by the program of the words `by` if there are some.
    pub(super) fn command(&self, by: &[&str], verb: &str, container: &Container) -> Result<Command> {
        let Container { id, pod, uid } = container;
        let args = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={pod};K8S_POD_UID={uid}");
        let config =
            File::open(&self.config).with_context(|| format!("could not open {}", self.config.display()))?;
        let mut command = run_by(by, &self.program);
        command.env_clear().stdin(config).envs([
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", id),
            ("CNI_NETNS", &self.netns),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/opt/cni/bin"),
            ("CNI_ARGS", &args),
        ]);
        Ok(command)
    }
}

/// Copies `program` into `folder` as the daemon installs the plugin. How long a program takes to start depends on how it was
/// written: what was written at once is cached in large folios.
pub(super) fn install(program: &Path, folder: &Path) -> Result<PathBuf> {
    let name = program.file_name().context("a program without a name")?;
    let target = folder.join("bin").join(name);
    let failed = || format!("could not copy {} to {}", program.display(), target.display());
    fs::create_dir_all(folder.join("bin"))
        .and_then(|()| fs::read(program))
        .and_then(|content| fs::write(&target, content))
        .and_then(|()| fs::set_permissions(&target, Permissions::from_mode(0o755)))
        .with_context(failed)?;
    Ok(target)
}

/// `program`, or the program of the words `by`, told to run it.
pub(super) fn run_by(by: &[&str], program: &Path) -> Command {
    let Some((first, rest)) = by.split_first() else {
        return Command::new(program);
    };
    let mut command = Command::new(first);
    command.args(rest).arg(program);
    command
}

/// Runs a program and says how long that took, from before its spawn until it is gone. It must succeed, and must not say
/// more than a pipe holds: nobody reads meanwhile.
pub(super) fn time(command: &mut Command) -> Result<Duration> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("could not start {}", command.get_program().display()))?;
    child.wait()?;
    let took = began.elapsed();
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{} ended with {}: {}{}",
        command.get_program().display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(took)
}

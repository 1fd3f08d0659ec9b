//! Calling CNI plugins as a runtime does, without a runtime: directly, or through cnitool.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::assets::Assets;
use crate::command::Ran;
use crate::node::Node;

/// A network namespace on a node, for interfaces that tests make themselves.
///
/// It goes with the node; [`Scratch::remove`] is for tests that look at what removing does.
#[derive(Debug)]
pub struct Scratch<'a> {
    node: &'a Node,
    /// Its name for `ip netns`.
    pub name: String,
}

impl<'a> Scratch<'a> {
    /// Makes an empty namespace on the node. One of that name that is there already is removed first.
    pub async fn create(node: &'a Node, name: &str) -> Result<Self> {
        node.exec(&["ip", "netns", "delete", name]).await?;
        node.exec(&["ip", "netns", "add", name]).await?.success()?;
        Ok(Self {
            node,
            name: name.to_owned(),
        })
    }

    /// The one of that name, made before.
    #[must_use]
    pub fn existing(node: &'a Node, name: &str) -> Self {
        Self {
            node,
            name: name.to_owned(),
        }
    }

    /// Its path on the node, for CNI_NETNS.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// Runs a program in it.
    pub async fn exec(&self, argv: &[&str]) -> Result<Ran> {
        let words: Vec<&str> = ["ip", "netns", "exec", &self.name]
            .into_iter()
            .chain(argv.iter().copied())
            .collect();
        self.node.exec(&words).await
    }

    /// Removes it with everything in it.
    pub async fn remove(self) -> Result<()> {
        self.node
            .exec(&["ip", "netns", "delete", &self.name])
            .await?
            .success()?;
        Ok(())
    }
}

/// Makes a link on the node, up, which can be the master of macvlan interfaces. One of that name is replaced.
///
/// It is a dummy, or a cable to nowhere where the kernel was built without dummies.
pub async fn dummy_link(node: &Node, name: &str) -> Result<()> {
    node.exec(&["ip", "link", "delete", name]).await?;
    let far_end: String = format!("x{name}").chars().take(15).collect();
    let dummy = node.exec(&["ip", "link", "add", name, "type", "dummy"]).await?;
    if !dummy.ok() {
        node.machine
            .ip(&format!(
                "link add {name} type veth peer name {far_end}\nlink set {far_end} up\n"
            ))
            .await?;
    }
    node.machine.ip(&format!("link set {name} up\n")).await
}

/// One call of a plugin. Start from [`Call::new`] and change what the test is about.
#[derive(Debug, Clone)]
pub struct Call {
    /// CNI_COMMAND.
    pub command: String,
    /// CNI_CONTAINERID.
    pub container: String,
    /// CNI_NETNS; empty leaves it out.
    pub netns: String,
    /// CNI_IFNAME.
    pub interface: String,
    /// CNI_ARGS; empty leaves it out.
    pub args: String,
}

impl Call {
    /// A call for interface `eth0` of a container, on behalf of a pod of the same name in namespace `default`.
    #[must_use]
    pub fn new(command: &str, container: &str, netns: &str) -> Self {
        let mut args = String::from("IgnoreUnknown=1");
        // Writing to a string can't fail.
        let _ = write!(
            args,
            ";K8S_POD_NAMESPACE=default;K8S_POD_NAME={container};K8S_POD_UID=uid-{container}"
        );
        Self {
            command: command.to_owned(),
            container: container.to_owned(),
            netns: netns.to_owned(),
            interface: "eth0".to_owned(),
            args,
        }
    }

    /// Runs `/opt/cni/bin/PLUGIN` on the node with this configuration on its standard input.
    pub async fn run(&self, node: &Node, plugin: &str, config: &str) -> Result<Ran> {
        self.run_by(node, &[], plugin, config).await
    }

    /// As [`Call::run`], with SIGKILL for the plugin at the end of `limit`. It has no exit code then.
    pub async fn run_cut_off(&self, node: &Node, plugin: &str, config: &str, limit: Duration) -> Result<Ran> {
        let seconds = format!("{:.6}", limit.as_secs_f64());
        self.run_by(node, &["timeout", "--signal=KILL", &seconds], plugin, config)
            .await
    }

    async fn run_by(&self, node: &Node, before: &[&str], plugin: &str, config: &str) -> Result<Ran> {
        let mut env = vec![
            ("CNI_COMMAND", self.command.as_str()),
            ("CNI_CONTAINERID", &self.container),
            ("CNI_IFNAME", &self.interface),
            ("CNI_PATH", "/opt/cni/bin"),
        ];
        env.extend(
            [("CNI_NETNS", self.netns.as_str()), ("CNI_ARGS", &self.args)]
                .into_iter()
                .filter(|(_, value)| !value.is_empty()),
        );
        let program = format!("/opt/cni/bin/{plugin}");
        let argv: Vec<&str> = before.iter().copied().chain([program.as_str()]).collect();
        node.machine.exec_with(&argv, &env, config.as_bytes()).await
    }
}

/// Runs cnitool on the node: `command` is add, del, check or status; `network` the name of one in `/etc/cni/net.d`.
pub async fn cnitool(
    node: &Node,
    assets: &Assets,
    command: &str,
    network: &str,
    netns: &str,
    args: &str,
) -> Result<Ran> {
    let env = [
        ("CNI_PATH", "/opt/cni/bin"),
        ("NETCONFPATH", "/etc/cni/net.d"),
        ("CNI_ARGS", args),
    ];
    node.machine
        .exec_with(&[&assets.inside("cnitool"), command, network, netns], &env, b"")
        .await
}

/// A runtime's GC: libcni's, for the network list in this file on the node. `alive` is the list of attachments, as JSON; without
/// one libcni isn't given any.
pub async fn libcni_gc(node: &Node, assets: &Assets, list: &str, alive: Option<&Value>) -> Result<Ran> {
    let alive = alive.map(Value::to_string).unwrap_or_default();
    let env = [("CNI_PATH", "/opt/cni/bin")];
    node.machine
        .exec_with(&[&assets.inside("libcni-gc"), list], &env, alive.as_bytes())
        .await
}

/// The code of the error that a plugin printed.
pub fn error_code(ran: &Ran) -> Result<i64> {
    let error: Value =
        serde_json::from_str(&ran.stdout).with_context(|| format!("not a CNI error: {ran:?}"))?;
    error["code"]
        .as_i64()
        .with_context(|| format!("no code in the CNI error: {ran:?}"))
}

/// The addresses of a result, each with its prefix length, in the order of the result.
pub fn addresses(result: &str) -> Result<Vec<String>> {
    let result: Value =
        serde_json::from_str(result).with_context(|| format!("not a CNI result: {result}"))?;
    let list = result["ips"]
        .as_array()
        .with_context(|| format!("no ips in the CNI result: {result}"))?;
    Ok(list
        .iter()
        .filter_map(|ip| Some(ip["address"].as_str()?.to_owned()))
        .collect())
}

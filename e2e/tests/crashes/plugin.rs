//! The plugin itself, called as a runtime calls it, and what a runtime can conclude from how it ends.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use e2e::cni::{Call, addresses, error_code};
use e2e::command::Ran;
use e2e::node::Node;
use serde_json::json;

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Success; for an ADD with this address.
    Success(String),
    /// The daemon gave no answer: what became of the request is not known. The code of the error.
    NoAnswer(i64),
    /// The daemon said no.
    Refused(String),
    /// It was killed.
    Killed,
}

impl Outcome {
    /// The address, of a call that must have succeeded.
    pub(crate) fn success(self) -> Result<String> {
        match self {
            Self::Success(address) => Ok(address),
            other => bail!("not a success: {other:?}"),
        }
    }
}

/// What the plugin grants the daemon, in seconds, where it is to get an answer however busy the machine is.
pub(crate) const PATIENCE: u32 = 60;

/// How to call the plugin for containers of one network.
#[derive(Debug)]
pub(crate) struct Plugin<'a> {
    /// The node it runs on.
    pub(crate) node: &'a Node,
    netns: String,
    config: String,
}

impl<'a> Plugin<'a> {
    /// For containers with an address of `pool`, in the namespace `netns`, with `timeout` seconds for the daemon.
    pub(crate) fn new(node: &'a Node, netns: String, pool: &str, timeout: u32) -> Self {
        let ipam = json!({ "type": "nv-ipam", "poolName": pool, "daemonCallTimeoutSeconds": timeout });
        let config = json!({ "cniVersion": "1.0.0", "name": "net", "type": "nv-ipam", "ipam": ipam });
        Self {
            node,
            netns,
            config: config.to_string(),
        }
    }

    /// ADD.
    pub(crate) async fn add(&self, container: &str) -> Result<Outcome> {
        outcome(&self.call("ADD", container).await?)
    }

    /// CHECK.
    pub(crate) async fn check(&self, container: &str) -> Result<Outcome> {
        outcome(&self.call("CHECK", container).await?)
    }

    /// DEL, which must succeed whatever the daemon does.
    pub(crate) async fn del(&self, container: &str) -> Result<()> {
        let ran = self.call("DEL", container).await?;
        ensure!(ran.ok(), "DEL of {container} failed: {ran:?}");
        Ok(())
    }

    /// A call with SIGKILL for the plugin at the end of `limit`.
    pub(crate) async fn cut_off(&self, verb: &str, container: &str, limit: Duration) -> Result<Outcome> {
        let call = Call::new(verb, container, &self.netns);
        outcome(
            &call
                .run_cut_off(self.node, "nv-ipam", &self.config, limit)
                .await?,
        )
    }

    async fn call(&self, verb: &str, container: &str) -> Result<Ran> {
        Call::new(verb, container, &self.netns)
            .run(self.node, "nv-ipam", &self.config)
            .await
    }
}

fn outcome(ran: &Ran) -> Result<Outcome> {
    match ran.code {
        Some(0) if ran.stdout.is_empty() => Ok(Outcome::Success(String::new())),
        Some(0) => {
            let all = addresses(&ran.stdout)?;
            ensure!(all.len() == 1, "not one address: {ran:?}");
            Ok(Outcome::Success(all.concat()))
        }
        None => Ok(Outcome::Killed),
        Some(_) => {
            let code = error_code(ran)?;
            let unanswered = ["isn't answering", "broke before it answered", "no answer from"];
            if unanswered.iter().any(|text| ran.stdout.contains(text)) {
                Ok(Outcome::NoAnswer(code))
            } else {
                Ok(Outcome::Refused(ran.stdout.clone()))
            }
        }
    }
}

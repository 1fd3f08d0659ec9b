//! A watch of one pool, by the bytes that it brings: what the API server sends to every daemon.

use anyhow::{Context, Result, bail};
use futures::AsyncBufReadExt;
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::bed::Bed;
use crate::names::NAMESPACE;
use crate::wait;

/// What has come so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// How many events. Nothing of the pool changes but its status, so each is a status write.
    pub(super) events: usize,
    /// Their bytes, as JSON, before TLS.
    pub(super) bytes: u32,
    /// Of these, the last one's.
    pub(super) last: u32,
    /// How many entries the status had in the last one.
    pub(super) entries: usize,
    /// When that had come.
    pub(super) at: Instant,
}

/// A watch that goes on until it is dropped.
pub(super) struct PoolWatch {
    seen: watch::Receiver<Seen>,
    task: JoinHandle<Result<()>>,
}

impl PoolWatch {
    /// Watches a pool from now on.
    pub(super) async fn start(bed: &Bed, pool: &str) -> Result<Self> {
        let now = bed.pools().get(pool).await?;
        let version = now.metadata.resource_version.context("a pool without version")?;
        let (sender, seen) = watch::channel(Seen {
            events: 0,
            bytes: 0,
            last: 0,
            entries: 0,
            at: Instant::now(),
        });
        let path = format!(
            "/apis/nv-ipam.nvidia.com/v1alpha1/namespaces/{NAMESPACE}/ippools?watch=true&resourceVersion={version}\
             &fieldSelector=metadata.name%3D{pool}"
        );
        let task = tokio::spawn(follow(bed.client.clone(), path, sender));
        Ok(Self { seen, task })
    }

    pub(super) fn seen(&self) -> Seen {
        *self.seen.borrow()
    }

    /// Waits until what has come satisfies `condition`.
    pub(super) async fn wait(&mut self, mut condition: impl FnMut(&Seen) -> bool) -> Result<Seen> {
        let waited = timeout(wait::USUAL, self.seen.wait_for(|seen| condition(seen))).await;
        let waited = waited.map(|seen| seen.map(|seen| *seen));
        match waited {
            Ok(Ok(seen)) => Ok(seen),
            Ok(Err(_)) => match (&mut self.task).await? {
                Err(error) => Err(error.context("the watch of the pool ended")),
                Ok(()) => bail!("the API server ended the watch of the pool"),
            },
            Err(_) => bail!("waited for the pool's status; last seen: {:?}", self.seen()),
        }
    }
}

impl Drop for PoolWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(client: Client, path: String, seen: watch::Sender<Seen>) -> Result<()> {
    let answer = client
        .request_stream(http::Request::get(path).body(Vec::new())?)
        .await?;
    let mut answer = std::pin::pin!(answer);
    let mut line = String::new();
    loop {
        line.clear();
        let length = answer.read_line(&mut line).await?;
        if length == 0 {
            return Ok(());
        }
        let at = Instant::now();
        let length = u32::try_from(length)?;
        // Read as JSON, the event would cost as much as the controller does.
        let entries = line.matches("\"nodeName\":").count();
        seen.send_modify(|seen| {
            *seen = Seen {
                events: seen.events + 1,
                bytes: seen.bytes + length,
                last: length,
                entries,
                at,
            };
        });
    }
}

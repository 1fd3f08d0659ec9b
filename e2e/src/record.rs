//! What a cluster owns, written down before it is made, so that any later process can take it down.
//!
//! This is the only knowledge that taking down uses: the end of a run, an interrupted run, `e2e down` and the sweep at the
//! next start all go the same way.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::names;
use crate::proc::ProcessId;
use crate::{cgroups, command, progress};

const FILE: &str = "cluster.json";

/// One cluster, as written in `cluster.json` in its folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Four hexadecimal digits, part of every name that others can see.
    pub id: String,
    /// The third byte of its network.
    pub subnet: u8,
    /// Who brought it up, and takes it down at its end unless it is kept.
    pub owner: ProcessId,
    /// Left running on purpose.
    pub kept: bool,
    /// The first process of each machine, by the machine's name: with it everything in the machine ends.
    pub machines: BTreeMap<String, ProcessId>,
    /// Names of cgroups.
    pub cgroups: Vec<String>,
}

impl Record {
    /// The cluster's folder.
    pub fn folder(&self) -> Result<PathBuf> {
        Ok(clusters()?.join(&self.id))
    }

    /// Writes the record so that a reader sees it whole or not at all.
    pub fn write(&self) -> Result<()> {
        let folder = self.folder()?;
        let unfinished = folder.join("cluster.json.new");
        fs::write(&unfinished, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("could not write {}", unfinished.display()))?;
        fs::rename(&unfinished, folder.join(FILE))?;
        Ok(())
    }

    /// True if nobody is using the cluster any more and nobody asked for it to stay.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        !self.kept && !self.owner.is_alive()
    }

    /// Ends every process of the cluster and removes what it made: namespaces and links go with the processes, cgroups and
    /// the folder after them. Goes on after a failure; what is gone already is success.
    ///
    /// # Errors
    /// Everything that could not be removed, with the reason.
    pub async fn take_down(&self) -> Result<()> {
        // The end of a run and a signal may ask for it at the same time: the second finds nothing left to do.
        static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _turn = ONE_AT_A_TIME.lock().await;
        let mut failures = Vec::new();
        for machine in self.machines.values() {
            failures.extend(machine.signal(Signal::KILL).err());
        }
        for machine in self.machines.values() {
            failures.extend(machine.wait_gone(Duration::from_secs(20)).await.err());
        }
        failures.extend(self.cut_cable().await.err());
        for name in &self.cgroups {
            failures.extend(cgroups::remove(name).await.err());
        }
        if failures.is_empty() {
            // The record goes last: without it nobody would find the rest.
            let folder = self.folder()?;
            failures.extend(remove_folder(&folder).err());
        }
        if failures.is_empty() {
            return Ok(());
        }
        let list: Vec<_> = failures.iter().map(|failure| format!("{failure:#}")).collect();
        anyhow::bail!(
            "cluster {} is not quite gone (`cargo run -p e2e -- down` tries again):\n  - {}",
            self.id,
            list.join("\n  - ")
        )
    }

    /// The host's cable goes with the control plane's network. But the kernel keeps that for a minute or so, for the last
    /// words of closed connections, so the cable is cut here.
    async fn cut_cable(&self) -> Result<()> {
        let name = names::host_link(&self.id);
        let exists = || PathBuf::from("/sys/class/net").join(&name).exists();
        if !exists() {
            return Ok(());
        }
        let deleted = command::run(command::command(&["ip", "link", "delete", &name]), b"")
            .await?
            .success();
        // The kernel may have been faster.
        if exists() { deleted.map(drop) } else { Ok(()) }
    }
}

/// The folder with a folder for each cluster.
pub fn clusters() -> Result<PathBuf> {
    Ok(names::cache_root()?.join("clusters"))
}

/// Every cluster that has a record.
pub fn all() -> Result<Vec<Record>> {
    let Ok(entries) = fs::read_dir(clusters()?) else {
        return Ok(Vec::new());
    };
    let files = entries.flatten().map(|entry| entry.path().join(FILE));
    Ok(files
        .filter_map(|file| serde_json::from_slice(&fs::read(file).ok()?).ok())
        .collect())
}

/// Takes down what runs that were killed left behind.
pub async fn sweep() -> Result<()> {
    for record in all()?.iter().filter(|record| record.is_abandoned()) {
        progress::say(format!(
            "cleaning up after a run that was killed (cluster {})",
            record.id
        ));
        record.take_down().await?;
    }
    Ok(())
}

/// Takes down what this process has brought up, and not handed over.
pub async fn take_down_own() -> Result<()> {
    let own = ProcessId::own()?;
    let own: Vec<_> = all()?
        .into_iter()
        .filter(|record| record.owner == own && !record.kept)
        .collect();
    // One that can't be removed does not keep the others.
    let outcomes = futures::future::join_all(own.iter().map(Record::take_down)).await;
    outcomes.into_iter().collect()
}

/// While this lives, no other process chooses a network or sweeps.
#[derive(Debug)]
pub struct Turn {
    _file: File,
}

impl Turn {
    /// Waits for its turn.
    pub async fn wait() -> Result<Self> {
        let folder = clusters()?;
        fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
        let file = File::create(folder.join(".lock"))?;
        tokio::task::spawn_blocking(move || {
            flock(&file, FlockOperation::LockExclusive).context("could not lock the folder of clusters")?;
            Ok(Self { _file: file })
        })
        .await?
    }
}

/// A folder whose record is removed last.
fn remove_folder(folder: &Path) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("could not read {}", folder.display())),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name() == FILE {
            continue;
        }
        let path = entry.path();
        let removed = if entry.file_type()?.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.with_context(|| format!("could not remove {}", path.display()))?;
    }
    fs::remove_dir_all(folder).with_context(|| format!("could not remove {}", folder.display()))
}

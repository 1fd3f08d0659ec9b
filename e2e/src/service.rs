//! A long-running process of the cluster: started with its output in a file, stopped, killed, started again.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::machine::{self, Machine};
use crate::proc::ProcessId;
use crate::wait;

/// How long a process may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a service runs.
#[derive(Debug, Clone)]
pub enum Place {
    /// Inside a machine.
    Machine(Arc<Machine>),
    /// On the host, beside the test process.
    Host,
}

/// A process that can be started and ended any number of times. Its output is appended to one file.
#[derive(Debug)]
pub struct Service {
    /// For messages.
    pub name: String,
    /// Where its output goes.
    pub log: PathBuf,
    place: Place,
    usual_argv: Vec<String>,
    argv: Mutex<Vec<String>>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    /// Our child: `nsenter`, or the process itself on the host.
    child: Child,
    /// The process that signals are for.
    process: ProcessId,
}

impl Service {
    /// A service that is not started yet; its output will be in `FOLDER/NAME.log`.
    #[must_use]
    pub fn new(name: &str, place: Place, logs: &Path, argv: Vec<String>) -> Self {
        let log = logs.join(format!("{name}.log"));
        Self {
            name: name.to_owned(),
            log,
            place,
            usual_argv: argv.clone(),
            argv: Mutex::new(argv),
            running: Mutex::new(None),
        }
    }

    /// Forgets what [`Service::set_argv`] changed.
    pub fn restore_argv(&self) {
        self.set_argv(self.usual_argv.clone());
    }

    /// Changes the command line of every start from now on, until the test ends.
    pub fn set_argv(&self, argv: Vec<String>) {
        *lock(&self.argv) = argv;
    }

    /// The command line of the next start.
    #[must_use]
    pub fn argv(&self) -> Vec<String> {
        lock(&self.argv).clone()
    }

    /// Starts the process, and returns as soon as it exists. What it needs to be ready is for the caller to wait for.
    pub async fn start(&self) -> Result<()> {
        ensure!(!self.is_running(), "{} is running already", self.name);
        let mut child = self.spawn()?;
        let process = match &self.place {
            Place::Host => ProcessId::of(i32::try_from(child.id())?).context("it ended at once")?,
            Place::Machine(_) => self.wait_entered(&mut child).await?,
        };
        *lock(&self.running) = Some(Running { child, process });
        Ok(())
    }

    /// SIGTERM, then waits for the process to end and returns how it ended. One that is not running is an error.
    /// (For the API server see [`crate::control_plane::ControlPlane::stop_api_server`]: it takes a minute over this.)
    ///
    /// # Errors
    /// If it is still there after 30 s; it is killed then.
    pub async fn stop(&self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        match self.wait_end(PATIENCE).await {
            Ok(status) => Ok(status),
            Err(error) => {
                self.kill().await?;
                Err(error.context(format!("{} did not end after SIGTERM and was killed", self.name)))
            }
        }
    }

    /// SIGKILL, and waits until the process is gone. One that is not running is success.
    pub async fn kill(&self) -> Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        self.signal(Signal::KILL)?;
        // It may be frozen, and `nsenter` with it.
        self.wake_parent()?;
        self.wait_end(PATIENCE).await?;
        Ok(())
    }

    /// Freezes the process: it exists, holds its locks and sockets, and answers nothing.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a frozen process go on.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)?;
        self.wake_parent()
    }

    /// `nsenter` stops when its child does.
    fn wake_parent(&self) -> Result<()> {
        let running = lock(&self.running);
        let parent = running
            .as_ref()
            .map(|running| i32::try_from(running.child.id()))
            .transpose()?;
        parent
            .and_then(ProcessId::of)
            .map_or(Ok(()), |parent| parent.signal(Signal::CONT))
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let running = lock(&self.running);
        running
            .as_ref()
            .with_context(|| format!("{} is not running", self.name))?
            .process
            .signal(signal)
    }

    /// The process, while it is running.
    #[must_use]
    pub fn process(&self) -> Option<ProcessId> {
        lock(&self.running)
            .as_ref()
            .map(|running| running.process.clone())
    }

    /// True between a start and the end of the process, however it ends.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.poll().is_none() && lock(&self.running).is_some()
    }

    /// Waits until the process ends by itself.
    pub async fn wait_end(&self, limit: Duration) -> Result<ExitStatus> {
        ensure!(lock(&self.running).is_some(), "{} is not running", self.name);
        wait::until(&format!("{} to end", self.name), limit, async || {
            self.poll()
                .map_or_else(|| wait::not_yet("it is running"), wait::done)
        })
        .await
    }

    /// For use in a wait: an error with the end of the log if the process is not running any more.
    pub fn must_be_running(&self) -> Result<()> {
        if self.is_running() {
            return Ok(());
        }
        bail!(
            "{} has ended; the end of {}:\n{}",
            self.name,
            self.log.display(),
            self.tail(20)
        )
    }

    /// The last lines of its output.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }

    /// All output from `offset`, a byte count as [`Self::log_length`] gives it.
    #[must_use]
    pub fn log_since(&self, offset: u64) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    }

    /// How much it has written so far, in bytes: a mark for [`Self::log_since`].
    #[must_use]
    pub fn log_length(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |metadata| metadata.len())
    }

    /// If the process has ended: how. Forgets it then.
    fn poll(&self) -> Option<ExitStatus> {
        let mut running = lock(&self.running);
        let status = running.as_mut()?.child.try_wait().ok().flatten()?;
        *running = None;
        Some(status)
    }

    fn spawn(&self) -> Result<Child> {
        let argv = self.argv();
        let words = match &self.place {
            // Nothing else ends it if this process is killed.
            Place::Host => ["setpriv", "--pdeathsig", "TERM", "--"]
                .map(str::to_owned)
                .into_iter()
                .chain(argv)
                .collect(),
            Place::Machine(machine) => machine.enter(&argv),
        };
        let (program, arguments) = words.split_first().context("an empty command line")?;
        let output = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        if matches!(self.place, Place::Machine(_)) {
            command.env_clear().envs(machine::environment());
        }
        // Out of the terminal's reach: Ctrl-C is for us, and taking down is what ends the rest.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
            .spawn()
            .with_context(|| format!("could not start {} ({program})", self.name))
    }

    /// `nsenter` forks, because only a child is inside the new process namespace: that child is the service.
    async fn wait_entered(&self, child: &mut Child) -> Result<ProcessId> {
        let nsenter = ProcessId::of(i32::try_from(child.id())?).context("`nsenter` ended at once")?;
        wait::until(
            &format!("{} to start", self.name),
            Duration::from_secs(20),
            async || match (nsenter.child(), child.try_wait()) {
                (Some(process), _) => wait::done(Ok(process)),
                (None, Ok(None)) => wait::not_yet("`nsenter` has no child"),
                (None, ended) => wait::done(Err(anyhow::anyhow!(
                    "{} did not start ({ended:?}): {}",
                    self.name,
                    self.tail(10)
                ))),
            },
        )
        .await?
    }
}

/// The last lines of a file, or nothing.
#[must_use]
pub fn tail(path: &Path, lines: usize) -> String {
    const ENOUGH: u64 = 64 * 1024;
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(ENOUGH)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    // containerd writes at level debug, for `Node::wait_networks_read`; nobody else wants to read that.
    let all: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("level=debug"))
        .collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A panic in another test does not make a process handle unusable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

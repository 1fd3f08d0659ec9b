//! The floor of a call: a program that only asks a socket, and one that only answers after a flush. See `e2e/floor`.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::caller;
use crate::bed::Bed;
use crate::ours;
use crate::service::{Place, Service};
use crate::wait;

/// Both programs; the one that answers is running.
#[derive(Debug)]
pub(super) struct Floor {
    /// On the disk that is measured; whoever measures can have files of their own there.
    pub(super) folder: PathBuf,
    /// The program that asks.
    program: PathBuf,
    /// Where the other one listens.
    socket: PathBuf,
    /// The one that answers.
    pub(super) echo: Service,
}

impl Floor {
    /// Builds both as the plugin is built, and starts the echo in a folder beside the node's store.
    pub(super) async fn start(bed: &Bed) -> Result<Self> {
        let folder = bed.cluster()?.folder.join("bench");
        fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
        let built = ours::build_static("floor", "shim").await?;
        let named = |name: &str| {
            let path = built
                .iter()
                .find(|path| path.file_name().is_some_and(|file| file == name));
            path.cloned().with_context(|| format!("cargo built no {name}"))
        };
        let socket = folder.join("echo.sock");
        // An earlier echo of this cluster was killed, which leaves it.
        if let Err(error) = fs::remove_file(&socket)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error).with_context(|| format!("could not remove {}", socket.display()));
        }
        let argv = [named("floor-echo")?, socket.clone(), folder.join("echo")]
            .map(|path| path.to_string_lossy().into_owned());
        let floor = Self {
            program: caller::install(&named("floor")?, &folder)?,
            socket,
            echo: Service::new("floor-echo", Place::Host, &folder, argv.to_vec()),
            folder,
        };
        floor.echo.start().await?;
        wait::until("the echo to listen", wait::USUAL, async || {
            wait::from_result(floor.echo.must_be_running().and_then(|()| floor.call()))
        })
        .await?;
        Ok(floor)
    }

    /// One question, and how long it took.
    pub(super) fn call(&self) -> Result<Duration> {
        caller::time(&mut self.command(&[]))
    }

    /// One question that is yet to be asked, by the program of the words `by` if there are some.
    pub(super) fn command(&self, by: &[&str]) -> Command {
        let mut command = caller::run_by(by, &self.program);
        command.arg(&self.socket).env_clear().stdin(Stdio::null());
        command
    }

    /// How large the program that asks is, in bytes.
    pub(super) fn size(&self) -> Result<u64> {
        let metadata = fs::metadata(&self.program);
        Ok(metadata
            .with_context(|| format!("no program at {}", self.program.display()))?
            .len())
    }

    /// Ends the echo. (Without it, the kernel does when this process ends.)
    pub(super) async fn stop(self) -> Result<()> {
        self.echo.kill().await
    }
}

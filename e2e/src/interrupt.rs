//! Ctrl-C, and what else asks a process to end: the cluster is taken down first.

use anyhow::Result;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use crate::progress::say;
use crate::record;

/// From now on SIGINT, SIGTERM and SIGHUP take down what this process has brought up and end it with exit code 130.
/// Must be called within the runtime.
pub fn take_down_on_signal() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        say("interrupted; taking the cluster down ...");
        // On a thread of its own: the runtime's may be busy with what is being taken down.
        let runtime = Handle::current();
        let ended = tokio::task::spawn_blocking(move || runtime.block_on(record::take_down_own())).await;
        if let Err(error) = ended.map_err(anyhow::Error::from).flatten() {
            say(format!("{error:#}"));
        }
        std::process::exit(130);
    });
    Ok(())
}

//! Ctrl-C, and what else asks a process to end: the cluster is taken down first.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use crate::progress::say;
use crate::record;

static BEGUN: AtomicBool = AtomicBool::new(false);

/// Does not return once an interrupt is being handled, at whose end the process ends: nobody wants to read how tests fail
/// without their cluster.
pub fn hold_if_begun() {
    while BEGUN.load(Ordering::Relaxed) {
        std::thread::park();
    }
}

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
        BEGUN.store(true, Ordering::Relaxed);
        say("interrupted; taking down what was brought up ...");
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

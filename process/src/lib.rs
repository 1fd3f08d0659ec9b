//! What the two long-running processes, ipam-controller and ipam-node, have in common: flags, logging, the API client,
//! watches, probes and metrics, and how they end.
//!
//! A process ends with exit code 0 only when it was asked to; whatever else ends it is an error that it prints.

pub mod endpoints;
pub mod flags;
pub mod guarded;
pub mod kubernetes;
pub mod listen;
pub mod logging;
pub mod metrics;
pub mod readiness;
pub mod shutdown;
pub mod version;
pub mod watch;

use std::error::Error;
use std::process::ExitCode;

use crate::flags::CommandLine;
use crate::shutdown::Shutdown;

/// Why a process ends unasked.
pub type Fatal = Box<dyn Error + Send + Sync>;

/// Reads the command line, sets up logging and signals, and runs `body` to its end.
///
/// `body` returns once it has stopped everything after [`Shutdown::requested`], or with the error that ends the process.
pub fn run<C, F, Fut>(body: F) -> ExitCode
where
    C: CommandLine,
    F: FnOnce(C, Shutdown) -> Fut,
    Fut: Future<Output = Result<(), Fatal>>,
{
    match C::read() {
        Ok(command_line) => run_with(command_line, body),
        Err(exit) => exit,
    }
}

/// The same for a command line that was read already.
pub fn run_with<C, F, Fut>(command_line: C, body: F) -> ExitCode
where
    C: CommandLine,
    F: FnOnce(C, Shutdown) -> Fut,
    Fut: Future<Output = Result<(), Fatal>>,
{
    logging::init(&command_line.common().logging);
    kubernetes::install_crypto_provider();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fatal(&error),
    };
    let outcome = runtime.block_on(async {
        let shutdown = Shutdown::on_signals()?;
        tracing::info!(version = version::VERSION, "starting");
        body(command_line, shutdown).await
    });
    // A blocking task may still run, such as a name lookup for an unreachable API server. Nothing waits for it.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => fatal(&*error),
    }
}

fn fatal(error: &(dyn Error + 'static)) -> ExitCode {
    tracing::error!("fatal: {}", chain(error));
    ExitCode::FAILURE
}

/// An error and everything behind it, in one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many errors print their cause themselves.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

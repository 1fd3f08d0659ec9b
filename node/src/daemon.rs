//! How the daemon starts, runs and stops.

use std::time::Duration;

use process::Fatal;
use process::endpoints::Endpoints;
use process::metrics::process_registry;
use process::readiness::{Gate, Readiness};
use process::shutdown::Shutdown;
use tokio::task::JoinSet;
use tokio::time;

use crate::bind_address::BindAddress;
use crate::cleaner::Cleaner;
use crate::clock::{BootClock, Clock};
use crate::config::Config;
use crate::greeting;
use crate::install::{InstallError, Installed};
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::service::Socket;
use crate::store::{Store, StoreLock};
use crate::watch::api_server;
use crate::watch::pods::PodWatch;
use crate::watch::pools::PoolWatch;
use crate::writer::{self, Parts, Writer};

/// How long requests under way may take to end when the daemon stops. They take milliseconds; a caller that is cut off
/// sees an error, and what was answered stands.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// How long the writer may take to close the store when the daemon stops. Cut off, it loses nothing: the next start reads
/// the log.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the daemon until `shutdown` is requested.
///
/// Nothing here waits for the API server: ADD and DEL are served while it is away. Whatever else goes wrong ends the
/// daemon with the reason; the next start begins with what is on the disk.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), Fatal> {
    let client = api_server::client(config.kubeconfig.as_deref()).await?;
    let clock = BootClock::new()?;
    let boot_id = clock.boot_id().to_owned();
    let registry = process_registry();
    let metrics = Metrics::register(&registry)?;
    let gates = Gates::new();

    // From here on no other daemon touches store, journal and socket.
    let lock = StoreLock::take(&config.store_file)?;
    let socket = Socket::claim(config.bind_address.clone()).await?;
    let endpoints = Endpoints {
        metrics_address: config.metrics_address.clone(),
        probe_address: config.probe_address.clone(),
        registry,
        readiness: gates.readiness.clone(),
    };
    let endpoints = endpoints.bind().await?;
    let journal = open_journal(&config.bind_address)?;
    let (store, ledger) = Store::open(lock)?;
    gates.store.open();
    install(&config)?;

    let (writer, writer_end) = writer::spawn(Parts {
        store,
        ledger,
        journal,
        metrics: metrics.clone(),
        clock,
    })?;
    // They outlive the socket, to say until the end that the daemon isn't ready any more.
    let mut observed = Supervised::default();
    observed.spawn("the metrics and probe endpoints", endpoints.serve(Shutdown::new()));
    let server = tokio::spawn(socket.serve(writer.clone(), metrics.clone(), shutdown.clone()));
    ...
}

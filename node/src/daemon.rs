//! How the daemon starts, runs and stops.

use std::time::Duration;

use kube::Client;
use process::Fatal;
use process::endpoints::Endpoints;
use process::metrics::process_registry;
use process::shutdown::Shutdown;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time;

use crate::advice;
use crate::bind_address::BindAddress;
use crate::cleaner::Cleaner;
use crate::cleaner::inquiry::Inquiry;
use crate::clock::{BootClock, Clock};
use crate::config::Config;
use crate::greeting;
use crate::health::{Gates, Health};
use crate::install::{InstallError, Installed};
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::service::{self, GRACE, Listener, Service};
use crate::store::{Store, StoreLock};
use crate::watch::api_server;
use crate::watch::pods::PodWatch;
use crate::watch::pools::PoolWatch;
use crate::writer::{self, Ended, Parts, Writer};

/// How long the writer may take to close the store when the daemon stops. Cut off, it loses nothing: the next start reads
/// the log.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the daemon until `shutdown` is requested.
///
/// Nothing here waits for the API server: ADD and DEL are served while it is away. Whatever else goes wrong ends the
/// daemon with the reason; the next start begins with what is on the disk.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), Fatal> {
    let mut daemon = Daemon::start(config).await?;
    let outcome = tokio::select! {
        biased;
        () = shutdown.requested() => Ok(()),
        Err(fatal) = daemon.writer_end.wait() => Err(fatal.into()),
        Some(end) = daemon.server.join_next() => Err(unexpected(end)),
        Some(end) = daemon.others.join_next() => Err(unexpected(end)),
    };
    // What the writer says of its own end is the cause of all others.
    daemon.stop().await.and(outcome)
}

/// A part of the daemon that runs until it is stopped, and what it ended with.
type Part = (&'static str, Result<(), Fatal>);

/// A part ended although nobody asked it to.
#[derive(Debug, thiserror::Error)]
#[error("{part} ended unexpectedly")]
struct PartEnded {
    part: &'static str,
    source: Option<Fatal>,
}

fn unexpected(end: Result<Part, tokio::task::JoinError>) -> Fatal {
    match end {
        Ok((part, outcome)) => Box::new(PartEnded {
            part,
            source: outcome.err(),
        }),
        // It panicked: in a release build that has ended the process already.
        Err(error) => Box::new(error),
    }
}

fn spawn<E>(
    parts: &mut JoinSet<Part>,
    part: &'static str,
    run: impl Future<Output = Result<(), E>> + Send + 'static,
) where
    E: Into<Fatal>,
{
    parts.spawn(async move { (part, run.await.map_err(Into::into)) });
}

/// The daemon, running.
struct Daemon {
    gates: Gates,
    writer: Writer,
    writer_end: Ended,
    /// The gRPC server, which ends its requests first when it is told to stop.
    server: JoinSet<Part>,
    server_stop: Shutdown,
    /// Everything else, which can be dropped at any moment.
    others: JoinSet<Part>,
}

impl Daemon {
    async fn start(config: Config) -> Result<Self, Fatal> {
        let client = api_server::client(config.kubeconfig.as_deref()).await?;
        let clock = BootClock::new()?;
        let boot_id = clock.boot_id().to_owned();
        let registry = process_registry();
        let metrics = Metrics::register(&registry)?;
        let gates = Gates::new();

        // From here on no other daemon touches store, journal and socket.
        let lock = StoreLock::take(&config.store_file)?;
        let listener = Listener::bind(&config.bind_address, &lock)?;
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
        let (pods, cache) = PodWatch::new(client.clone(), config.node_name.clone(), writer.clone());
        let inquiry = Inquiry {
            client: client.clone(),
            pods: cache,
        };
        let service = Service {
            writer: writer.clone(),
            metrics: metrics.clone(),
            pods: inquiry.clone(),
            grace: GRACE,
        };
        let cleaner = Cleaner {
            inquiry,
            writer: writer.clone(),
            boot_id,
            pace: config.cleaner_pace,
            released: metrics.stale_releases.clone(),
        };
        let mut daemon = Self {
            gates,
            writer,
            writer_end,
            server: JoinSet::new(),
            server_stop: Shutdown::new(),
            others: JoinSet::new(),
        };
        spawn(
            &mut daemon.others,
            "the endpoints for metrics and probes",
            endpoints.serve(Shutdown::new()),
        );
        let (ready, is_ready) = oneshot::channel::<()>();
        let stop = daemon.server_stop.clone();
        // Where the writer is, see there. Reading a pool of megabytes, or asking the API server, keeps no caller waiting.
        let serving = daemon.writer_end.thread().spawn(service::serve(
            listener,
            service,
            || {
                let _ = ready.send(());
            },
            async move {
                stop.requested().await;
            },
        ));
        spawn(&mut daemon.server, "the gRPC server", async {
            Ok::<_, Fatal>(serving.await??)
        });
        if is_ready.await.is_err()
            && let Some(end) = daemon.server.join_next().await
        {
            return Err(unexpected(end));
        }
        daemon.open_gates(&config.bind_address).await?;
        let health = Health::new(config.bind_address.clone(), daemon.writer.clone(), &daemon.gates);
        let (interval, stop) = (config.health_interval, daemon.server_stop.clone());
        spawn(&mut daemon.others, "the look at its own health", async move {
            health.run(interval, stop).await;
            Ok::<_, Fatal>(())
        });
        daemon.watch(client, config, pods, cleaner);
        Ok(daemon)
    }

    /// Says what is true already at the start: that the socket answers, and that pools are known from before.
    async fn open_gates(&self, address: &BindAddress) -> Result<(), Fatal> {
        greeting::greet(address)
            .await
            .map_err(|error| format!("ipam-node doesn't answer at its own address {address}: {error}"))?;
        self.gates.socket.open();
        let table = self.writer.table().await?;
        if table.known.is_anything() {
            self.gates.pools.open();
            tracing::info!(
                pools = table.pools.len(),
                "handing out addresses of the pools known from before"
            );
        } else {
            self.gates
                .pools
                .close("none are known, they could not be read from the API server yet");
            tracing::info!(
                "no pools are known from before: ADD is refused until they could be read from the API server"
            );
        }
        Ok(())
    }

    fn watch(&mut self, client: Client, config: Config, pods: PodWatch, cleaner: Cleaner) {
        let pools = PoolWatch {
            client,
            namespace: config.pools_namespace,
            node: config.node_name,
            writer: self.writer.clone(),
            synced: self.gates.pools.clone(),
        };
        spawn(&mut self.others, "the watch of pools", pools.run());
        spawn(&mut self.others, "the watch of pods", pods.run());
        spawn(&mut self.others, "the cleaner", cleaner.run());
    }

    /// Ends what runs: requests first, then the writer, which closes the store. The error is the writer's, if it failed.
    async fn stop(mut self) -> Result<(), Fatal> {
        self.server_stop.request();
        // It gives up by itself on requests that take too long, and removes the socket, for which the lock must be held.
        self.server.join_next().await;
        self.writer.stop().await;
        match time::timeout(CLOSE_TIMEOUT, self.writer_end.wait()).await {
            Ok(end) => Ok(end?),
            Err(_) => Err("the store could not be closed in time; the next start reads its log".into()),
        }
    }
}

/// The plugin leaves DELs beside a unix socket only.
fn open_journal(address: &BindAddress) -> Result<Option<Journal>, Fatal> {
    let BindAddress::Unix(socket) = address else {
        return Ok(None);
    };
    let Some(folder) = socket.parent() else {
        return Ok(None);
    };
    let journal = Journal::open(folder).map_err(|error| {
        let advice = advice::on(&error, "--bind-address");
        format!("can't use the journal of DELs beside the socket: {error}{advice}")
    })?;
    Ok(Some(journal))
}

fn install(config: &Config) -> Result<(), InstallError> {
    if let Some(binary) = &config.binary {
        let path = binary.target();
        match binary.run()? {
            Installed::Written => tracing::info!(path = %path.display(), "installed the CNI plugin"),
            Installed::Unchanged => {
                tracing::info!(path = %path.display(), "the CNI plugin is installed already");
            }
        }
    }
    if let Some(conf) = &config.conf {
        if !conf.conf.log_level_is_known() {
            tracing::warn!(
                level = conf.conf.log_level,
                "the CNI plugin doesn't know this log level and will use info"
            );
        }
        conf.run()?;
        tracing::info!(path = %conf.target().display(), "wrote the CNI plugin's configuration");
    }
    Ok(())
}

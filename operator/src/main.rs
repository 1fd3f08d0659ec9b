//! ipam-controller.

use std::process::ExitCode;

use operator::election::Timing;
use operator::flags::Flags;
use operator::run::{self, Settings};
use operator::tools::Gates;
use process::endpoints::Endpoints;
use process::readiness::Readiness;
use process::shutdown::Shutdown;
use process::{Fatal, kubernetes, metrics};

fn main() -> ExitCode {
    process::run(controller)
}

async fn controller(flags: Flags, shutdown: Shutdown) -> Result<(), Fatal> {
    if flags.webhook {
        tracing::warn!("--webhook has no effect: this version serves no validating webhook yet");
    }
    let registry = metrics::process_registry();
    let readiness = Readiness::new();
    let gates = Gates::of(&readiness);
    let endpoints = Endpoints {
        metrics_address: flags.metrics_bind_address,
        probe_address: flags.health_probe_bind_address,
        registry: registry.clone(),
        readiness,
    };
    let endpoints = endpoints.bind().await?;
    let client = kubernetes::client(flags.common.kubeconfig.as_deref()).await?;
    let settings = Settings {
        pools_namespace: flags.ippools_namespace,
        election: flags
            .leader_elect
            .then(|| (flags.leader_elect_namespace, Timing::default())),
    };
    tokio::select! {
        ended = run::run(settings, client, &registry, gates, shutdown.clone()) => ended,
        // Ends by itself only if the endpoints fail.
        Err(error) = endpoints.serve(shutdown.clone()) => Err(error.into()),
    }
}

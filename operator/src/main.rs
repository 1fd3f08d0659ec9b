//! ipam-controller.

use std::process::ExitCode;

use operator::election::Timing;
use operator::flags::Flags;
use operator::run::{self, Settings};
use operator::tools::Gates;
use operator::webhook::other_pools::OtherPools;
use operator::webhook::review::Context;
use operator::webhook::{self, Webhook, certificate};
use process::endpoints::Endpoints;
use process::readiness::Readiness;
use process::shutdown::Shutdown;
use process::{Fatal, kubernetes, metrics};

fn main() -> ExitCode {
    process::run(controller)
}

async fn controller(flags: Flags, shutdown: Shutdown) -> Result<(), Fatal> {
    let registry = metrics::process_registry();
    let readiness = Readiness::new();
    let gates = Gates::of(&readiness);
    let other_pools = OtherPools::new();
    let webhook = if flags.webhook {
        let settings = webhook::Settings {
            address: flags.webhook_bind_address,
            folder: certificate::usual_folder(),
            context: Context {
                pools_namespace: flags.ippools_namespace.clone(),
                other_pools: other_pools.clone(),
            },
        };
        Webhook::bind(settings, &registry, &readiness).await?
    } else {
        None
    };
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
    let webhook = async {
        match webhook {
            Some(webhook) => Ok(webhook.serve(shutdown.clone()).await?),
            None => Ok(()),
        }
    };
    let controller = run::run(settings, client, &registry, gates, other_pools, shutdown.clone());
    tokio::select! {
        // Both end once they are asked to, or all does with the error of one.
        ended = async { tokio::try_join!(controller, webhook) } => ended.map(|_| ()),
        // Ends by itself only if the endpoints fail.
        Err(error) = endpoints.serve(shutdown.clone()) => Err(error.into()),
    }
}

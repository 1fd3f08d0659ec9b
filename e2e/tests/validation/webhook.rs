//! The webhook on a real API server: what users see of it with kubectl, and what becomes of it when something changes.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::bed::Bed;
use e2e::command::Ran;
use e2e::harness::Test;
use e2e::names::{self, NAMESPACE};
use e2e::{http_get, pods, wait};
use serde_json::json;

use super::served::{MANIFESTS, OUT_OF_ORDER, Webhook, manifest, out_of_order, spec};
use crate::controller::extra::Extra;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::nodes(
            "validation::webhook::a_pool_is_refused_with_every_rule_it_breaks",
            refused,
        ),
        Test::nodes("validation::webhook::kubectl_shows_its_warnings", warned),
        Test::nodes(
            "validation::webhook::an_invalid_pool_from_before_it_stays_manageable",
            from_before,
        ),
        Test::nodes(
            "validation::webhook::it_takes_up_a_new_certificate_and_keeps_serving",
            rotation,
        ),
        Test::nodes(
            "validation::webhook::it_is_not_ready_before_it_has_a_certificate",
            no_certificate,
        ),
        Test::nodes(
            "validation::webhook::a_controller_that_does_not_lead_serves_it",
            follower,
        ),
        Test::nodes(
            "validation::webhook::without_a_controller_specs_cannot_change_and_pools_can_go",
            away,
        ),
        Test::api(
            "validation::webhook::the_api_server_takes_its_manifests",
            manifests,
        ),
    ]
}

/// The port of the manifests.
const PORT: u16 = 9443;

const OVERLAP: &str = "Warning: spec.subnet: 10.7.0.0/16 overlaps ippool/suspicious (10.7.0.0/16): ";

async fn create(bed: &Bed, name: &str, spec: &serde_json::Value) -> Result<Ran> {
    bed.kubectl
        .run_with(&["create", "-f", "-"], &manifest(name, spec))
        .await
}

/// Changes a pool with a merge patch.
async fn patch(bed: &Bed, name: &str, change: &serde_json::Value) -> Result<Ran> {
    let change = change.to_string();
    let patch = [
        "patch",
        "ippool",
        name,
        "-n",
        NAMESPACE,
        "--type=merge",
        "-p",
        &change,
    ];
    bed.kubectl.run_with(&patch, "").await
}

fn ensure_refused(ran: &Ran, text: &str) -> Result<()> {
    ensure!(
        ran.code == Some(1) && ran.stderr.contains(text),
        "not {text:?}: {ran:?}"
    );
    Ok(())
}

fn ensure_quiet(ran: &Ran) -> Result<()> {
    ensure!(ran.ok() && ran.stderr.is_empty(), "{ran:?}");
    Ok(())
}

async fn refused(bed: Arc<Bed>) -> Result<()> {
    let webhook = Webhook::start(&bed, bed.controller(), PORT).await?;
    let mark = webhook.app.service.log_length();
    let exclusions = json!([{ "startIP": "10.7.0.9", "endIP": "10.7.0.8" }, { "startIP": "10.7.0.7", "endIP": "10.7.0.6" }]);
    let ran = create(&bed, "bad", &spec(json!({ "exclusions": exclusions }))).await?;
    let expected = format!(
        "The IPPool \"bad\" is invalid: \n\
         * spec.exclusions[0]: Invalid value: {{\"startIP\":\"10.7.0.9\",\"endIP\":\"10.7.0.8\"}}: {OUT_OF_ORDER}\n\
         * spec.exclusions[1]: Invalid value: {{\"startIP\":\"10.7.0.7\",\"endIP\":\"10.7.0.6\"}}: {OUT_OF_ORDER}\n"
    );
    ensure!(ran.stderr == expected, "{}", ran.stderr);
    let log = webhook.app.service.log_since(mark);
    ensure!(
        log.contains("the webhook refuses a pool: IPPool.nv-ipam.nvidia.com \"bad\" is invalid: ["),
        "{log}"
    );
    ensure_quiet(&create(&bed, "good", &spec(json!({}))).await?)
}

async fn warned(bed: Arc<Bed>) -> Result<()> {
    let _webhook = Webhook::start(&bed, bed.controller(), PORT).await?;
    let suspicious = spec(json!({ "subnet": "10.7.0.3/16", "gateway": "10.7.0.1" }));
    let ran = create(&bed, "suspicious", &suspicious).await?;
    let expected = "\
        Warning: spec.subnet: 10.7.0.3/16 has host bits set and is read as 10.7.0.0/16\n\
        Warning: spec.gateway: 10.7.0.1 lies in the block 10.7.0.1-10.7.0.100, whose node has one address less to hand out\n";
    ensure!(ran.ok() && ran.stderr == expected, "{ran:?}");
    // What doesn't touch the spec repeats none.
    let label = json!({ "metadata": { "labels": { "a": "b" } } });
    ensure_quiet(&patch(&bed, "suspicious", &label).await?)?;

    let other = manifest("other", &spec(json!({})));
    wait::until("an overlap to be warned of", wait::USUAL, async || {
        let ran = bed
            .kubectl
            .run_with(&["create", "--dry-run=server", "-f", "-"], &other)
            .await;
        match ran {
            Ok(ran) if ran.ok() && ran.stderr.contains(OVERLAP) => wait::done(()),
            other => wait::not_yet(format!("{other:?}")),
        }
    })
    .await
}

async fn from_before(bed: Arc<Bed>) -> Result<()> {
    ensure_quiet(&create(&bed, "old", &out_of_order(json!({}))).await?)?;
    let _webhook = Webhook::start(&bed, bed.controller(), PORT).await?;
    let finalizer =
        json!({ "metadata": { "labels": { "a": "b" }, "finalizers": ["e2e.nv-ipam.test/held"] } });
    ensure_quiet(&patch(&bed, "old", &finalizer).await?)?;
    let smaller = json!({ "spec": { "perNodeBlockSize": 50 } });
    ensure_refused(&patch(&bed, "old", &smaller).await?, OUT_OF_ORDER)?;

    let delete = ["delete", "ippool", "old", "-n", NAMESPACE, "--wait=false"];
    ensure_quiet(&bed.kubectl.run_with(&delete, "").await?)?;
    ensure_quiet(&patch(&bed, "old", &json!({ "metadata": { "finalizers": null } })).await?)?;
    wait::until("the pool to be gone", wait::USUAL, async || {
        match bed.pools().get_opt("old").await {
            Ok(None) => wait::done(()),
            other => wait::not_yet(format!("{other:?}")),
        }
    })
    .await
}

async fn rotation(bed: Arc<Bed>) -> Result<()> {
    let webhook = Webhook::start(&bed, bed.controller(), PORT).await?;
    let process = webhook.app.service.process().context("it runs")?;
    let mark = webhook.app.service.log_length();
    webhook.write_pair("nonsense", "nonsense")?;
    wait::until("the controller to say so", wait::USUAL, async || {
        let log = webhook.app.service.log_since(mark);
        if log.contains("the webhook keeps the certificate it has") {
            wait::done(())
        } else {
            wait::not_yet(log)
        }
    })
    .await?;
    ensure_refused(
        &create(&bed, "bad", &out_of_order(json!({}))).await?,
        OUT_OF_ORDER,
    )?;

    // The API server trusts the new authority only: it gets through once the new certificate is shown.
    let authority = webhook.certify()?;
    let mark = webhook.app.service.log_length();
    wait::until("its refusal to be said", wait::USUAL, async || {
        let ran = create(&bed, "bad", &out_of_order(json!({}))).await;
        let log = webhook.app.service.log_since(mark);
        if log.contains("a client refuses the webhook's certificate with the TLS alert BadCertificate") {
            wait::done(())
        } else {
            wait::not_yet(format!("{ran:?} {log}"))
        }
    })
    .await?;
    webhook.register(&authority).await?;
    webhook.wait_asked().await?;
    ensure!(
        webhook.app.service.process().is_some_and(|now| now == process),
        "another process"
    );
    ensure_quiet(&create(&bed, "good", &spec(json!({}))).await?)
}

async fn no_certificate(bed: Arc<Bed>) -> Result<()> {
    let webhook = Webhook::start(&bed, bed.controller(), PORT).await?;
    ensure_quiet(&create(&bed, "good", &spec(json!({}))).await?)?;
    let app = webhook.app;
    app.stop().await?;
    let folder = bed.cluster()?.folder.join("webhook/k8s-webhook-server");
    std::fs::remove_dir_all(folder)?;
    let mark = app.service.log_length();
    app.service.start().await?;
    let missing = "webhook: no certificate: can't read ";
    wait::until(
        "it to say what it misses",
        wait::USUAL,
        async || match http_get::get(app.probes, "/readyz").await {
            Ok((503, body)) if body.contains(missing) => wait::done(()),
            other => wait::not_yet(format!("{other:?}")),
        },
    )
    .await?;
    let log = app.service.log_since(mark);
    ensure!(
        log.contains("the webhook waits for its certificate: ") && log.contains("or start without --webhook"),
        "{log}"
    );
    // It deals meanwhile: those who wait for a certificate are people who edit pools, not nodes.
    pods::create_fake_node(&bed.client, "late", &[]).await?;
    bed.wait_blocks("good", &["host-a", "host-b", "late"]).await?;
    let authority = webhook.certify()?;
    app.wait_ready().await?;
    webhook.register(&authority).await?;
    webhook.wait_asked().await
}

async fn follower(bed: Arc<Bed>) -> Result<()> {
    bed.controller().start().await?;
    let extra = Extra::new(&bed);
    let webhook = Webhook::start(&bed, &extra.0, PORT + 1).await?;
    ensure_refused(
        &create(&bed, "bad", &out_of_order(json!({}))).await?,
        OUT_OF_ORDER,
    )?;
    let leads = webhook
        .app
        .scrape()
        .await?
        .value("nv_ipam_controller_leader", &[])?;
    ensure!(leads < 0.5, "it leads");
    let ended = webhook.app.stop().await?;
    ensure!(ended.code() == Some(0), "{ended}");
    Ok(())
}

async fn away(bed: Arc<Bed>) -> Result<()> {
    let webhook = Webhook::start(&bed, bed.controller(), PORT).await?;
    ensure_quiet(&create(&bed, "good", &spec(json!({}))).await?)?;
    let ended = webhook.app.stop().await?;
    ensure!(ended.code() == Some(0), "{ended}");
    let failed = "failed calling webhook \"validate-ippool.nv-ipam.nvidia.com\"";
    ensure_refused(&create(&bed, "other", &spec(json!({}))).await?, failed)?;
    let smaller = json!({ "spec": { "perNodeBlockSize": 50 } });
    ensure_refused(&patch(&bed, "good", &smaller).await?, failed)?;
    let delete = ["delete", "ippool", "good", "-n", NAMESPACE];
    ensure_quiet(&bed.kubectl.run_with(&delete, "").await?)?;
    webhook.start_app().await?;
    ensure_quiet(&create(&bed, "other", &spec(json!({}))).await?)
}

async fn manifests(bed: Arc<Bed>) -> Result<()> {
    for path in [MANIFESTS, "config/webhook/service.yaml"] {
        let path = names::repository().join(path);
        let path = path.to_string_lossy();
        let apply = ["apply", "--dry-run=server", "--validate=strict", "-f", &path];
        let ran = bed.kubectl.run_with(&apply, "").await?;
        ensure_quiet(&ran).with_context(|| path.clone().into_owned())?;
    }
    Ok(())
}

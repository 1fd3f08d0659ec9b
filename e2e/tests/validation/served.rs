//! A controller that serves the webhook, and an API server that asks it.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use e2e::app::App;
use e2e::bed::Bed;
use e2e::names::{self, NAMESPACE};
use e2e::pki::Authority;
use e2e::wait;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

/// In the cluster's folder: the controller's TMPDIR.
const FOLDER: &str = "webhook";
/// In there: where the certificate is, contract B.11.
const CERTIFICATES: &str = "k8s-webhook-server/serving-certs";

/// The manifests of our webhook.
pub(crate) const MANIFESTS: &str = "config/webhook/manifests.yaml";

/// A controller whose webhook the API server asks.
pub(crate) struct Webhook<'a> {
    bed: &'a Bed,
    pub(crate) app: &'a App,
    port: u16,
}

impl<'a> Webhook<'a> {
    /// Starts `app`, which serves on `port`, registers it as the manifests do, and waits until it is asked.
    pub(crate) async fn start(bed: &'a Bed, app: &'a App, port: u16) -> Result<Self> {
        let webhook = Self { bed, app, port };
        let authority = webhook.certify()?;
        webhook.start_app().await?;
        webhook.register(&authority).await?;
        webhook.wait_asked().await?;
        Ok(webhook)
    }

    /// Starts the controller with its certificate in the folder that TMPDIR leads to, and waits until it is ready.
    pub(crate) async fn start_app(&self) -> Result<()> {
        let mut argv = self.app.service.argv();
        if !argv.contains(&"--webhook=true".to_owned()) {
            let temporary = format!("TMPDIR={}/cluster/{FOLDER}", names::INSIDE);
            argv.splice(0..0, ["env".to_owned(), temporary]);
            argv.push("--webhook=true".to_owned());
            argv.push(format!("--webhook-bind-address=:{}", self.port));
            self.app.service.set_argv(argv);
        }
        self.app.start().await
    }

    /// Writes a certificate of a new authority, and returns that.
    pub(crate) fn certify(&self) -> Result<Authority> {
        let folder = self.folder()?;
        let authority = Authority::create(&folder.join("pki"))?;
        let IpAddr::V4(address) = self.app.probes.ip() else {
            bail!("the controller has no IPv4 address");
        };
        let identity = authority.server(&["ipam-controller"], &[address])?;
        self.write_pair(&identity.certificate_pem, &identity.key_pem)?;
        Ok(authority)
    }

    /// Exchanges the files of the certificate, one after the other.
    pub(crate) fn write_pair(&self, certificate: &str, key: &str) -> Result<()> {
        let certificates = self.folder()?.join(CERTIFICATES);
        fs::create_dir_all(&certificates)?;
        fs::write(certificates.join("tls.crt"), certificate)?;
        fs::write(certificates.join("tls.key"), key)?;
        Ok(())
    }

    /// Registers the webhook, reached by address instead of by Service, as one of this authority.
    pub(crate) async fn register(&self, authority: &Authority) -> Result<()> {
        let text = fs::read_to_string(names::repository().join(MANIFESTS))?;
        let mut configuration: ValidatingWebhookConfiguration = serde_yaml::from_str(&text)?;
        let address = self.app.probes.ip();
        for webhook in configuration.webhooks.iter_mut().flatten() {
            let config = &mut webhook.client_config;
            let service = config.service.take().context("a webhook without a service")?;
            config.url = Some(format!(
                "https://{address}:{}{}",
                self.port,
                service.path.unwrap_or_default()
            ));
            config.ca_bundle = Some(ByteString(authority.certificate_pem.clone().into_bytes()));
        }
        let name = configuration.metadata.name.clone().context("no name")?;
        let api: Api<ValidatingWebhookConfiguration> = Api::all(self.bed.client.clone());
        api.patch(
            &name,
            &PatchParams::apply("e2e").force(),
            &Patch::Apply(&configuration),
        )
        .await?;
        Ok(())
    }

    /// Waits until the API server refuses in this webhook's name.
    pub(crate) async fn wait_asked(&self) -> Result<()> {
        let probe = manifest("probe", &out_of_order(json!({})));
        wait::until("the API server to ask the webhook", wait::USUAL, async || {
            let asked = self
                .bed
                .kubectl
                .run_with(&["create", "--dry-run=server", "-f", "-"], &probe)
                .await;
            match asked {
                Ok(ran) if ran.stderr.contains(OUT_OF_ORDER) => wait::done(()),
                other => wait::not_yet(format!("{other:?}")),
            }
        })
        .await
    }

    fn folder(&self) -> Result<PathBuf> {
        Ok(self.bed.cluster()?.folder.join(FOLDER))
    }
}

/// What is wrong with [`out_of_order`]. CEL can't compare addresses, so that nobody says it before the webhook.
pub(crate) const OUT_OF_ORDER: &str = "endIP should be equal or greater than startIP";

/// A spec that only the webhook refuses, with these changes.
pub(crate) fn out_of_order(changes: Value) -> Value {
    let mut spec = spec(json!({ "exclusions": [{ "startIP": "10.7.0.9", "endIP": "10.7.0.8" }] }));
    merge(&mut spec, changes);
    spec
}

/// A valid spec of an IPPool, with these changes.
pub(crate) fn spec(changes: Value) -> Value {
    let mut spec = json!({ "subnet": "10.7.0.0/16", "perNodeBlockSize": 100 });
    merge(&mut spec, changes);
    spec
}

fn merge(spec: &mut Value, changes: Value) {
    if let (Value::Object(spec), Value::Object(changes)) = (spec, changes) {
        spec.extend(changes);
    }
}

/// An IPPool.
pub(crate) fn manifest(name: &str, spec: &Value) -> String {
    json!({
        "apiVersion": "nv-ipam.nvidia.com/v1alpha1",
        "kind": "IPPool",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": spec,
    })
    .to_string()
}

//! A cluster that the user named: what must not be in it, what is put into it, and what is taken out again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::account;
use crate::app::{App, CONTROLLER_ACCOUNT, KUBECONFIG};
use crate::bed::LEASE;
use crate::control_plane;
use crate::kubectl::Kubectl;
use crate::names::{self, NAMESPACE};
use crate::ours::Ours;
use crate::prerequisites;
use crate::proc::ProcessId;
use crate::wait;

/// The folder of a run on a cluster that is not ours is called this and the run's process id.
const FOLDER: &str = "existing-";

/// The ConfigMap that marks a cluster while tests run on it.
const MARK: &str = "nv-ipam-e2e";
/// In there, a line each: the folders of manifests of which nothing was there before.
const MISSING: &str = "missing";

/// The cluster, with the CRDs and our accounts in it, and a controller on this machine.
pub(crate) struct Existing {
    /// A client with the rights of the user.
    pub(crate) client: Client,
    /// kubectl as the user.
    pub(crate) kubectl: Kubectl,
    /// Not started.
    pub(crate) controller: App,
    /// Our programs, their kubeconfig and their logs.
    pub(crate) folder: PathBuf,
    /// The manifests of which nothing was there before.
    installed: Vec<PathBuf>,
}

impl Existing {
    /// True if the user named one: `E2E_EXISTING_CLUSTER=1`, with KUBECONFIG.
    pub(crate) fn is_named() -> bool {
        std::env::var("E2E_EXISTING_CLUSTER").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
    }

    /// Makes the cluster of KUBECONFIG ready for tests.
    ///
    /// # Errors
    /// If it has pools, which tests would delete, or a controller, which would meddle.
    pub(crate) async fn prepare() -> Result<Self> {
        let kubeconfig = std::env::var_os("KUBECONFIG").map(PathBuf::from);
        let kubeconfig =
            kubeconfig.context("E2E_EXISTING_CLUSTER is set; set KUBECONFIG too, to say which cluster")?;
        let program = prerequisites::find("kubectl").context("no `kubectl` in PATH")?;
        let client = control_plane::client(&kubeconfig).await?;
        remove_stale_folders(&names::cache_root()?);
        let folder = names::cache_root()?.join(format!("{FOLDER}{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ours::build().await?.copy_to(&folder)?;
        let kubectl = Kubectl::new(program, &kubeconfig);
        let installed = claim(&client, &kubectl).await?;
        kubectl.apply_ours().await?;
        account::write_kubeconfig(&client, &kubeconfig, CONTROLLER_ACCOUNT, &folder.join(KUBECONFIG)).await?;
        Ok(Self {
            controller: App::controller_on_host(0, &folder),
            client,
            kubectl,
            folder,
            installed,
        })
    }

    /// Takes out what [`Existing::prepare`] has put in.
    pub(crate) async fn leave(&self) -> Result<()> {
        for manifests in self.installed.iter().rev() {
            self.kubectl.delete_path(manifests).await?;
        }
        // Last: as long as something of ours is there, the next run is to know.
        let marks: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        marks.delete(MARK, &DeleteParams::default()).await?;
        std::fs::remove_dir_all(&self.folder)
            .with_context(|| format!("could not remove {}", self.folder.display()))
    }
}

/// Marks the cluster as one that tests run on, and returns the manifests of which nothing is there before.
///
/// Where a run was killed the mark is there: what is in the cluster is the tests', and what they found the mark knows.
async fn claim(client: &Client, kubectl: &Kubectl) -> Result<Vec<PathBuf>> {
    let marks: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    if let Some(mark) = marks.get_opt(MARK).await.context("could not look for a mark")? {
        let missing = mark.data.unwrap_or_default().remove(MISSING).unwrap_or_default();
        return Ok(Kubectl::our_manifests()
            .into_iter()
            .filter(|path| missing.lines().any(|line| path.ends_with(line)))
            .collect());
    }
    ensure_unused(client).await?;
    let mut installed = Vec::new();
    let mut missing = String::new();
    for manifests in Kubectl::our_manifests() {
        if kubectl.existing_of(&manifests).await?.is_empty() {
            let folder = manifests.file_name().unwrap_or_default();
            missing.push_str(&folder.to_string_lossy());
            missing.push('\n');
            installed.push(manifests);
        }
    }
    let mark = ConfigMap {
        metadata: ObjectMeta {
            name: Some(MARK.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(MISSING.to_owned(), missing)])),
        ..ConfigMap::default()
    };
    let marked = marks.create(&PostParams::default(), &mark).await;
    marked.context("could not mark the cluster as one that tests run on")?;
    Ok(installed)
}

async fn ensure_unused(client: &Client) -> Result<()> {
    let mut pools = names_of::<IPPool>(client).await?;
    pools.extend(names_of::<CIDRPool>(client).await?);
    ensure!(
        pools.is_empty(),
        "this cluster has pools, which the tests would delete: {}; name another cluster, or delete them first: \
         kubectl delete ippools,cidrpools --all --all-namespaces",
        pools.join(", ")
    );
    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    let lease = leases.get_opt(LEASE).await.context("could not read the lease")?;
    if let Some(holder) = lease.as_ref().and_then(|lease| leader(lease, Timestamp::now())) {
        anyhow::bail!(
            "a controller, {holder}, is at work in this cluster and would meddle; stop it first (one that was killed \
             is forgotten after some seconds)"
        );
    }
    Ok(())
}

/// Every pool of a kind, whatever its namespace; none where the kind isn't known.
async fn names_of<K>(client: &Client) -> Result<Vec<String>>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let api: Api<K> = Api::all(client.clone());
    let what = format!("the API server to list {}", K::plural(&()));
    wait::until(&what, wait::USUAL, async || {
        match api.list_metadata(&ListParams::default()).await {
            Ok(list) => wait::done(Ok(list.iter().map(full_name).collect())),
            // Not by its reason: what isn't served is answered in plain text.
            Err(kube::Error::Api(status)) if status.code == 404 => wait::done(Ok(Vec::new())),
            // It has just heard of this kind.
            Err(kube::Error::Api(status)) if status.code == 429 => wait::not_yet(status.message),
            Err(error) => wait::done(Err(error).context("could not list pools")),
        }
    })
    .await?
}

fn full_name<K: ResourceExt>(object: &K) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

/// Who holds the lease, unless it has expired.
fn leader(lease: &Lease, now: Timestamp) -> Option<&str> {
    let spec = lease.spec.as_ref()?;
    let holder = spec.holder_identity.as_deref().filter(|name| !name.is_empty())?;
    let valid = SignedDuration::from_secs(spec.lease_duration_seconds?.into());
    (now.duration_since(spec.renew_time.as_ref()?.0) < valid).then_some(holder)
}

/// What runs that were killed leave behind: their logs.
fn remove_stale_folders(root: &Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(FOLDER)?.parse().ok());
        if owner.is_some_and(|pid| ProcessId::of(pid).is_none()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;

    #[test]
    fn a_lease_has_a_leader_until_it_expires_or_is_released() {
        let renewed = Timestamp::from_second(1_000).unwrap();
        let lease = |holder: &str| Lease {
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: Some(15),
                renew_time: Some(MicroTime(renewed)),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        let after = |seconds| renewed + SignedDuration::from_secs(seconds);
        assert_eq!(leader(&lease("one"), after(14)), Some("one"));
        assert_eq!(leader(&lease("one"), after(15)), None);
        assert_eq!(leader(&lease(""), after(1)), None);
        assert_eq!(leader(&Lease::default(), renewed), None);
    }
}

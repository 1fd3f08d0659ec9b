//! A pool as these tests make it and look at it: as the API server has it, not as our types read it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use api::pool_key::{PoolKey, PoolKind};
use api::subnet::Subnet;
use e2e::bed::Bed;
use e2e::names::NAMESPACE;
use e2e::{pods, wait};
use k8s_openapi::api::core::v1::Event;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};

/// The label that says which pool of these tests a node is for. Nodes of the cluster itself have none.
pub(crate) const FOR_POOL: &str = "e2e.nv-ipam.test/pool";

/// The entries of a status: by node, each as the API server has it.
pub(crate) type Entries = BTreeMap<String, String>;

/// A pool of a test.
pub(crate) struct Pool<'a> {
    pub(crate) name: &'a str,
    /// Its name in metrics.
    pub(crate) key: PoolKey,
    bed: &'a Bed,
    api: Api<DynamicObject>,
}

/// A condition of a status.
pub(crate) struct Condition {
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// IPPools, whatever is in them.
pub(crate) fn pools(client: Client) -> Api<DynamicObject> {
    pools_of::<IPPool>(client)
}

fn pools_of<K: Resource<DynamicType = ()>>(client: Client) -> Api<DynamicObject> {
    Api::namespaced_with(client, NAMESPACE, &ApiResource::erase::<K>(&()))
}

impl<'a> Pool<'a> {
    /// Creates a pool that deals blocks of `size` out of `subnet` to the nodes of [`create_nodes`].
    pub(crate) async fn create(bed: &'a Bed, name: &'a str, subnet: &str, size: u32) -> Result<Self> {
        let spec = json!({ "subnet": subnet, "perNodeBlockSize": size, "nodeSelector": selector(name) });
        create(&bed.client, name, &spec).await?;
        Ok(Self::existing(bed, name))
    }

    /// A pool that somebody else creates.
    pub(crate) fn existing(bed: &'a Bed, name: &'a str) -> Self {
        Self {
            name,
            key: PoolKey::new(PoolKind::IpPool, name),
            bed,
            api: pools(bed.client.clone()),
        }
    }

    /// Creates a CIDRPool with this spec, for the nodes of [`create_nodes`].
    pub(crate) async fn create_cidr(bed: &'a Bed, name: &'a str, mut spec: Value) -> Result<Self> {
        spec["nodeSelector"] = selector(name);
        create_of::<CIDRPool>(&bed.client, name, &spec).await?;
        Ok(Self::existing_cidr(bed, name))
    }

    /// A CIDRPool that somebody else creates.
    pub(crate) fn existing_cidr(bed: &'a Bed, name: &'a str) -> Self {
        Self {
            name,
            key: PoolKey::new(PoolKind::CidrPool, name),
            bed,
            api: pools_of::<CIDRPool>(bed.client.clone()),
        }
    }

    /// Changes these fields of the spec.
    pub(crate) async fn edit(&self, spec: Value) -> Result<()> {
        self.patch(&json!({ "spec": spec })).await
    }

    /// Changes something that means nothing, and waits until the controller has planned the pool again.
    pub(crate) async fn touch(&self, mark: &str, controller: &e2e::app::App) -> Result<()> {
        let plans = async || -> Result<f64> {
            let metrics = controller.scrape().await?;
            Ok(metrics.sum("nv_ipam_controller_plans_total", &[("pool", self.key.as_str())]))
        };
        let before = plans().await?;
        self.patch(&json!({ "metadata": { "annotations": { FOR_POOL: mark } } }))
            .await?;
        wait::until(
            "the pool to be planned again",
            wait::USUAL,
            async || match plans().await {
                Ok(now) if now > before => wait::done(()),
                other => wait::not_yet(format!("{other:?} plans, {before} before")),
            },
        )
        .await
    }

    /// Replaces the entries of its status, as an administrator does.
    pub(crate) async fn set_entries(&self, entries: Value) -> Result<()> {
        let status = json!({ "status": { "allocations": entries } });
        self.api
            .patch_status(self.name, &PatchParams::default(), &Patch::Merge(status))
            .await
            .with_context(|| format!("could not change the status of pool {}", self.name))?;
        Ok(())
    }

    async fn patch(&self, patch: &Value) -> Result<()> {
        self.api
            .patch(self.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .with_context(|| format!("could not change pool {}", self.name))?;
        Ok(())
    }

    /// The pool as it is.
    pub(crate) async fn get(&self) -> Result<DynamicObject> {
        Ok(self.api.get(self.name).await?)
    }

    /// Its entries as they are.
    pub(crate) async fn entries(&self) -> Result<Entries> {
        entries(&self.get().await?)
    }

    /// Waits until exactly these nodes have entries, and returns them, which intersect nowhere.
    pub(crate) async fn wait_nodes(&self, nodes: &[&str]) -> Result<Entries> {
        let what = format!("pool {} to have entries for {} nodes", self.name, nodes.len());
        let found = wait::until(&what, wait::USUAL, async || match self.entries().await {
            Ok(found) if found.keys().eq(nodes.iter()) => wait::done(found),
            Ok(found) => wait::not_yet(format!(
                "{} entries: {:?} ...",
                found.len(),
                found.first_key_value()
            )),
            Err(error) => wait::not_yet(format!("{error:#}")),
        })
        .await?;
        ensure_disjoint(&found)?;
        Ok(found)
    }

    /// Waits until a condition has this status for the spec as it is now, and its message contains `text`.
    pub(crate) async fn wait_condition(&self, type_: &str, status: &str, text: &str) -> Result<Condition> {
        let what = format!(
            "condition {type_} of pool {} to be {status} with {text:?}",
            self.name
        );
        wait::until(&what, wait::USUAL, async || {
            let pool = match self.get().await {
                Ok(pool) => pool,
                Err(error) => return wait::not_yet(format!("{error:#}")),
            };
            match condition(&pool, type_) {
                Some(found) if found.status == status && found.message.contains(text) => wait::done(found),
                _ => wait::not_yet(pool.data["status"]["conditions"].to_string()),
            }
        })
        .await
    }

    /// What events say of this pool: reason, message, how often.
    pub(crate) async fn events(&self) -> Result<Vec<(String, String, i32)>> {
        let uid = self.get().await?.metadata.uid.context("a pool without UID")?;
        let events: Api<Event> = Api::namespaced(self.bed.client.clone(), NAMESPACE);
        let about = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
        let mut said: Vec<_> = events
            .list(&about)
            .await?
            .into_iter()
            .map(|event| {
                (
                    event.reason.unwrap_or_default(),
                    event.message.unwrap_or_default(),
                    event.count.unwrap_or_default(),
                )
            })
            .collect();
        said.sort();
        Ok(said)
    }

    /// Waits until there is an event of this reason whose message contains `text`.
    pub(crate) async fn wait_event(&self, reason: &str, text: &str) -> Result<()> {
        let what = format!("an event {reason} with {text:?}");
        wait::until(&what, wait::USUAL, async || match self.events().await {
            Ok(said) if said.iter().any(|(r, m, _)| r == reason && m.contains(text)) => wait::done(()),
            other => wait::not_yet(format!("{other:?}")),
        })
        .await
    }
}

/// Creates an IPPool with this spec.
pub(crate) async fn create(client: &Client, name: &str, spec: &Value) -> Result<()> {
    create_of::<IPPool>(client, name, spec).await
}

async fn create_of<K: Resource<DynamicType = ()>>(client: &Client, name: &str, spec: &Value) -> Result<()> {
    let pool: DynamicObject = serde_json::from_value(json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()),
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": spec,
    }))?;
    pools_of::<K>(client.clone())
        .create(&PostParams::default(), &pool)
        .await
        .with_context(|| format!("could not create pool {name}"))?;
    Ok(())
}

/// Selects the nodes that are marked as this pool's.
pub(crate) fn selector(pool: &str) -> Value {
    json!({ "nodeSelectorTerms": [{ "matchExpressions": [
        { "key": FOR_POOL, "operator": "In", "values": [pool] }
    ] }] })
}

/// Creates Node objects that this pool selects.
pub(crate) async fn create_nodes(bed: &Bed, pool: &str, names: &[&str]) -> Result<()> {
    for name in names {
        pods::create_fake_node(&bed.client, name, &[(FOR_POOL, pool)]).await?;
    }
    Ok(())
}

/// The entries of a pool's status.
pub(crate) fn entries(pool: &DynamicObject) -> Result<Entries> {
    let mut found = Entries::new();
    for entry in pool.data["status"]["allocations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let node = entry["nodeName"].as_str().context("an entry without a node")?;
        let twice = found.insert(node.to_owned(), entry.to_string());
        ensure!(twice.is_none(), "two entries of {node}: {twice:?} and {entry}");
    }
    Ok(found)
}

/// First and last address of an entry, of whichever kind.
pub(crate) fn span(entry: &str) -> Result<(IpAddr, IpAddr)> {
    let entry: Value = serde_json::from_str(entry)?;
    if let Some(prefix) = entry["prefix"].as_str() {
        let prefix = Subnet::parse_exact(prefix).with_context(|| format!("{prefix} is no prefix"))?;
        return Ok((prefix.addresses().first(), prefix.addresses().last()));
    }
    let address = |key: &str| -> Result<IpAddr> { Ok(entry[key].as_str().context("no address")?.parse()?) };
    Ok((address("startIP")?, address("endIP")?))
}

/// No address is in two entries.
pub(crate) fn ensure_disjoint(entries: &Entries) -> Result<()> {
    let mut spans = Vec::new();
    for (node, entry) in entries {
        let (first, last) = span(entry)?;
        ensure!(first <= last, "{entry}");
        spans.push((first, last, node));
    }
    spans.sort();
    for pair in spans.windows(2) {
        ensure!(pair[0].1 < pair[1].0, "{:?} and {:?} intersect", pair[0], pair[1]);
    }
    Ok(())
}

/// What a pool says of the spec that it has now.
pub(crate) fn condition(pool: &DynamicObject, type_: &str) -> Option<Condition> {
    let conditions = pool.data["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == type_)?;
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (found["observedGeneration"].as_i64() == pool.metadata.generation).then(|| Condition {
        status: text("status"),
        reason: text("reason"),
        message: text("message"),
    })
}

//! The whole controller at work on an API server in memory.

use std::net::IpAddr;
use std::time::Duration;

use kube::{Client, Config};
use operator::election::Timing;
use operator::run::{self, Settings};
use operator::tools::Gates;
use operator::webhook::other_pools::OtherPools;
use process::Fatal;
use process::readiness::Readiness;
use process::shutdown::Shutdown;
use prometheus::{Encoder, Registry, TextEncoder};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::api_server::{ApiServer, CIDRPOOLS, NODES, PATIENCE, POOLS};
use super::worker_selector;

pub(crate) struct Controller {
    pub(crate) registry: Registry,
    pub(crate) readiness: Readiness,
    pub(crate) other_pools: OtherPools,
    pub(crate) shutdown: Shutdown,
    pub(crate) running: JoinHandle<Result<(), Fatal>>,
}

impl Controller {
    pub(crate) fn start(server: &ApiServer) -> Self {
        let client = client(server);
        let settings = Settings {
            pools_namespace: "kube-system".to_owned(),
            election: Some(("kube-system".to_owned(), Timing::default())),
        };
        let (registry, readiness, shutdown) = (Registry::new(), Readiness::new(), Shutdown::new());
        let (gates, other_pools) = (Gates::of(&readiness), OtherPools::new());
        let running = tokio::spawn({
            let (registry, other_pools, shutdown) = (registry.clone(), other_pools.clone(), shutdown.clone());
            async move { run::run(settings, client, &registry, gates, other_pools, shutdown).await }
        });
        Self {
            registry,
            readiness,
            other_pools,
            shutdown,
            running,
        }
    }

    /// A line of /metrics.
    pub(crate) fn metric(&self, name: &str) -> Option<i64> {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .unwrap();
        let text = String::from_utf8(text).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        Some(line.parse().unwrap())
    }

    pub(crate) fn plans(&self) -> i64 {
        self.metric(r#"nv_ipam_controller_plans_total{pool="pool1"}"#)
            .unwrap_or_default()
    }

    pub(crate) async fn stop(self) {
        self.shutdown.request();
        let ended = tokio::time::timeout(PATIENCE, self.running).await;
        ended.unwrap().unwrap().unwrap();
    }

    /// As SIGKILL does it: nothing more is done.
    pub(crate) async fn kill(self) {
        self.running.abort();
        let _ = self.running.await;
    }
}

pub(crate) fn client(server: &ApiServer) -> Client {
    process::kubernetes::install_crypto_provider();
    let mut config = Config::new(format!("http://{}", server.address).parse().unwrap());
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

/// Waits for what the API server doesn't see.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, wait).await.is_ok(),
        "waited in vain: {what}"
    );
}

pub(crate) fn put_node(server: &ApiServer, name: &str, role: &str) {
    server.put(
        NODES,
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/role": role}}}),
    );
}

pub(crate) fn put_pool(server: &ApiServer, spec: &Value) {
    server.put(
        POOLS,
        json!({"apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": "IPPool",
            "metadata": {"name": "pool1", "namespace": "kube-system"}, "spec": spec}),
    );
}

pub(crate) fn put_cidrpool(server: &ApiServer, spec: &Value) {
    server.put(
        CIDRPOOLS,
        json!({"apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": "CIDRPool",
            "metadata": {"name": "pool1", "namespace": "kube-system"}, "spec": spec}),
    );
}

pub(crate) fn seed_spec() -> Value {
    json!({"subnet": "192.168.0.0/16", "perNodeBlockSize": 24, "gateway": "192.168.0.1", "nodeSelector": worker_selector()})
}

pub(crate) fn allocations(server: &ApiServer) -> Vec<Value> {
    allocations_in(server, POOLS)
}

/// What is allocated of the pool in this collection.
pub(crate) fn allocations_in(server: &ApiServer, collection: &str) -> Vec<Value> {
    let pool = server.get(collection, "pool1").unwrap();
    pool["status"]["allocations"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

pub(crate) fn holders(server: &ApiServer) -> Vec<String> {
    let name = |a: &Value| a["nodeName"].as_str().unwrap().to_owned();
    allocations(server).iter().map(name).collect()
}

pub(crate) fn condition(server: &ApiServer, type_: &str) -> Option<Value> {
    let pool = server.get(POOLS, "pool1")?;
    let conditions = pool["status"]["conditions"].as_array()?;
    conditions.iter().find(|c| c["type"] == type_).cloned()
}

pub(crate) fn assert_disjoint(server: &ApiServer) {
    let address = |value: &Value| value.as_str().unwrap().parse::<IpAddr>().unwrap();
    let mut spans: Vec<(IpAddr, IpAddr)> = allocations(server)
        .iter()
        .map(|a| (address(&a["startIP"]), address(&a["endIP"])))
        .collect();
    spans.sort_unstable();
    assert!(spans.is_sorted_by(|a, b| a.1 < b.0));
}

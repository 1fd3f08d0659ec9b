//! The cluster itself is what tests take it for.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::cni::{Call, Scratch, addresses};
use e2e::harness::Test;
use e2e::{pods, record, wait};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::nodes("cluster::two_nodes_are_ready_and_run_a_pod_each", two_nodes),
        Test::nodes("cluster::a_node_sees_its_own_files_and_links_only", isolation),
        Test::nodes("cluster::a_plugin_can_be_called_without_a_runtime", direct_call),
        Test::nodes("cluster::the_api_server_stops_and_starts_by_itself", api_server),
        Test::nodes("cluster::our_programs_are_nobody_special", rights),
        Test::nodes("cluster::its_record_names_all_it_owns", owned),
    ]
}

async fn two_nodes(bed: Arc<Bed>) -> Result<()> {
    let nodes: Api<Node> = Api::all(bed.client.clone());
    let count = nodes.list(&ListParams::default()).await?.items.len();
    ensure!(
        count == 2 && bed.nodes().len() == 2,
        "{count} Node objects, {} nodes",
        bed.nodes().len()
    );
    for node in bed.nodes() {
        let address = pods::run(&bed.client, &format!("pod-{}", node.name), &node.name).await?;
        ensure!(
            address.starts_with("10.244."),
            "{address} is not in the default network"
        );
    }
    Ok(())
}

async fn isolation(bed: Arc<Bed>) -> Result<()> {
    let [first, second] = bed.nodes() else {
        anyhow::bail!("not two nodes")
    };
    for folder in [
        "/etc/cni/net.d",
        "/opt/cni/bin",
        "/var/lib/kubelet",
        "/var/lib/cni",
        "/run",
    ] {
        first
            .exec(&[
                "sh",
                "-ec",
                &format!("mkdir -p {folder}; echo first > {folder}/mark"),
            ])
            .await?
            .success()?;
        let seen = second.exec(&["cat", &format!("{folder}/mark")]).await?;
        ensure!(!seen.ok(), "{folder} of one node is seen on the other");
        ensure!(
            !std::path::Path::new(folder).join("mark").exists(),
            "{folder} of a node is the host's"
        );
    }
    let hostname = first.exec(&["hostname"]).await?.success()?;
    ensure!(hostname.trim() == first.name, "the host name is {hostname}");
    let ping = ["ping", "-c1", "-w5", &second.address.to_string()].map(str::to_owned);
    let busybox: Vec<String> = std::iter::once("busybox".to_owned()).chain(ping).collect();
    first.exec(&busybox).await?.success()?;
    Ok(())
}

async fn direct_call(bed: Arc<Bed>) -> Result<()> {
    let node = &bed.nodes()[0];
    let scratch = Scratch::create(node, "direct").await?;
    let config = r#"{"cniVersion":"1.0.0","name":"direct","type":"bridge","bridge":"direct0",
        "ipam":{"type":"host-local","ranges":[[{"subnet":"10.9.0.0/24"}]]}}"#;
    let result = Call::new("ADD", "direct", &scratch.path())
        .run(node, "bridge", config)
        .await?
        .success()?;
    ensure!(addresses(&result)? == ["10.9.0.2/24"], "{result}");
    let shown = scratch
        .exec(&["ip", "-oneline", "addr", "show", "eth0"])
        .await?
        .success()?;
    ensure!(shown.contains("10.9.0.2/24"), "{shown}");
    Call::new("DEL", "direct", &scratch.path())
        .run(node, "bridge", config)
        .await?
        .success()?;
    scratch.remove().await
}

async fn api_server(bed: Arc<Bed>) -> Result<()> {
    let plane = &bed.cluster()?.plane;
    plane.stop_api_server().await?;
    ensure!(
        bed.client.apiserver_version().await.is_err(),
        "the API server answers though it was stopped"
    );
    plane.start_api_server().await?;
    for node in bed.nodes() {
        node.wait_ready(&bed.client).await?;
    }
    Ok(())
}

/// What they may do is in `config/`; that they may do no more is what makes tests of it worth anything.
async fn rights(bed: Arc<Bed>) -> Result<()> {
    for account in ["nv-ipam-controller", "nv-ipam-node"] {
        let who = format!("--as=system:serviceaccount:kube-system:{account}");
        let answer = bed
            .kubectl
            .run_with(&["auth", "can-i", "*", "*", &who], "")
            .await?;
        ensure!(
            answer.stdout.trim() == "no",
            "{account} may do everything: {answer:?}"
        );
        let list = bed
            .kubectl
            .run(&[
                "auth",
                "can-i",
                "list",
                "ippools.nv-ipam.nvidia.com",
                "-n",
                "kube-system",
                &who,
            ])
            .await?;
        ensure!(list.trim() == "yes", "{account} may not list pools: {list}");
    }
    Ok(())
}

async fn owned(bed: Arc<Bed>) -> Result<()> {
    let cluster = bed.cluster()?;
    let id = &cluster.record().id;
    let record = record::all()?.into_iter().find(|record| record.id == *id);
    let Some(record) = record else {
        anyhow::bail!("there is no record of cluster {id}")
    };
    ensure!(
        record.machines.len() == 3 && record.machines.values().all(e2e::proc::ProcessId::is_alive),
        "{record:?}"
    );
    ensure!(
        !record.is_abandoned(),
        "the sweep of another run would take this cluster down"
    );
    // Every process of the cluster is below the first process of a machine: nothing else has to be ended.
    for service in cluster.services().filter(|service| service.is_running()) {
        let Some(process) = service.process() else {
            continue;
        };
        let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid"));
        let own = namespace(process.pid)?;
        let machines: Vec<_> = record
            .machines
            .values()
            .filter_map(|machine| namespace(machine.pid).ok())
            .collect();
        ensure!(
            machines.contains(&own),
            "{} lives outside the machines",
            service.name
        );
    }
    wait::until("the cgroups of the nodes", wait::USUAL, async || {
        let missing = record.cgroups.iter().find(|name| {
            !std::path::Path::new("/sys/fs/cgroup")
                .join("memory")
                .join(name)
                .exists()
                && !std::path::Path::new("/sys/fs/cgroup").join(name).exists()
        });
        missing.map_or_else(
            || wait::done(()),
            |name| wait::not_yet(format!("{name} is missing")),
        )
    })
    .await
}

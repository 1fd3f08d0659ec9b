//! The demonstration: from an IPPool to an address in a running pod, told as a story.

use anyhow::{Context, Result, ensure};

use crate::assets::Assets;
use crate::bed::{Bed, ROLE};
use crate::cluster::ClusterSpec;
use crate::machine::Lifetime;
use crate::names;
use crate::node::Node;
use crate::ours::Ours;
use crate::pods;
use crate::store;
use crate::story::Story;

/// The bridge network of the README, whose addresses come from pool1.
pub const MYNET: &str = include_str!("../tests/mynet.conf");
const POOL: &str = "config/samples/pool1.yaml";
const BLOCKS: &str = r#"jsonpath={range .items[*]}{.metadata.name}{"\n"} {range .status.allocations[*]}{"\t"}{.nodeName} => Start IP: {.startIP} End IP: {.endIP}{"\n"}{end}{"\n"}{end}"#;

/// Tells the story on stdout. With `keep` the cluster is left running at the end.
///
/// # Errors
/// The first thing that did not go as told; nothing is left behind then.
pub async fn run(keep: bool) -> Result<()> {
    let mut story = Story::default();
    story.chapter("What has to be built");
    story.say("Kubernetes, containerd and etcd once, from source; nv-ipam whenever it has changed.");
    Assets::ensure().await?;
    let ours = Ours::build().await?;
    story.chapter("A cluster of two nodes on this machine");
    story.say(
        "Each node has its own network, process tree and files, with a real kubelet and a real containerd.",
    );
    let lifetime = if keep {
        Lifetime::UntilTakenDown
    } else {
        Lifetime::OfOwner
    };
    let mut bed = Bed::up_with(
        &ClusterSpec {
            lifetime,
            ..ClusterSpec::default()
        },
        &ours,
    )
    .await?;
    let told = tell(&mut story, &bed).await;
    if keep && told.is_ok() {
        bed.cluster_mut()?.keep()?;
        story.times();
        print_how_to_go_on(&story, &bed)?;
        return Ok(());
    }
    if told.is_ok() {
        story.chapter("Cleaning up");
    }
    let down = bed.down().await;
    told?;
    down?;
    story.say("Processes, namespaces, links, mounts, cgroups and files of the cluster are gone.");
    story.times();
    Ok(())
}

async fn tell(story: &mut Story, bed: &Bed) -> Result<()> {
    show(
        story,
        bed,
        &["get", "nodes", "-o", "wide"],
        "kubectl get nodes -o wide",
    )
    .await?;
    pool(story, bed).await?;
    daemons(story, bed).await?;
    run_pods(story, bed).await?;
    ping(story, bed).await?;
    reserved(story, bed).await?;
    release(story, bed).await
}

async fn pool(story: &mut Story, bed: &Bed) -> Result<()> {
    story.chapter("A pool, and a block of it for every node");
    story.say(
        "A pool is a subnet. Each node that the selector matches gets a block of it, here 24 addresses.",
    );
    for node in bed.nodes() {
        story.command(&format!("kubectl label node {} {ROLE}=worker", node.name));
        pods::label_node(&bed.client, &node.name, ROLE, Some("worker")).await?;
    }
    story.command(&format!("cat {POOL}"));
    story.output(&std::fs::read_to_string(names::repository().join(POOL))?);
    story.command(&format!("kubectl apply -f {POOL}"));
    bed.apply_file(POOL).await?;
    story.say("ipam-controller deals the blocks and writes them into the pool's status, where every node can read its own.");
    story.command("ipam-controller --leader-elect=true");
    bed.controller().start().await?;
    let names: Vec<&str> = bed.nodes().iter().map(|node| node.name.as_str()).collect();
    bed.wait_blocks("pool1", &names).await?;
    let shown = format!("kubectl get ippools.nv-ipam.nvidia.com -A -o {}", quote(BLOCKS));
    show(
        story,
        bed,
        &["get", "ippools.nv-ipam.nvidia.com", "-A", "-o", BLOCKS],
        &shown,
    )
    .await
}

async fn daemons(story: &mut Story, bed: &Bed) -> Result<()> {
    story.chapter("A daemon on every node, and a network that uses the pool");
    story.say(
        "ipam-node installs the plugin nv-ipam on its node and hands out the addresses of the node's block.",
    );
    for node in bed.nodes() {
        story.command_on(&node.name, &format!("ipam-node --node-name={}", node.name));
        node.daemon.start().await?;
        node.daemon.wait_block("pool1").await?;
    }
    story.say(
        "The network: a bridge on each node, with nv-ipam for its addresses. Pods get an interface in it.",
    );
    story.command_on("host-a", "cat /etc/cni/net.d/10-mynet.conf");
    story.output(MYNET);
    for node in bed.nodes() {
        node.install_network("10-mynet.conf", MYNET).await?;
    }
    Ok(())
}

async fn run_pods(story: &mut Story, bed: &Bed) -> Result<()> {
    story.chapter("Two pods on each node");
    story.say("The kubelet asks containerd, containerd the bridge plugin, that nv-ipam, and that the daemon: no API server.");
    let pairs: Vec<(String, &Node)> = bed
        .nodes()
        .iter()
        .flat_map(|node| ["blue", "green"].map(|colour| (format!("{colour}-on-{}", node.name), node)))
        .collect();
    for (name, node) in &pairs {
        pods::create(&bed.client, name, &node.name).await?;
    }
    for (name, _) in &pairs {
        pods::wait_running(&bed.client, name).await?;
    }
    show(
        story,
        bed,
        &["get", "pods", "-o", "wide"],
        "kubectl get pods -o wide",
    )
    .await
}

async fn ping(story: &mut Story, bed: &Bed) -> Result<()> {
    let node = bed.nodes().first().context("no node")?;
    let (from, to) = (
        format!("blue-on-{}", node.name),
        format!("green-on-{}", node.name),
    );
    story.chapter("The addresses work");
    let address = pods::wait_running(&bed.client, &to).await?;
    let shown = format!("kubectl exec {from} -- ping -c 3 -i 0.2 {address}");
    show(
        story,
        bed,
        &["exec", &from, "--", "ping", "-c", "3", "-i", "0.2", &address],
        &shown,
    )
    .await
}

async fn reserved(story: &mut Story, bed: &Bed) -> Result<()> {
    story.chapter("What each node has written down");
    story.say(
        "A reservation is on disk before the pod gets its address, so that no crash gives an address twice.",
    );
    for node in bed.nodes() {
        show_reservations(story, node).await?;
    }
    Ok(())
}

async fn release(story: &mut Story, bed: &Bed) -> Result<()> {
    let node = bed.nodes().first().context("no node")?;
    let pod = format!("blue-on-{}", node.name);
    story.chapter("A pod goes, and its address is free");
    let address = pods::wait_running(&bed.client, &pod).await?;
    story.command(&format!("kubectl delete pod {pod}"));
    pods::delete(&bed.client, &pod).await?;
    show_reservations(story, node).await?;
    let held = store::reservations(node).await?;
    ensure!(
        !held.iter().any(|reservation| reservation.address == address),
        "{address} is still held: {held:?}"
    );
    story.proved(&format!("{address} is free"));
    story.say(
        "The next pod gets the next address, not the one just freed: somebody may still be talking to that.",
    );
    let next = pods::run(&bed.client, &format!("red-on-{}", node.name), &node.name).await?;
    ensure!(next != address, "{address} was given again at once");
    let query = [
        "get",
        "pods",
        "-o",
        "wide",
        "--field-selector",
        &format!("spec.nodeName={}", node.name),
    ];
    show(story, bed, &query, &format!("kubectl {}", query.join(" "))).await
}

async fn show(story: &Story, bed: &Bed, arguments: &[&str], shown: &str) -> Result<()> {
    story.command(shown);
    story.output(&bed.kubectl.run(arguments).await?);
    Ok(())
}

async fn show_reservations(story: &Story, node: &Node) -> Result<()> {
    story.command_on(
        &node.name,
        &format!(
            "sqlite3 {} 'select address, pod_name from reservations'",
            store::PATH
        ),
    );
    for reservation in store::reservations(node).await? {
        story.output(&format!("{:<15} {}", reservation.address, reservation.pod_name));
    }
    Ok(())
}

fn print_how_to_go_on(story: &Story, bed: &Bed) -> Result<()> {
    let cluster = bed.cluster()?;
    story.say("\nThe cluster is still running, with nv-ipam in it. To use it:");
    story.command(&format!(
        "export KUBECONFIG={}",
        cluster.plane.admin_kubeconfig.display()
    ));
    story.command(&format!("export PATH={}:$PATH", cluster.assets.cache.display()));
    story.command("kubectl get pods -o wide");
    story.say(&format!(
        "Logs are in {}. To remove it:",
        cluster.logs().display()
    ));
    story.command("make down");
    Ok(())
}

/// As a shell needs it.
fn quote(word: &str) -> String {
    format!("'{word}'")
}

//! gRPC's library for Go at the other end: what the Go plugin speaks to our daemon with, and our plugin to the Go daemon.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::bed::Bed;
use e2e::cni::{Call, Scratch, addresses};
use e2e::command::Ran;
use e2e::go_build::hex;
use e2e::harness::Test;
use e2e::node::Node;
use e2e::service::{Place, Service};
use e2e::wait;
use prost::Message;
use rpc::v1::{
    AllocateRequest, AllocateResponse, AllocationInfo, CollectGarbageRequest, CollectGarbageResponse,
    DeallocateRequest, IpamMetadata, IpamParameters, StatusRequest,
};
use serde_json::{Value, json};

use crate::setting;

/// So many attachments don't fit into what a server lets its client send at once.
const MANY: usize = 3_000;

const SOCKET: &str = "/run/grpc-go.sock";

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::nodes("node::grpc_go::its_client_is_served_by_our_daemon", client),
        Test::nodes("node::grpc_go::its_server_answers_our_plugin", server),
    ]
}

async fn client(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "pool", "192.168.0.0/16", 24).await?;
    let program = bed.cluster()?.assets.inside("grpc-go");
    let ask = async |method: &str, message: Vec<u8>| {
        let method = format!("/nvidia.ipam.node.v1.IPAMService/{method}");
        let socket = "/var/lib/cni/nv-ipam/daemon.sock";
        let argv = [program.as_str(), "call", socket, &method];
        node.machine.exec_with(&argv, &[], &message).await
    };
    let parameters = Some(IpamParameters {
        pools: vec!["pool".to_owned()],
        cni_containerid: "c1".to_owned(),
        cni_ifname: "net1".to_owned(),
        metadata: Some(IpamMetadata {
            k8s_pod_name: "pod".to_owned(),
            k8s_pod_namespace: "default".to_owned(),
            ..IpamMetadata::default()
        }),
        ..IpamParameters::default()
    });
    unhex(&ask("Status", StatusRequest {}.encode_to_vec()).await?)?;
    let allocate = AllocateRequest {
        parameters: parameters.clone(),
    };
    let answer = unhex(&ask("Allocate", allocate.encode_to_vec()).await?)?;
    let allocations = AllocateResponse::decode(answer.as_slice())?.allocations;
    ensure!(
        allocations.len() == 1 && allocations[0].ip == "192.168.0.1/16",
        "{allocations:?}"
    );
    let again = ask("Allocate", allocate.encode_to_vec()).await?;
    ensure!(
        !again.ok() && again.stderr.contains("code = AlreadyExists"),
        "{again:?}"
    );
    unhex(&ask("Deallocate", DeallocateRequest { parameters }.encode_to_vec()).await?)?;

    let garbage = CollectGarbageRequest {
        network_name: "net".to_owned(),
        live: many(|cni_containerid, cni_ifname| rpc::v1::Attachment {
            cni_containerid,
            cni_ifname,
        }),
        began: None,
    };
    let refused = ask("CollectGarbage", garbage.encode_to_vec()).await?;
    ensure!(
        !refused.ok() && refused.stderr.contains("began is required"),
        "{refused:?}"
    );
    Ok(())
}

async fn server(bed: Arc<Bed>) -> Result<()> {
    // The plugin comes with the daemon.
    let node = setting::first_node(&bed, "pool", "192.168.0.0/16", 24).await?;
    let allocations = vec![AllocationInfo {
        pool: "pool".to_owned(),
        ip: "192.168.0.7/16".to_owned(),
        ..AllocationInfo::default()
    }];
    let message = AllocateResponse { allocations }.encode_to_vec();
    let seen = answering(&bed, node, "0", &hex(&message), async || {
        let ran = call(node, "ADD", json!({ "cniVersion": "1.0.0" })).await?;
        let found = addresses(&ran.success()?)?;
        ensure!(found == ["192.168.0.7/16"], "{found:?}");
        Ok(())
    })
    .await?;
    let line = seen.lines().next().context("it got no message")?;
    let hex_message = line.strip_prefix("/nvidia.ipam.node.v1.IPAMService/Allocate ");
    let request = AllocateRequest::decode(from_hex(hex_message.context("another method")?)?.as_slice())?;
    let parameters = request.parameters.context("no parameters")?;
    ensure!(parameters.pools == ["pool"], "{parameters:?}");

    answering(&bed, node, "5", "no pool \"p\u{e4}ul\", 100%", async || {
        let ran = call(node, "ADD", json!({ "cniVersion": "1.0.0" })).await?;
        let said = "grpc call failed: rpc error: code = NotFound desc = no pool \\\"p\u{e4}ul\\\", 100%";
        ensure!(ran.code == Some(1) && ran.stdout.contains(said), "{ran:?}");
        Ok(())
    })
    .await?;

    let collected = CollectGarbageResponse { released: 5 }.encode_to_vec();
    let seen = answering(&bed, node, "0", &hex(&collected), async || {
        let attachments =
            many(|container, interface| json!({ "containerID": container, "ifname": interface }));
        let network = json!({ "cniVersion": "1.1.0", "cni.dev/valid-attachments": attachments });
        call(node, "GC", network).await?.success().map(drop)
    })
    .await?;
    let line = seen.trim().rsplit(' ').next().context("it got no message")?;
    let garbage = CollectGarbageRequest::decode(from_hex(line)?.as_slice())?;
    ensure!(garbage.live.len() == MANY, "{line}");
    Ok(())
}

/// Carries out `calls` while a server answers so, and returns what that printed.
async fn answering(
    bed: &Bed,
    node: &Node,
    code: &str,
    text: &str,
    calls: impl AsyncFnOnce() -> Result<()>,
) -> Result<String> {
    let program = bed.cluster()?.assets.inside("grpc-go");
    let argv = [program.as_str(), "serve", SOCKET, code, text].map(str::to_owned);
    node.exec(&["rm", "-f", SOCKET]).await?.success()?;
    let logs = bed.logs();
    let name = format!("{}-grpc-go", node.name);
    let service = Service::new(&name, Place::Machine(node.machine.clone()), &logs, argv.to_vec());
    let _ = std::fs::remove_file(&service.log);
    service.start().await?;
    let called = async {
        wait::until("the server's socket", wait::USUAL, async || {
            let there = node.exec(&["test", "-S", SOCKET]).await;
            wait::from_result(there.and_then(Ran::success))
        })
        .await?;
        calls().await
    }
    .await;
    service.kill().await?;
    called?;
    std::fs::read_to_string(&service.log).context("the server's output")
}

async fn call(node: &Node, verb: &str, mut network: Value) -> Result<Ran> {
    network["name"] = "net".into();
    network["type"] = "nv-ipam".into();
    network["ipam"] =
        json!({ "type": "nv-ipam", "poolName": "pool", "daemonSocket": format!("unix://{SOCKET}") });
    let scratch = Scratch::create(node, "grpc-go").await?;
    let ran = Call::new(verb, "grpc-go", &scratch.path())
        .run(node, "nv-ipam", &network.to_string())
        .await;
    scratch.remove().await?;
    ran
}

fn many<T>(attachment: impl Fn(String, String) -> T) -> Vec<T> {
    (0..MANY)
        .map(|n| attachment(format!("{n:064}"), "eth0".to_owned()))
        .collect()
}

fn unhex(ran: &Ran) -> Result<Vec<u8>> {
    ensure!(ran.ok(), "{ran:?}");
    from_hex(ran.stdout.trim())
}

fn from_hex(text: &str) -> Result<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    ensure!(rest.is_empty(), "not hexadecimal: {text}");
    let byte = |pair: &[u8; 2]| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
    pairs.iter().map(byte).collect()
}

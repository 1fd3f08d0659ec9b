//! What nobody should send to the plugin: the code of the specification or of the contract, and nothing done.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::bed::Bed;
use e2e::cni::{Call, Scratch, error_code};
use e2e::command::Ran;
use e2e::harness::Test;
use e2e::node::Node;
use e2e::store;
use serde_json::{Value, json};

use crate::setting::{self, add, call, del, fingerprint, network, says};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::nodes(
            "node::bad_input::it_has_its_code_and_message_and_changes_nothing",
            refused,
        ),
        Test::nodes(
            "node::bad_input::ten_megabytes_of_configuration_are_read_or_refused",
            huge,
        ),
        Test::nodes("node::bad_input::a_hostile_name_is_a_name_or_refused", hostile),
        Test::nodes("node::bad_input::a_full_block_says_so_and_serves_on", full_block),
    ]
}

const MEGABYTES: usize = 10 << 20;

/// One call; an error must have this code, and its message these words. The store and the folder of the socket must be as
/// they were.
async fn expect(node: &Node, call: &Call, config: &str, code: i64, parts: &[&str]) -> Result<()> {
    let before = state(node).await?;
    let ran = call.run(node, "nv-ipam", config).await?;
    fails(&ran, code, parts)
        .with_context(|| format!("{call:?} with {}", config.chars().take(200).collect::<String>()))?;
    let after = state(node).await?;
    ensure!(before == after, "{call:?}: {before:?} became {after:?}");
    Ok(())
}

/// A CNI error: exit code 1, and an object of `code` and `msg` alone on standard output.
fn fails(ran: &Ran, code: i64, parts: &[&str]) -> Result<()> {
    ensure!(
        ran.code == Some(1),
        "it ended with {:?}: {}",
        ran.code,
        ran.stdout
    );
    ensure!(error_code(ran)? == code, "not {code}: {}", ran.stdout);
    let error: Value = serde_json::from_str(&ran.stdout)?;
    let text = format!(
        "{} {}",
        error["msg"].as_str().unwrap_or_default(),
        error["details"]
    );
    says(&text, parts)
}

/// What must not change: who holds what, which address comes next, and files half-written or left for later.
async fn state(node: &Node) -> Result<(Vec<store::Reservation>, Vec<Value>, Vec<String>)> {
    let mut files = fingerprint(node, "/var/lib/cni/nv-ipam").await?;
    // The store's own files are compared by what stands in them.
    files.retain(|line| !line.contains("./store"));
    let pools = store::query(node, "SELECT pool, last_reserved FROM pools ORDER BY pool").await?;
    Ok((store::reservations(node).await?, pools, files))
}

async fn refused(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "good", "10.63.0.0/24", 8).await?;
    add(node, "bystander", "good").await?;
    let netns = Scratch::create(node, "caller").await?.path();
    let good = network("good");
    let verb = |verb: &str| Call::new(verb, "caller", &netns);

    for (config, code, part) in [
        ("", 6, "unmarshall network config"),
        ("{\"cniVersion\": \"1.0.0\", ", 6, "unmarshall network config"),
        ("[]", 6, "unmarshall network config"),
        ("{\"name\": 7}", 6, "unmarshall network config"),
        ("{\"cniVersion\": \"1.0.0\"}", 7, "missing network name"),
        ("{\"cniVersion\": \"9.0.0\", \"name\": \"net\"}", 1, "9.0.0"),
        (
            "{\"cniVersion\": \"1.0.0\", \"name\": \"net\"}",
            999,
            "IPAM config missing 'ipam' key",
        ),
    ] {
        for name in ["ADD", "CHECK", "DEL"] {
            expect(node, &verb(name), config, code, &[part]).await?;
        }
    }

    let without = |change: fn(&mut Call)| {
        let mut call = verb("ADD");
        change(&mut call);
        call
    };
    for (call, code, parts) in [
        (
            without(|call| call.container.clear()),
            4,
            ["required env variables [CNI_CONTAINERID] missing"],
        ),
        (
            without(|call| call.netns.clear()),
            4,
            ["required env variables [CNI_NETNS] missing"],
        ),
        (
            without(|call| call.interface.clear()),
            4,
            ["required env variables [CNI_IFNAME] missing"],
        ),
        (
            without(|call| "DELETE".clone_into(&mut call.command)),
            4,
            ["DELETE"],
        ),
        (without(|call| call.args.clear()), 999, ["K8S_POD_NAME"]),
        (
            without(|call| call.args.push_str(";IP=10.63.0.999")),
            999,
            ["IP argument contains invalid IP address"],
        ),
        // The namespace that the plugin itself runs in is the node's.
        (
            without(|call| "/proc/self/ns/net".clone_into(&mut call.netns)),
            8,
            ["should not be the same"],
        ),
    ] {
        expect(node, &call, &good, code, &parts).await?;
    }

    let unknown = network("unknown");
    expect(
        node,
        &verb("ADD"),
        &unknown,
        999,
        &["code = NotFound desc = configuration for pool \"unknown\""],
    )
    .await?;
    expect(
        node,
        &verb("CHECK"),
        &good,
        999,
        &["code = NotFound desc = reservation for pool \"good\""],
    )
    .await?;
    let second = Call::new("ADD", "bystander", &netns);
    expect(
        node,
        &second,
        &good,
        999,
        &["code = AlreadyExists desc = allocation already exist in the pool \"good\""],
    )
    .await?;
    // What was never reserved is released already.
    del(node, "caller", "unknown").await?;
    del(node, "caller", "good").await
}

async fn huge(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "huge", "10.63.1.0/24", 8).await?;
    let netns = Scratch::create(node, "caller").await?.path();
    let verb = |verb: &str| Call::new(verb, "caller", &netns);
    for garbage in ["[", "x", "{\"name\":", " "] {
        let config = garbage.repeat(MEGABYTES / garbage.len());
        expect(node, &verb("ADD"), &config, 6, &["unmarshall network config"]).await?;
    }
    // Well-formed, so it is served: what nobody asks for has no limit.
    let mut config: Value = serde_json::from_str(&network("huge"))?;
    config["filler"] = json!("x".repeat(MEGABYTES));
    let config = config.to_string();
    verb("ADD").run(node, "nv-ipam", &config).await?.success()?;
    ensure!(store::reservations(node).await?.len() == 1);
    verb("DEL").run(node, "nv-ipam", &config).await?.success()?;
    ensure!(store::reservations(node).await?.is_empty());
    // A pool name of that size comes back in no message of that size.
    let long = network(&"p".repeat(MEGABYTES));
    let ran = verb("ADD").run(node, "nv-ipam", &long).await?;
    ensure!(
        ran.code == Some(1) && error_code(&ran)? == 999,
        "code {:?}",
        ran.code
    );
    node.daemon.service.must_be_running()
}

async fn hostile(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "hostile", "10.63.2.0/24", 16).await?;
    let netns = Scratch::create(node, "caller").await?.path();
    let good = network("hostile");
    let sql = "x'); DROP TABLE reservations; --";
    let longest = "c".repeat(200);
    let named = |container: &str, interface: &str| {
        let mut call = Call::new("ADD", "caller", &netns);
        container.clone_into(&mut call.container);
        interface.clone_into(&mut call.interface);
        call
    };
    for (container, interface, part) in [
        (sql, "eth0", "invalid characters in containerID"),
        ("../../../etc/passwd", "eth0", "invalid characters in containerID"),
        ("-rf", "eth0", "invalid characters in containerID"),
        ("caller", "a/../b", "interface name contains /"),
        ("caller", "..", "interface name is . or .."),
        ("caller", "sixteen_letters_", "interface name is too long"),
    ] {
        expect(node, &named(container, interface), &good, 4, &[part]).await?;
    }
    for name in ["../../x", "a b", "x'; DROP TABLE pools; --"] {
        let config = good.replace("\"net\"", &json!(name).to_string());
        expect(
            node,
            &named("caller", "eth0"),
            &config,
            7,
            &["invalid characters found in network name"],
        )
        .await?;
    }
    expect(
        node,
        &named("caller", "eth0"),
        &network(sql),
        999,
        &["code = NotFound", sql],
    )
    .await?;

    // Names that the specification allows are kept as they are, and so are those of pods, which nobody has checked.
    let pod = "x'); DROP TABLE reservations; --\u{202e}\"";
    let mut odd = named(&longest, "eth0'");
    odd.args = format!("K8S_POD_NAMESPACE=../..;K8S_POD_NAME={}", pod.replace(';', ","));
    odd.run(node, "nv-ipam", &good).await?.success()?;
    let held = store::reservations(node).await?;
    ensure!(
        held.len() == 1
            && held[0].container == longest
            && held[0].interface == "eth0'"
            && held[0].pod_name == pod.replace(';', ","),
        "{held:?}"
    );
    "DEL".clone_into(&mut odd.command);
    odd.run(node, "nv-ipam", &good).await?.success()?;
    ensure!(store::reservations(node).await?.is_empty());
    Ok(())
}

async fn full_block(bed: Arc<Bed>) -> Result<()> {
    let node = setting::first_node(&bed, "tiny", "10.63.3.0/24", 2).await?;
    add(node, "one", "tiny").await?;
    add(node, "two", "tiny").await?;
    let netns = Scratch::create(node, "three").await?.path();
    let third = Call::new("ADD", "three", &netns);
    let full = "code = ResourceExhausted desc = no free addresses in the pool \"tiny\"";
    expect(node, &third, &network("tiny"), 999, &[full]).await?;
    expect(node, &third, &network("tiny"), 999, &[full]).await?;
    // STATUS is about the node, not about one pool: a full one must not turn the node NotReady.
    let status = network("tiny").replace("1.0.0", "1.1.0");
    Call::new("STATUS", "", "")
        .run(node, "nv-ipam", &status)
        .await?
        .success()?;
    del(node, "one", "tiny").await?;
    ensure!(
        add(node, "three", "tiny").await? == "10.63.3.1/24",
        "the only free address is the first"
    );
    ensure!(!call(node, "CHECK", "one", "tiny").await?.ok());
    Ok(())
}

//! What the seed's README shows, and what users see with kubectl.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use e2e::names::NAMESPACE;
use e2e::roles::{self, ROLE};
use serde_json::json;

use super::pool;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::api(
            "controller::seed::the_example_gives_the_status_that_the_readme_shows",
            status,
        ),
        Test::api(
            "controller::seed::the_debugging_command_prints_what_the_readme_shows",
            debugging,
        ),
        Test::api(
            "controller::seed::the_api_server_takes_the_crd_without_warnings",
            crd,
        ),
    ]
}

const NODES: [&str; 4] = ["host-a", "host-b", "host-c", "k8s-master"];

/// The pool of the seed, from its spec on, as `kubectl get -o yaml` prints it.
const STATUS: &str = include_str!("status.yaml");
/// What the command of the seed's section "Debugging" prints.
const DEBUGGING: &str = include_str!("debugging.txt");
/// That command's query.
const QUERY: &str = r#"jsonpath={range .items[*]}{.metadata.name}{"\n"} {range .status.allocations[*]}{"\t"}{.nodeName} => Start IP: {.startIP} End IP: {.endIP}{"\n"}{end}{"\n"}{end}"#;

/// The seed's nodes, its pool, and the controller.
async fn seed(bed: &Bed) -> Result<()> {
    roles::only_workers(&bed.client, &NODES).await?;
    bed.apply_file("config/samples/pool1.yaml").await?;
    bed.controller().start().await?;
    bed.wait_blocks("pool1", &NODES).await?;
    Ok(())
}

async fn status(bed: Arc<Bed>) -> Result<()> {
    seed(&bed).await?;
    let shown = bed
        .kubectl
        .run(&["get", "ippool", "pool1", "-n", NAMESPACE, "-o", "yaml"])
        .await?;
    ensure!(
        shown.contains(STATUS),
        "this is not in it:\n{STATUS}\nbut this is:\n{shown}"
    );
    let conditions = shown.split(STATUS).nth(1).unwrap_or_default();
    ensure!(
        conditions.starts_with("  conditions:\n"),
        "more follows: {conditions}"
    );
    Ok(())
}

async fn debugging(bed: Arc<Bed>) -> Result<()> {
    seed(&bed).await?;
    let role = json!({ "nodeSelectorTerms": [{ "matchExpressions": [
        { "key": ROLE, "operator": "In", "values": ["worker"] }
    ] }] });
    let spec = json!({ "subnet": "172.16.0.0/16", "perNodeBlockSize": 50, "gateway": "172.16.0.1", "nodeSelector": role });
    pool::create(&bed.client, "pool2", &spec).await?;
    bed.wait_blocks("pool2", &NODES).await?;
    let get = ["get", "ippools.nv-ipam.nvidia.com", "-A"];
    let shown = bed.kubectl.run(&[&get[..], &["-o", QUERY]].concat()).await?;
    ensure!(shown == DEBUGGING, "{shown}");
    let shown = bed.kubectl.run(&get).await?;
    // The last two words of a heading belong together.
    let table: Vec<Vec<&str>> = shown
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    ensure!(
        table
            == [
                vec!["NAMESPACE", "NAME", "SUBNET", "GATEWAY", "BLOCK", "SIZE"],
                vec![NAMESPACE, "pool1", "192.168.0.0/16", "192.168.0.1", "24"],
                vec![NAMESPACE, "pool2", "172.16.0.0/16", "172.16.0.1", "50"],
            ],
        "{shown}"
    );
    Ok(())
}

async fn crd(bed: Arc<Bed>) -> Result<()> {
    let path = e2e::names::repository().join("config/crd");
    let path = path.to_string_lossy();
    for verb in [
        // Sends the whole object, so that all of it is judged, also where it stands already.
        vec!["replace", "--dry-run=server", "--validate=strict", "-f", &path],
        vec!["apply", "-f", &path],
    ] {
        let ran = bed.kubectl.run_with(&verb, "").await?;
        ensure!(ran.ok() && ran.stderr.is_empty(), "{ran:?}");
    }
    let query = r#"jsonpath={range .status.conditions[*]}{.type}={.status}{"\n"}{end}"#;
    let shown = bed
        .kubectl
        .run(&["get", "crd", "ippools.nv-ipam.nvidia.com", "-o", query])
        .await?;
    let mut conditions: Vec<&str> = shown.lines().collect();
    conditions.sort_unstable();
    // NonStructuralSchema would be a third.
    ensure!(
        conditions == ["Established=True", "NamesAccepted=True"],
        "{conditions:?}"
    );
    let shown = bed
        .kubectl
        .run(&["explain", "ippool.spec.perNodeBlockSize"])
        .await?;
    for part in [
        "FIELD: perNodeBlockSize <integer>",
        "How many consecutive addresses each node gets, at least 1.",
    ] {
        ensure!(shown.contains(part), "{shown}");
    }
    Ok(())
}

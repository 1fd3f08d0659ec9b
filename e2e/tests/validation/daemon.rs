//! What a node's daemon makes of a spec: it follows a valid one, and under an invalid one goes on as before and says why.

use anyhow::{Context, Result, bail};
use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use api::ippool_config::IpPoolConfig;
use api::pool_key::{PoolKey, PoolKind};
use e2e::bed::Bed;
use e2e::node::Node;
use e2e::wait;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::crd::cases::{Case, Kind};

/// A pool of which the node has a range.
struct Dealt {
    /// How the daemon begins a line of the log about it.
    prefix: String,
    /// How that goes on when it takes up the range.
    taken_up: String,
}

/// Stores a pool for every case, of which the node has a range: with the case's spec if that is valid, and else with a valid one,
/// which then becomes the case's. Returns where the daemon does otherwise than the case says.
pub(super) async fn wrong(bed: &Bed, cases: &[Case]) -> Result<Vec<String>> {
    let node = bed.nodes().first().context("no node")?;
    let mut dealt = Vec::new();
    for case in cases {
        dealt.push(deal(bed, node, case).await?);
    }
    let mark = node.daemon.service.log_length();
    node.daemon.start().await?;
    let mut wrong = Vec::new();
    let log = wait_lines(node, mark, "every range to be taken up", &dealt, |log, pool| {
        log.contains(&format!("{}{}", pool.prefix, pool.taken_up))
    })
    .await?;
    for (case, pool) in cases.iter().zip(&dealt) {
        if let Some(line) = line(&log, &format!("{}its spec is invalid: ", pool.prefix)) {
            wrong.push(format!("{}, before it was edited: {line}", case.name));
        }
    }

    let mut invalid = Vec::new();
    for (case, pool) in cases.iter().zip(dealt).filter(|(case, _)| !case.is_valid()) {
        let pools = case.kind.api(bed);
        let mut object = pools.get(case.name).await?;
        object.data["spec"] = case.spec.clone();
        pools.replace(case.name, &PostParams::default(), &object).await?;
        invalid.push((case, pool));
    }
    let log = wait_lines(
        node,
        mark,
        "every edit to be spoken of",
        &invalid,
        |log, (_, pool)| log.contains(&format!("{}its spec is invalid: ", pool.prefix)),
    )
    .await?;
    for (case, pool) in &invalid {
        let expected = format!(
            "{}its spec is invalid: {}; going on as before, until the pool is corrected",
            pool.prefix,
            case.text()
        );
        if !log.lines().any(|line| line.ends_with(&expected)) {
            let said = line(&log, &format!("{}its spec is invalid: ", pool.prefix));
            wrong.push(format!("{}: the daemon says {said:?}", case.name));
        }
    }
    Ok(wrong)
}

fn line<'a>(log: &'a str, part: &str) -> Option<&'a str> {
    log.lines().find(|line| line.contains(part))
}

/// Waits until the daemon's log has what it must have of each pool, and returns it.
async fn wait_lines<T>(
    node: &Node,
    mark: u64,
    what: &str,
    pools: &[T],
    has: impl Fn(&str, &T) -> bool,
) -> Result<String> {
    wait::until(what, wait::USUAL, async || {
        let log = node.daemon.service.log_since(mark);
        let there = pools.iter().filter(|pool| has(&log, pool)).count();
        if there == pools.len() {
            wait::done(log)
        } else {
            wait::not_yet(format!(
                "{there} of {}: {}",
                pools.len(),
                node.daemon.service.tail(3)
            ))
        }
    })
    .await
}

/// Stores the pool, with the node's entry in its status.
async fn deal(bed: &Bed, node: &Node, case: &Case) -> Result<Dealt> {
    let spec = if case.is_valid() {
        case.spec.clone()
    } else {
        case.kind.valid_spec()
    };
    let object = case.kind.object(case.name, &spec)?;
    let (kind, entry, taken_up) = first_range(case.kind, &serde_json::to_value(&object)?, &node.name)
        .with_context(|| case.name.to_owned())?;
    let pools = case.kind.api(bed);
    let mut stored = pools.create(&PostParams::default(), &object).await?;
    stored.data["status"] = json!({ "allocations": [entry] });
    pools
        .replace_status(case.name, &PostParams::default(), &stored)
        .await?;
    Ok(Dealt {
        prefix: format!("pool {}: ", PoolKey::new(kind, case.name)),
        taken_up,
    })
}

/// The entry that gives `node` the first range of a pool, and how its daemon says that it took it up.
fn first_range(kind: Kind, object: &Value, node: &str) -> Result<(PoolKind, Value, String)> {
    match kind {
        Kind::IPPool => {
            let pool: IPPool = serde_json::from_value(object.clone())?;
            let config = IpPoolConfig::parse(&pool)?;
            let Some(block) = config.layout.block(0) else {
                bail!("no block");
            };
            let entry = json!({ "nodeName": node, "startIP": block.first(), "endIP": block.last() });
            let taken_up = format!("this node hands out {block} of {}", config.subnet);
            Ok((PoolKind::IpPool, entry, taken_up))
        }
        Kind::CIDRPool => {
            let pool: CIDRPool = serde_json::from_value(object.clone())?;
            let (network, _) = pool.spec.cidr.split_once('/').context("no network")?;
            let prefix = format!("{network}/{}", pool.spec.per_node_network_prefix);
            let entry = json!({ "nodeName": node, "prefix": prefix });
            Ok((
                PoolKind::CidrPool,
                entry,
                format!("this node hands out its prefix {prefix}"),
            ))
        }
    }
}

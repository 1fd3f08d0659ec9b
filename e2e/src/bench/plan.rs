//! The plan for a pool alone: what `operator/benches/plan.rs` measures, as a table.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Scale;
use super::table::{Table, ratio};
use super::times::Times;
use crate::command;
use crate::names;
use crate::progress::Step;

/// What is measured there, its name there, and how long it may take with 10,000 and with 100,000 nodes.
const CASES: [(&str, &str, [&str; 2]); 5] = [
    ("floor: the names copied and sorted", "names", ["", ""]),
    ("floor: the status as JSON", "json", ["", ""]),
    ("nothing to change", "nothing", ["", "50 ms"]),
    ("one node joins", "join", ["20 ms", ""]),
    ("all nodes are new", "all", ["", "200 ms"]),
];

pub(super) async fn run(scale: Scale) -> Result<Vec<Table>> {
    // What an earlier run left is not to be taken for this one's.
    let results = names::cache_root()?.join("criterion");
    if results.exists() {
        fs::remove_dir_all(&results).with_context(|| format!("could not remove {}", results.display()))?;
    }
    let step = Step::begin("building and running the benchmark of plans");
    let mut cargo = command::cargo();
    cargo
        .args(["bench", "--quiet", "-p", "operator", "--bench", "plan", "--"])
        .args(scale.pick(
            &[][..],
            &["--sample-size=10", "--measurement-time=0.5", "--warm-up-time=0.1"],
        ))
        .env("CRITERION_HOME", &results);
    command::run(cargo, b"").await?.success()?;
    step.end();
    ["IPPool", "CIDRPool"]
        .map(|kind| table(&results, kind))
        .into_iter()
        .collect()
}

fn table(results: &Path, kind: &str) -> Result<Table> {
    let mut table = Table::new(
        format!("the plan for a {kind}"),
        &["nodes", "p50", "p99", "max", "x names", "x JSON", "target"],
    );
    for (i, nodes) in [10_000, 100_000].into_iter().enumerate() {
        let read = |case: &str| {
            times(
                &results
                    .join(format!("{kind}-{nodes}"))
                    .join(case)
                    .join("new/sample.json"),
            )
        };
        let (names, json) = (read("names")?.median(), read("json")?.median());
        for (what, case, targets) in CASES {
            let times = read(case)?;
            let mut cells = vec![format!("{nodes}: {what}")];
            cells.extend(times.cells());
            cells.extend([names, json].map(|floor| ratio(times.median(), floor)));
            cells.push(targets[i].to_owned());
            table.row(cells);
        }
    }
    table.remark("Measured by criterion; each time is the mean of a few plans.");
    Ok(table)
}

/// What criterion keeps of a measurement: how often it did it for each sample, and how long that took, in nanoseconds.
#[derive(Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

fn times(path: &Path) -> Result<Times> {
    let text = fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
    let sample: Sample = serde_json::from_slice(&text).with_context(|| format!("in {}", path.display()))?;
    let each = sample.times.iter().zip(&sample.iters);
    Ok(Times::new(
        each.map(|(time, count)| Duration::from_secs_f64(time / count / 1e9))
            .collect(),
    ))
}

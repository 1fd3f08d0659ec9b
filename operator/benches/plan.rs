//! What the plan for a large pool costs, beside what nobody can do it without: going through the names in order, and
//! telling the outcome as JSON.

#![expect(clippy::unwrap_used, reason = "a benchmark that panics has failed")]

use std::hint::black_box;
use std::time::Duration;

use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use api::selector::NodeLabels;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use operator::findings::Said;
use operator::nodes::Nodes;
use operator::pool::{Entry, Plan, Pool, World};
use serde_json::{Value, json};

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(50)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    bench::<IPPool>(
        &mut criterion,
        "IPPool",
        json!({"subnet": "10.0.0.0/8", "gateway": "10.0.0.1", "perNodeBlockSize": 100}),
    );
    bench::<CIDRPool>(
        &mut criterion,
        "CIDRPool",
        json!({"cidr": "10.0.0.0/8", "gatewayIndex": 1, "perNodeNetworkPrefix": 25}),
    );
    criterion.final_summary();
}

/// `spec` has room for a range for each of 100,000 nodes.
fn bench<K: Pool>(criterion: &mut Criterion, kind: &str, mut spec: Value) {
    spec["nodeSelector"] = json!({"nodeSelectorTerms": [{"matchExpressions": [
        {"key": "kubernetes.io/role", "operator": "In", "values": ["worker"]}]}]});
    let empty: K = serde_json::from_value(json!({
        "metadata": {"name": "pool1", "namespace": "kube-system", "uid": "u1", "generation": 1},
        "spec": spec,
    }))
    .unwrap();
    for count in [10_000, 100_000] {
        let mut group = criterion.benchmark_group(format!("{kind}-{count}"));
        group.sampling_mode(SamplingMode::Flat);
        bench_at(&mut group, &empty, count);
        group.finish();
    }
}

fn bench_at<K: Pool>(group: &mut BenchmarkGroup<'_, WallTime>, empty: &K, count: usize) {
    let nodes = workers(count);
    let (full, said) = settled(empty, &nodes);
    // Its name sorts between others', as that of a node that joins does.
    let name = format!("{}-joined", nodes.keys().nth(count / 2).unwrap());
    let mut joined = nodes.clone();
    joined.insert(name.clone(), worker(&name).into());

    group.bench_function("names", |bencher| {
        bencher.iter(|| {
            let mut names: Vec<String> = full
                .entries()
                .iter()
                .map(|entry| entry.node().to_owned())
                .collect();
            names.sort_unstable();
            names
        });
    });
    group.bench_function("json", |bencher| {
        bencher.iter(|| serde_json::to_vec(black_box(full.status().unwrap())).unwrap());
    });
    for (case, pool, nodes, said) in [
        ("nothing", &full, &nodes, Some(&said)),
        ("join", &full, &joined, Some(&said)),
        ("all", empty, &nodes, None),
    ] {
        let outcome = plan(pool, nodes, said);
        assert_eq!(
            (outcome.status.is_some(), outcome.without_range),
            (case != "nothing", 0),
            "{case}"
        );
        group.bench_function(case, |bencher| {
            bencher.iter(|| plan(black_box(pool), black_box(nodes), said));
        });
    }
}

/// `empty` with what is planned for it, and what has been said then.
fn settled<K: Pool>(empty: &K, nodes: &Nodes) -> (K, Said) {
    let mut pool = empty.clone();
    let Plan { status, said, .. } = plan(&pool, nodes, None);
    *pool.status_mut() = status;
    (pool, said)
}

fn plan<K: Pool>(pool: &K, nodes: &Nodes, said: Option<&Said>) -> Plan<K::Status> {
    pool.plan(&World {
        nodes,
        now: Time(Timestamp::UNIX_EPOCH),
        conditions_kept: true,
        said,
    })
}

fn workers(count: usize) -> Nodes {
    let name = |number| format!("worker-{number:06}.example.com");
    let node = |number| (name(number), worker(&name(number)).into());
    (0..count).map(node).collect()
}

/// With the labels that kubelets and clouds give a node, of which the selector wants one.
fn worker(name: &str) -> NodeLabels {
    let label = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let labels = [
        ("beta.kubernetes.io/arch", "amd64"),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("kubernetes.io/hostname", name),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/role", "worker"),
        ("node.kubernetes.io/instance-type", "large"),
        ("topology.kubernetes.io/region", "north"),
        ("topology.kubernetes.io/zone", "north-a"),
    ];
    NodeLabels {
        name: name.to_owned(),
        labels: labels.map(label).into(),
    }
}

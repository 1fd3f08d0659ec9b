//! Flags, commands, metrics, gRPC methods and codes of ipam-node are in docs/reference.md.

#[path = "../../../docs/testing/flags.rs"]
mod flags;
#[path = "../../../docs/testing/tables.rs"]
mod tables;

use clap::CommandFactory;
use node::flags::Cli;
use node::metrics::Metrics;
use prometheus::Registry;
use prometheus::proto::LabelPair;
use tables::Section;

#[test]
fn every_flag_has_a_row_with_its_default_and_an_example() {
    flags::are_documented(&Cli::command(), "ipam-node");
}

#[test]
fn every_command_line_of_the_page_is_understood() {
    flags::examples_are_understood::<Cli>("ipam-node");
}

#[test]
fn every_command_has_a_row() {
    let section = Section::of_reference("ipam-node store");
    let command = Cli::command();
    let store = command.find_subcommand("store").unwrap();
    assert_eq!(command.get_subcommands().count(), 1);
    for command in store.get_subcommands() {
        section.row(&format!("ipam-node store {}", command.get_name()));
        let own = command.get_arguments().filter(|flag| {
            flag.get_long()
                .is_some_and(|long| !matches!(long, "help" | "store-file"))
        });
        let text: String = section.blocks().into_iter().map(|block| block.text).collect();
        for flag in own {
            let flag = format!("--{}", flag.get_long().unwrap());
            assert!(text.contains(&flag), "no example has {flag}");
        }
    }
}

#[test]
fn every_metric_has_a_row_with_its_labels() {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    metrics.addresses.with_label_values(&["pool1", "free"]);
    metrics.requests.with_label_values(&["Allocate", "OK"]);
    metrics.request_duration.with_label_values(&["Allocate"]);
    let section = Section::of_reference("Metrics of ipam-node");
    let families = registry.gather();
    assert!(families.len() >= 7);
    for family in &families {
        let mut labels: Vec<&str> = family.get_metric()[0]
            .get_label()
            .iter()
            .map(LabelPair::name)
            .collect();
        labels.sort_unstable();
        let row = section.row(family.name());
        let mut documented: Vec<&str> = row[1].split(", ").filter(|label| !label.is_empty()).collect();
        documented.sort_unstable();
        assert_eq!(documented, labels, "{}", family.name());
    }
    let unknown = section.unknown(|name| families.iter().any(|family| family.name() == name));
    assert_eq!(unknown, [""; 0], "rows for metrics that there are not");
}

#[test]
fn every_grpc_method_has_a_row() {
    let proto = tables::root().join("rpc/proto/nvidia/ipam/node/v1/node.proto");
    let proto = std::fs::read_to_string(proto).unwrap();
    let methods: Vec<&str> = proto
        .lines()
        .filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next())
        .collect();
    assert!(methods.len() >= 5, "{methods:?}");
    let section = Section::of_reference("gRPC");
    for method in methods {
        section.row(method);
    }
}

#[test]
fn every_gate_of_readiness_has_a_row() {
    let gates = tables::arguments(include_str!("../../src/health.rs"), "readiness.gate(\"");
    assert!(gates.len() >= 3);
    let section = Section::of_reference("Probes of ipam-node");
    assert_eq!(section.names(), gates);
}

#[test]
fn every_file_of_a_store_has_a_row() {
    let suffixes = tables::arguments(include_str!("../../src/store/files.rs"), "beside(\"");
    assert!(suffixes.len() >= 8);
    let section = Section::of_reference("Files on a node");
    for suffix in suffixes {
        section.row(&format!("<store>{suffix}"));
    }
}

//! Flags, metrics, conditions and events of ipam-controller are in docs/reference.md.

#[path = "../../../docs/testing/flags.rs"]
mod flags;
#[path = "../../../docs/testing/tables.rs"]
mod tables;

use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use clap::CommandFactory;
use operator::findings::{INVALID_SPEC, NODES_ALLOCATED, SPEC_VALID, STALE_ALLOCATIONS, UNREADABLE};
use operator::flags::Flags;
use operator::metrics::Metrics;
use operator::pool::Pool;
use operator::webhook::metrics::Metrics as WebhookMetrics;
use prometheus::Registry;
use prometheus::proto::LabelPair;
use tables::Section;

#[test]
fn every_flag_has_a_row_with_its_default_and_an_example() {
    flags::are_documented(&Flags::command(), "ipam-controller");
}

#[test]
fn every_command_line_of_the_page_is_understood() {
    flags::examples_are_understood::<Flags>("ipam-controller");
}

#[test]
fn every_metric_has_a_row_with_its_labels() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    metrics.planned("pool1", 0, Some(0), 0);
    WebhookMetrics::new(&registry).unwrap().answered("/", 200);
    let section = Section::of_reference("Metrics of ipam-controller");
    let families = registry.gather();
    assert!(families.len() >= 12);
    for family in &families {
        let labels: Vec<&str> = family.get_metric()[0]
            .get_label()
            .iter()
            .map(LabelPair::name)
            .collect();
        assert_eq!(
            section.row(family.name())[1],
            labels.join(", "),
            "{}",
            family.name()
        );
    }
}

#[test]
fn every_condition_and_event_has_a_row() {
    let text = std::fs::read_to_string(tables::root().join("docs/reference.md")).unwrap();
    for condition in [SPEC_VALID, NODES_ALLOCATED, STALE_ALLOCATIONS] {
        assert!(
            text.contains(&format!("| `{condition}` | `True` |")),
            "{condition}"
        );
    }
    let events = Section::of_reference("Events");
    events.row(INVALID_SPEC);
    events.row(UNREADABLE);
    for words in [IPPool::WORDS, CIDRPool::WORDS] {
        let message = (words.no_room_event)("<node>");
        assert_eq!(events.row(words.no_room)[1], format!("`{message}`"));
    }
    for source in [IPPool::EVENT_SOURCE, CIDRPool::EVENT_SOURCE] {
        assert!(text.contains(&format!("`{source}`")), "{source}");
    }
}

#[test]
fn every_gate_of_readiness_has_a_row() {
    let sources = [
        include_str!("../../src/tools.rs"),
        include_str!("../../src/webhook/mod.rs"),
    ];
    let gates = sources
        .map(|source| tables::arguments(source, "readiness.gate(\""))
        .concat();
    assert!(gates.len() >= 3);
    let section = Section::of_reference("Probes of ipam-controller");
    assert_eq!(section.names(), gates);
}

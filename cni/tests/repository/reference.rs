//! What the plugin reads, and the codes that it answers with, are in docs/reference.md.

#[path = "../../../docs/testing/tables.rs"]
mod tables;

use cni::error::Code;
use cni::net_conf::Document;
use serde_json::Value;
use tables::Section;

#[test]
fn every_field_of_a_network_configuration_has_a_row_and_an_example() {
    let section = Section::of_reference("Network configuration");
    let source = include_str!("../../src/net_conf.rs");
    let names = ["get(\"", "get_or_default(\""]
        .map(|call| tables::arguments(source, call))
        .concat();
    assert!(names.len() > 15, "{names:?}");
    let blocks = section.blocks();
    let examples: String = blocks.iter().map(|block| block.text.as_str()).collect();
    for name in names
        .iter()
        .filter(|name| !matches!(**name, "ipam" | "runtimeConfig" | "args" | "cni"))
    {
        let rows = ["", "ipam.", "runtimeConfig.", "args.cni."].map(|inside| format!("{inside}{name}"));
        assert!(
            section.names().iter().any(|row| rows.contains(row)),
            "there is no row for {name}"
        );
        assert!(
            examples.contains(&format!("\"{name}\":")),
            "no example has {name}"
        );
    }
}

#[test]
fn every_example_is_read() {
    let section = Section::of_reference("Network configuration");
    let blocks: Vec<_> = section
        .blocks()
        .into_iter()
        .filter(|block| block.info.starts_with("json "))
        .collect();
    assert!(blocks.len() > 5);
    for block in blocks {
        let document = Document::parse(block.text.as_bytes()).expect(&block.text);
        let conf = document.net_conf().expect(&block.text);
        assert!(conf.ipam.is_some(), "{}", block.text);
    }
}

#[test]
fn every_default_is_the_one_that_is_built_in() {
    use cni::settings::{CALL_TIMEOUT_SECONDS, CONF_DIR, DAEMON_SOCKET, LOG_FILE, LOG_LEVEL, POOL_TYPE};
    let section = Section::of_reference("Network configuration");
    let timeout = CALL_TIMEOUT_SECONDS.to_string();
    for (field, default) in [
        ("ipam.poolType", POOL_TYPE),
        ("ipam.daemonSocket", DAEMON_SOCKET),
        ("ipam.daemonCallTimeoutSeconds", &timeout),
        ("ipam.confDir", CONF_DIR),
        ("ipam.logFile", LOG_FILE),
        ("ipam.logLevel", LOG_LEVEL),
    ] {
        assert_eq!(section.row(field)[2], format!("`{default}`"), "{field}");
    }
}

#[test]
fn the_example_of_the_configuration_file_is_read() {
    let section = Section::of_reference("Configuration file");
    let block = section
        .blocks()
        .into_iter()
        .find(|block| block.info == "json conf")
        .unwrap();
    let file = cni::net_conf::IpamConf::parse_file(block.text.as_bytes()).unwrap();
    assert_eq!(file.force_pool_name, Some(false));
    let keys: Value = serde_json::from_str(&block.text).unwrap();
    assert_eq!(keys.as_object().unwrap().len(), 5);
}

#[test]
fn the_example_of_cni_args_is_read() {
    let section = Section::of_reference("CNI_ARGS");
    let block = section
        .blocks()
        .into_iter()
        .find(|block| block.info == "text cni_args")
        .unwrap();
    let args = cni::cni_args::CniArgs::parse(block.text.trim()).unwrap();
    assert_eq!(
        (args.pod_name.as_str(), args.ip.as_str()),
        ("web-0", "192.168.200.7")
    );
    for key in [
        "K8S_POD_NAME",
        "K8S_POD_NAMESPACE",
        "K8S_POD_UID",
        "IP",
        "IgnoreUnknown",
    ] {
        section.row(key);
    }
}

#[test]
fn every_error_code_has_a_row() {
    let section = Section::of_reference("Results and error codes");
    for code in Code::ALL {
        section.row(&(code as u16).to_string());
    }
    let known = |row: &str| Code::ALL.iter().any(|code| (*code as u16).to_string() == row);
    assert_eq!(section.unknown(known), [""; 0]);
}

//! What a runtime passes to the plugin, and everything that is made of it before the daemon is asked; and what that answers.
//!
//! Run by the fuzz targets and, over the committed corpus, by `cni/tests/repository`. A target uses a part of it.
#![allow(dead_code, reason = "each target uses a part")]

use std::time::Duration;

use cni::cni_args::CniArgs;
use cni::environment::{self, Attachment, Verb};
use cni::garbage;
use cni::grpc::{Answer, Exchange, ProtocolError};
use cni::net_conf::{Document, IpamConf, NetConf};
use cni::request::Call;
use cni::settings::{Settings, conf_file};
use cni::target::Target;

/// A CNI_ARGS with which nothing is wrong.
const ARGS: &str = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_UID=u1";

/// Standard input. The configuration file has the fields of its `ipam`, so it is read as one, too.
pub(crate) fn network_configuration(input: &[u8]) {
    let file = IpamConf::parse_file(input).unwrap_or_default();
    let Ok(document) = Document::parse(input) else {
        return;
    };
    if let Ok(live) = garbage::live(&document) {
        for attachment in live {
            assert!(!attachment.cni_containerid.is_empty() && !attachment.cni_ifname.is_empty());
        }
    }
    let Ok(conf) = document.net_conf() else {
        return;
    };
    let ipam = conf.ipam.clone().unwrap_or_default();
    assert!(conf_file(&ipam).ends_with("nv-ipam.conf"));
    for file in [IpamConf::default(), file] {
        let settings = Settings::merge(&ipam, &file);
        assert!((1..=86400).contains(&settings.call_timeout.as_secs()));
        if let Ok(target) = Target::parse(&settings.daemon_socket) {
            assert_eq!(Target::parse(&target.to_string()).as_ref(), Ok(&target));
        }
        check(&document, &conf, &settings, ARGS);
    }
}

/// CNI_ARGS, for a configuration with which nothing is wrong.
pub(crate) fn cni_args(input: &[u8]) {
    let args = String::from_utf8_lossy(input);
    let leniently = CniArgs::parse_leniently(&args);
    match CniArgs::parse(&args) {
        Ok(strictly) => {
            assert_eq!(leniently, strictly);
            let printed = format!(
                "IP={};K8S_POD_NAME={};K8S_POD_NAMESPACE={};K8S_POD_UID={}",
                strictly.ip, strictly.pod_name, strictly.pod_namespace, strictly.pod_uid
            );
            assert_eq!(CniArgs::parse(&printed), Ok(strictly));
        }
        // It goes into a log of lines.
        Err(error) => assert!(!error.to_string().contains(['\n', '\r']), "{error}"),
    }
    let document = Document::parse(br#"{"name":"mynet","ipam":{"type":"nv-ipam"}}"#).unwrap();
    let conf = document.net_conf().unwrap();
    let settings = Settings::merge(&IpamConf::default(), &IpamConf::default());
    check(&document, &conf, &settings, &args);
}

/// What comes on the connection to the daemon: the same, however it is cut.
pub(crate) fn grpc_answer(input: &[u8]) {
    let whole = answer(&[input]);
    let (first, second) = input.split_at(input.len() / 2);
    assert_eq!(answer(&[first, second]), whole);
    assert_eq!(answer(&input.chunks(7).collect::<Vec<_>>()), whole);
}

fn answer(parts: &[&[u8]]) -> Result<Option<Answer>, ProtocolError> {
    // More than fits into what may be sent at first.
    let mut exchange = Exchange::new("/service/Method", Duration::from_secs(1), &vec![b'.'; 70_000]);
    for part in parts {
        exchange.receive(part)?;
        exchange.take_outgoing();
        if let Some(answer) = exchange.take_answer() {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

/// What is asked of the daemon is what it can be asked, and a DEL asks for what the ADD asked for.
fn check(document: &Document, conf: &NetConf, settings: &Settings, args: &str) {
    let attachment = attachment(args);
    let call = Call {
        network: &document.network,
        attachment: &attachment,
        conf,
        settings,
    };
    let (released, faults) = call.release();
    assert!((1..=2).contains(&released.pools.len()) && !released.pools.iter().any(String::is_empty));
    let pod = released.metadata.as_ref().unwrap();
    assert!(!pod.k8s_pod_name.is_empty() && !pod.k8s_pod_namespace.is_empty());
    let Ok(asked) = call.reserve() else {
        return;
    };
    assert_eq!(faults, []);
    assert_eq!(
        (&asked.pools, asked.pool_type, &asked.network_name),
        (&released.pools, released.pool_type, &released.network_name)
    );
    let pod = asked.metadata.unwrap();
    assert!(!pod.k8s_pod_name.is_empty() && !pod.k8s_pod_namespace.is_empty());
    let features = asked.features.unwrap();
    let index = features.allocate_ip_with_index;
    assert!(index.is_none_or(|index| index >= 0));
    let wishes = [
        !asked.requested_ips.is_empty(),
        features.allocate_default_gateway,
        index.is_some(),
    ];
    assert!(wishes.iter().filter(|wish| **wish).count() <= 1);
    for ip in asked.requested_ips {
        assert!(ip.parse::<std::net::IpAddr>().is_ok(), "{ip}");
    }
}

fn attachment(args: &str) -> Attachment {
    let verb = environment::verb(|name| {
        let value = match name {
            "CNI_COMMAND" => "ADD",
            "CNI_CONTAINERID" => "c1",
            "CNI_NETNS" => "/run/netns/a",
            "CNI_IFNAME" => "net1",
            "CNI_PATH" => "/opt/cni/bin",
            "CNI_ARGS" => args,
            _ => return None,
        };
        Some(value.into())
    });
    match verb {
        Ok(Some(Verb::Add(attachment))) => attachment,
        other => panic!("not an ADD: {other:?}"),
    }
}

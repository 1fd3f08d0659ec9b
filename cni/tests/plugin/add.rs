//! ADD and CHECK: what the daemon is asked, and what is made of its answer.

use rpc::v1::{AllocationInfo, PoolType};
use serde_json::json;

use crate::support::{Daemon, Node, Reply, one_address};

#[test]
fn an_add_prints_the_address_that_the_daemon_gave() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    let ran = node.call("ADD").run();
    assert_eq!(
        ran.ok(),
        "{\n    \"cniVersion\": \"1.0.0\",\n    \"ips\": [\n        {\n            \"address\": \"192.168.0.2/16\",\n            \
         \"gateway\": \"192.168.0.1\"\n        }\n    ]\n}"
    );
    let [call] = &daemon.seen()[..] else {
        panic!("{:?}", daemon.seen())
    };
    assert_eq!(call.method, "Allocate");
    let parameters = call.parameters.clone().unwrap();
    assert_eq!(parameters.pools, ["pool1"]);
    assert_eq!(
        (
            parameters.cni_containerid.as_str(),
            parameters.cni_ifname.as_str()
        ),
        ("c1", "net1")
    );
    assert_eq!(parameters.network_name, "mynet");
    assert_eq!(parameters.pool_type(), PoolType::Ippool);
    let metadata = parameters.metadata.unwrap();
    assert_eq!(
        (
            metadata.k8s_pod_namespace.as_str(),
            metadata.k8s_pod_name.as_str(),
            metadata.k8s_pod_uid.as_str()
        ),
        ("ns", "pod", "uid")
    );
}

#[test]
fn the_daemon_is_told_how_long_the_caller_waits() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    node.call("ADD").run().ok();
    let timeout = daemon.seen()[0].grpc_timeout.clone().unwrap();
    let microseconds: u64 = timeout.strip_suffix('u').unwrap().parse().unwrap();
    assert!((1..=60_000_000).contains(&microseconds), "{timeout}");
}

#[test]
fn every_version_gets_its_own_result() {
    let node = Node::new();
    let _daemon = node.daemon(one_address());
    for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let ran = node.call("ADD").stdin(node.conf(version).to_string()).run();
        let result: serde_json::Value = serde_json::from_str(ran.ok()).unwrap();
        assert_eq!(result["cniVersion"], version);
        let address = if version < "0.3" {
            &result["ip4"]["ip"]
        } else {
            &result["ips"][0]["address"]
        };
        assert_eq!(address, "192.168.0.2/16");
    }
}

#[test]
fn two_pools_and_what_else_is_asked_reach_the_daemon() {
    let node = Node::new();
    let allocation = |ip: &str| AllocationInfo {
        ip: ip.into(),
        ..AllocationInfo::default()
    };
    let daemon = node.daemon(Reply::Allocations(vec![
        allocation("10.0.0.2/24"),
        allocation("fd00::2/64"),
    ]));
    let mut conf = node.conf("1.0.0");
    conf["deviceID"] = json!("0000:3b:00.1");
    conf["args"] =
        json!({"cni": {"poolNames": ["a", "b"], "poolType": "cidrpool", "allocateIPWithIndex": 3}});
    node.call("ADD").stdin(conf.to_string()).run().ok();
    let parameters = daemon.seen()[0].parameters.clone().unwrap();
    assert_eq!(parameters.pools, ["a", "b"]);
    assert_eq!(parameters.pool_type(), PoolType::Cidrpool);
    assert_eq!(parameters.features.unwrap().allocate_ip_with_index, Some(3));
    assert_eq!(parameters.metadata.unwrap().device_id, "0000:3b:00.1");
}

#[test]
fn static_addresses_reach_the_daemon_from_the_first_place_that_has_any() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    let mut conf = node.conf("1.0.0");
    let cni_args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=pod;IP=10.0.0.3/24";
    let add = |conf: &serde_json::Value| {
        let call = node.call("ADD").stdin(conf.to_string());
        call.with("CNI_ARGS", cni_args).run().ok();
    };
    add(&conf);
    conf["args"] = json!({"cni": {"ips": ["10.0.0.2", "fd00::2"]}});
    add(&conf);
    conf["runtimeConfig"] = json!({"ips": ["10.0.0.1/16"]});
    add(&conf);
    let asked: Vec<_> = daemon
        .seen()
        .into_iter()
        .map(|call| call.parameters.unwrap().requested_ips)
        .collect();
    assert_eq!(
        asked,
        [vec!["10.0.0.3"], vec!["10.0.0.2", "fd00::2"], vec!["10.0.0.1"]]
    );
}

#[test]
fn a_forced_pool_name_must_be_given_somewhere() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    let mut conf = node.conf("1.0.0");
    conf["ipam"]["poolName"] = json!("");
    node.call("ADD").stdin(conf.to_string()).run().ok();
    conf["ipam"]["forcePoolName"] = json!(true);
    let expected = "command preparation failed: failed to load config. no pool provided".to_owned();
    assert_eq!(
        node.call("ADD").stdin(conf.to_string()).run().error(),
        (999, expected)
    );
    conf["args"] = json!({"cni": {"poolNames": ["x"]}});
    node.call("ADD").stdin(conf.to_string()).run().ok();
    let asked: Vec<_> = daemon
        .seen()
        .into_iter()
        .map(|call| call.parameters.unwrap().pools)
        .collect();
    assert_eq!(asked, [vec!["mynet"], vec!["x"]]);
}

#[test]
fn the_configuration_file_fills_what_standard_input_leaves_out() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    std::fs::create_dir(node.path("conf")).unwrap();
    std::fs::write(
        node.path("conf/nv-ipam.conf"),
        json!({"daemonSocket": format!("unix://{}", node.socket().display()), "poolName": "of-file",
               "logFile": node.path("log")})
        .to_string(),
    )
    .unwrap();
    let conf = json!({"name": "mynet", "cniVersion": "1.0.0",
                      "ipam": {"type": "nv-ipam", "confDir": node.path("conf")}});
    node.call("ADD").stdin(conf.to_string()).run().ok();
    assert_eq!(daemon.seen()[0].parameters.clone().unwrap().pools, ["of-file"]);
}

#[test]
fn the_plugin_s_own_namespace_is_refused_before_anything_is_reserved() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    let call = node.call("ADD").with("CNI_NETNS", "/proc/self/ns/net");
    let expected = (
        8,
        "plugin's netns and netns from CNI_NETNS should not be the same".to_owned(),
    );
    assert_eq!(call.run().error(), expected);
    assert_eq!(daemon.seen().len(), 0);
    call.with("CNI_NETNS_OVERRIDE", "true").run().ok();
    assert_eq!(daemon.seen().len(), 1);
}

#[test]
fn a_check_succeeds_silently_and_needs_a_version_that_has_it() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    assert_eq!(node.call("CHECK").run().ok(), "");
    assert_eq!(daemon.seen()[0].method, "IsAllocated");
    let of_version = |version: &str| node.call("CHECK").stdin(node.conf(version).to_string()).run();
    let refused = (1, "config version does not allow CHECK".to_owned());
    assert_eq!(of_version("0.3.1").error(), refused);
    assert_eq!(daemon.seen().len(), 1);
    assert_eq!(of_version("0.4.0").ok(), "");
    assert_eq!(daemon.seen().len(), 2);
}

#[test]
fn a_check_needs_its_pod_as_an_add_does() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    for (cni_args, fault) in [
        (
            "K8S_POD_NAME=pod",
            "CNI_ARGS: K8S_POD_NAMESPACE is not provided by container runtime",
        ),
        (
            "K8S_POD_NAME=pod;K8S_POD_NAMESPACE=ns;X=1",
            "ARGS: unknown args [\"X=1\"]",
        ),
    ] {
        let refused = node.call("CHECK").with("CNI_ARGS", cni_args).run().error();
        assert_eq!(refused, (999, format!("failed to load config. {fault}")));
    }
    assert_eq!(daemon.seen().len(), 0);
}

#[test]
fn a_daemon_on_a_loopback_port_is_reached_under_each_spelling() {
    let (daemon, port) = Daemon::on_tcp(one_address());
    let node = Node::new();
    for socket in [
        format!("127.0.0.1:{port}"),
        format!("tcp://127.0.0.1:{port}"),
        format!("dns:///127.0.0.1:{port}"),
    ] {
        let mut conf = node.conf("1.0.0");
        conf["ipam"]["daemonSocket"] = json!(socket);
        node.call("ADD").stdin(conf.to_string()).run().ok();
    }
    assert_eq!(daemon.seen().len(), 3);
}

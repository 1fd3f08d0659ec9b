//! GC: what the runtime lists as alive reaches the daemon, and nothing else decides.

use rpc::v1::Attachment;
use serde_json::json;
use tonic::Code;

use crate::status::call;
use crate::support::{Call, Node, Reply, one_address};

/// A GC as libcni makes it: the same list under both keys.
fn gc(node: &Node, live: &serde_json::Value) -> Call {
    let call = call(node, "GC", "1.1.0");
    let mut conf: serde_json::Value = serde_json::from_slice(&call.stdin).unwrap();
    conf["cni.dev/valid-attachments"] = live.clone();
    conf["cni.dev/attachments"] = live.clone();
    call.stdin(conf.to_string())
}

#[test]
fn a_gc_tells_the_daemon_what_is_alive_and_when_it_began() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    let before = cni::clock::now().unwrap();
    let live = json!([{"containerID": "c1", "ifname": "eth0"}, {"containerID": "c2", "ifname": "net1"}]);
    assert_eq!(gc(&node, &live).run().ok(), "");
    let [seen] = &daemon.seen()[..] else {
        panic!("{:?}", daemon.seen())
    };
    assert_eq!(seen.method, "CollectGarbage");
    assert!(seen.grpc_timeout.is_some());
    let request = seen.garbage.clone().unwrap();
    assert_eq!(request.network_name, "mynet");
    let attachment = |container: &str, interface: &str| Attachment {
        cni_containerid: container.to_owned(),
        cni_ifname: interface.to_owned(),
    };
    assert_eq!(request.live, [attachment("c1", "eth0"), attachment("c2", "net1")]);
    let began = request.began.unwrap();
    assert_eq!(began.boot_id, before.boot_id);
    let after = cni::clock::now().unwrap();
    assert!((before.boottime_ns..after.boottime_ns).contains(&began.boottime_ns));
    assert!(
        node.log()
            .contains("CmdGC succeed: Network: mynet released 2 address(es)")
    );
}

#[test]
fn an_empty_list_is_asked_and_a_missing_one_is_not() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    // As libcni writes a list that nobody put anything into.
    for empty in [json!([]), json!(null)] {
        gc(&node, &empty).run().ok();
    }
    assert_eq!(daemon.seen().len(), 2);
    for seen in daemon.seen() {
        assert_eq!(seen.garbage.unwrap().live, []);
    }
    let (code, msg) = call(&node, "GC", "1.1.0").run().error();
    assert_eq!(code, 7);
    assert!(msg.contains("cni.dev/valid-attachments"), "{msg}");
    let (code, msg) = gc(&node, &json!([{"containerID": "c1"}])).run().error();
    assert_eq!(code, 7);
    assert!(msg.contains("cni.dev/valid-attachments.ifname"), "{msg}");
    assert_eq!(daemon.seen().len(), 2);
}

#[test]
fn a_gc_needs_a_version_that_has_it() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    let mut conf = node.conf("1.0.0");
    conf["cni.dev/valid-attachments"] = json!([]);
    let old = call(&node, "GC", "1.0.0").stdin(conf.to_string());
    let expected = (1, "config version does not allow GC".to_owned());
    assert_eq!(old.run().error(), expected);
    assert_eq!(daemon.seen().len(), 0);
}

#[test]
fn a_daemon_without_the_method_has_nothing_to_collect() {
    let node = Node::new();
    let daemon = node.daemon(Reply::Refusal(
        Code::Unimplemented,
        "unknown method CollectGarbage",
    ));
    assert_eq!(gc(&node, &json!([])).run().ok(), "");
    assert_eq!(daemon.seen().len(), 1);
}

#[test]
fn a_gc_that_fails_says_so_with_the_codes_of_an_add() {
    let node = Node::new();
    let (code, msg) = gc(&node, &json!([])).run().error();
    assert_eq!(code, 11);
    assert!(
        msg.starts_with("grpc call failed: rpc error: code = Unavailable"),
        "{msg}"
    );
    for (refusal, code) in [
        (Reply::Refusal(Code::Unavailable, "pods can't be asked for"), 11),
        (Reply::Refusal(Code::Internal, "disk"), 999),
    ] {
        let node = Node::new();
        let _daemon = node.daemon(refusal);
        assert_eq!(gc(&node, &json!([])).run().error().0, code);
    }
    let node = Node::new();
    let _daemon = node.daemon(Reply::Never);
    let mut conf: serde_json::Value = serde_json::from_slice(&gc(&node, &json!([])).stdin).unwrap();
    conf["ipam"]["daemonCallTimeoutSeconds"] = json!(1);
    let (code, msg) = gc(&node, &json!([])).stdin(conf.to_string()).run().error();
    assert_eq!(code, 999);
    assert!(msg.contains("DeadlineExceeded"), "{msg}");
    assert!(
        !node.path(rpc::journal::FOLDER).exists(),
        "a GC is repeated, not left behind"
    );
}

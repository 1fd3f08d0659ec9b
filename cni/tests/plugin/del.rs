//! DEL, and the journal that makes it succeed without a daemon.

use std::fs;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use rpc::journal::{EntryPoolType, FOLDER};
use serde_json::json;
use tonic::Code;

use crate::support::{Daemon, Node, Reply, entries, one_address};

#[test]
fn a_del_that_is_answered_leaves_nothing_behind() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    assert_eq!(node.call("DEL").run().ok(), "");
    let [call] = &daemon.seen()[..] else {
        panic!("{:?}", daemon.seen())
    };
    assert_eq!(call.method, "Deallocate");
    assert_eq!(call.parameters.clone().unwrap().network_name, "mynet");
    assert!(call.grpc_timeout.is_some());
    assert!(!node.path(FOLDER).exists());
}

#[test]
fn a_del_needs_container_and_interface_only() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    let mut conf = node.conf("1.0.0");
    conf["ipam"]["poolName"] = json!("");
    conf["ipam"]["forcePoolName"] = json!(true);
    conf["runtimeConfig"] = json!({"ips": ["nonsense"]});
    let call = node
        .call("DEL")
        .stdin(conf.to_string())
        .with("CNI_ARGS", "nonsense")
        .with("CNI_NETNS", "");
    assert_eq!(call.run().ok(), "");
    let parameters = daemon.seen()[0].parameters.clone().unwrap();
    assert_eq!(parameters.pools, ["mynet"]);
    let metadata = parameters.metadata.unwrap();
    assert_eq!(
        (
            metadata.k8s_pod_name.as_str(),
            metadata.k8s_pod_namespace.as_str()
        ),
        ("-", "-")
    );
}

#[test]
fn a_del_without_a_daemon_succeeds_and_is_in_the_journal() {
    let node = Node::new();
    let before = cni::clock::now().unwrap();
    let mut conf = node.conf("1.0.0");
    conf["ipam"]["poolType"] = json!("cidrpool");
    assert_eq!(node.call("DEL").stdin(conf.to_string()).run().ok(), "");
    let after = cni::clock::now().unwrap();
    let [entry] = &node.journal()[..] else {
        panic!("{:?}", node.journal())
    };
    assert_eq!(
        (entry.container_id.as_str(), entry.interface_name.as_str()),
        ("c1", "net1")
    );
    assert_eq!(
        (entry.network_name.as_str(), &entry.pools[..]),
        ("mynet", &["pool1".to_owned()][..])
    );
    assert_eq!(entry.pool_type, EntryPoolType::CidrPool);
    assert_eq!(entry.stamp.boot_id, before.boot_id);
    assert!(before.boottime_ns < entry.stamp.boottime_ns && entry.stamp.boottime_ns < after.boottime_ns);
    // Again: a runtime may repeat a DEL.
    assert_eq!(node.call("DEL").run().ok(), "");
    assert_eq!(node.journal().len(), 2);
}

#[test]
fn a_del_that_nobody_listens_to_is_in_the_journal() {
    let node = Node::new();
    drop(UnixListener::bind(node.socket()).unwrap());
    let ran = node.call("DEL").run();
    ran.ok();
    assert_eq!(node.journal().len(), 1);
    let warning = format!(
        "; ipam-node will find this DEL in {}/",
        node.path(FOLDER).display()
    );
    assert!(
        ran.stderr.contains("[warning]") && ran.stderr.contains(&warning),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("CmdDel succeed"), "{}", ran.stderr);
}

#[test]
fn a_del_that_the_daemon_can_t_serve_now_is_in_the_journal() {
    let node = Node::new();
    let daemon = node.daemon(Reply::Refusal(Code::Unavailable, "no table yet"));
    node.call("DEL").run().ok();
    assert_eq!((daemon.seen().len(), node.journal().len()), (1, 1));
}

#[test]
fn a_del_whose_daemon_is_slow_is_in_the_journal_with_the_moment_it_began() {
    let node = Node::new();
    let daemon = node.daemon(Reply::Never);
    let before = cni::clock::now().unwrap();
    node.impatient_call("DEL", "1.0.0").run().ok();
    let after = cni::clock::now().unwrap();
    let [entry] = &node.journal()[..] else {
        panic!("{:?}", node.journal())
    };
    // The plugin waited for its deadline in between.
    assert!(after.boottime_ns - before.boottime_ns >= 1_000_000_000);
    assert!(after.boottime_ns - entry.stamp.boottime_ns >= 1_000_000_000);
    assert_eq!(daemon.seen().len(), 1);
}

#[test]
fn a_del_whose_answer_is_lost_is_in_the_journal() {
    let node = Node::new();
    let listener = UnixListener::bind(node.socket()).unwrap();
    let dies = thread::spawn(move || drop(listener.accept().unwrap()));
    node.call("DEL").run().ok();
    dies.join().unwrap();
    assert_eq!(node.journal().len(), 1);
}

#[test]
fn a_del_that_the_daemon_refuses_fails_and_is_not_in_the_journal() {
    let node = Node::new();
    let _daemon = node.daemon(Reply::Refusal(Code::Internal, "disk"));
    assert_eq!(
        node.call("DEL").run().error(),
        (
            999,
            "grpc call failed: rpc error: code = Internal desc = disk".to_owned()
        )
    );
    assert!(!node.path(FOLDER).exists());
}

#[test]
fn a_del_over_tcp_has_no_journal() {
    let (daemon, port) = Daemon::on_tcp(Reply::Refusal(Code::Unavailable, "no table yet"));
    let node = Node::new();
    let mut conf = node.conf("1.0.0");
    conf["ipam"]["daemonSocket"] = json!(format!("127.0.0.1:{port}"));
    let (code, _) = node.call("DEL").stdin(conf.to_string()).run().error();
    assert_eq!((code, daemon.seen().len()), (11, 1));
    assert!(!node.path(FOLDER).exists());
}

#[test]
fn a_del_that_can_t_be_left_in_the_journal_fails_and_says_both() {
    let node = Node::new();
    // Where the folder should be there is a file.
    fs::write(node.path(FOLDER), "").unwrap();
    let (code, msg) = node.call("DEL").run().error();
    assert_eq!(code, 999);
    assert!(
        msg.contains("ipam-node isn't answering") && msg.contains("journal: writing"),
        "{msg}"
    );
    assert_eq!(fs::read(node.path(FOLDER)).unwrap(), b"");
    // There has never been a daemon.
    let mut conf = node.conf("1.0.0");
    conf["ipam"]["daemonSocket"] = json!(format!("unix://{}", node.path("never/daemon.sock").display()));
    let (code, msg) = node.call("DEL").stdin(conf.to_string()).run().error();
    assert_eq!(code, 999);
    assert!(msg.contains("journal: creating"), "{msg}");
    assert!(!node.path("never").exists());
}

#[test]
fn the_own_namespace_is_reported_after_the_release() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    let (code, _) = node
        .call("DEL")
        .with("CNI_NETNS", "/proc/self/ns/net")
        .run()
        .error();
    assert_eq!((code, daemon.seen().len()), (8, 1));
}

#[test]
fn an_entry_is_whole_from_the_moment_it_can_be_seen() {
    let node = Node::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // Reads what a daemon that watches the folder would read; an entry that isn't whole fails there.
        let watching = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                entries(&node.path(FOLDER));
            }
        });
        let calls: Vec<_> = (0..4)
            .map(|caller| {
                let node = &node;
                scope.spawn(move || {
                    for number in 0..10 {
                        node.call("DEL")
                            .with("CNI_CONTAINERID", format!("c{caller}-{number}"))
                            .run()
                            .ok();
                    }
                })
            })
            .collect();
        for call in calls {
            call.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        watching.join().unwrap();
    });
    assert_eq!(node.journal().len(), 40);
    assert_eq!(
        fs::read_dir(node.path(FOLDER)).unwrap().count(),
        40,
        "nothing unfinished is left"
    );
}

#[test]
fn a_killed_del_leaves_a_whole_entry_or_none_and_success_means_an_entry() {
    const RUNS: u32 = 80;
    let node = Node::new();
    let start = Instant::now();
    node.call("DEL").run().ok();
    let whole_run = start.elapsed();
    let mut succeeded = Vec::new();
    for number in 0..RUNS {
        let container = format!("killed-{number}");
        let mut child = node.call("DEL").with("CNI_CONTAINERID", &container).spawn();
        // Every point of a run, from before its start to after its end; this is no waiting for a condition.
        thread::sleep(whole_run * number / RUNS);
        let _ = child.kill();
        if child.wait().unwrap().success() {
            succeeded.push(container);
        }
    }
    let journal = node.journal();
    for container in succeeded {
        assert!(
            journal.iter().any(|entry| entry.container_id == container),
            "{container}"
        );
    }
}

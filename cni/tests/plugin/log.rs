//! The log file.

use std::collections::BTreeSet;
use std::thread;

use cni::log::LogFile;
use serde_json::json;
use tonic::Code;

use crate::support::{Node, Reply, one_address};

#[test]
fn a_call_and_its_success_are_logged_to_the_file_and_to_standard_error() {
    let node = Node::new();
    let _daemon = node.daemon(one_address());
    let ran = node.call("ADD").run();
    ran.ok();
    let log = node.log();
    assert_eq!(log, ran.stderr);
    let lines: Vec<_> = log.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(
        lines,
        [
            "[info] CMD ADD Call: ContainerID: c1 Netns: /run/netns/not-there IfName: net1",
            "[info] CmdAdd succeed: ContainerID: c1 IfName: net1 IPs: 192.168.0.2/16",
        ]
    );
}

#[test]
fn a_failure_says_for_whom_and_why() {
    let node = Node::new();
    let _daemon = node.daemon(Reply::Refusal(Code::NotFound, "no pool"));
    node.call("ADD").run().error();
    let expected = "[error] CMD ADD Error: ContainerID: c1 IfName: net1 code 999: \
                    grpc call failed: rpc error: code = NotFound desc = no pool\n";
    assert!(node.log().ends_with(expected), "{}", node.log());
}

#[test]
fn the_level_decides_what_is_logged() {
    let node = Node::new();
    let _daemon = node.daemon(one_address());
    let logged = |level: &str| {
        let _ = std::fs::remove_file(node.path("log"));
        let mut conf = node.conf("1.0.0");
        conf["ipam"]["logLevel"] = json!(level);
        node.call("ADD").stdin(conf.to_string()).run().ok();
        node.log()
    };
    assert_eq!(logged("error"), "");
    assert!(logged("debug").contains("[debug] CMD ADD: Args: IgnoreUnknown=1;"));
    assert!(!logged("debug").contains("[verbose]"));
    assert!(logged("verbose").contains("[verbose] CMD ADD: Response: "));
    let unknown = logged("loud");
    assert!(
        unknown.contains("[warning] unknown logLevel \"loud\", using info")
            && unknown.contains("CmdAdd succeed")
    );
}

#[test]
fn a_log_that_can_t_be_written_fails_nothing_and_is_complained_about_once() {
    let node = Node::new();
    let _daemon = node.daemon(one_address());
    let mut conf = node.conf("1.0.0");
    conf["ipam"]["logFile"] = json!("/proc/no/such/log");
    let ran = node.call("ADD").stdin(conf.to_string()).run();
    ran.ok();
    assert_eq!(
        ran.stderr
            .matches("can't write the log file /proc/no/such/log")
            .count(),
        1,
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("CmdAdd succeed"));
}

#[test]
fn hostile_input_makes_no_lines_of_its_own() {
    let node = Node::new();
    let _daemon = node.daemon(one_address());
    let netns = "/run/x\n2026-01-01T00:00:00Z [info] CmdAdd succeed";
    node.call("ADD").with("CNI_NETNS", netns).run().ok();
    assert_eq!(node.log().lines().count(), 2);
}

#[test]
fn runs_at_the_same_time_write_whole_lines() {
    let node = Node::new();
    let _daemon = node.daemon(one_address());
    thread::scope(|scope| {
        for caller in 0..4 {
            let node = &node;
            scope.spawn(move || {
                for number in 0..5 {
                    node.call("ADD")
                        .with("CNI_CONTAINERID", format!("c{caller}-{number}"))
                        .run()
                        .ok();
                }
            });
        }
    });
    let log = node.log();
    assert_eq!(log.lines().count(), 40);
    for caller in 0..4 {
        for number in 0..5 {
            let done =
                format!("CmdAdd succeed: ContainerID: c{caller}-{number} IfName: net1 IPs: 192.168.0.2/16\n");
            assert_eq!(log.matches(&done).count(), 1);
        }
    }
}

#[test]
fn writers_that_rename_the_log_under_each_other_lose_no_line() {
    const WRITERS: usize = 8;
    const LINES: usize = 400;
    // About 80 bytes a line, so that what is written needs four logs of the six that there can be.
    const SIZE_MAX: u64 = (WRITERS * LINES * 80 / 4) as u64;
    let node = Node::new();
    let path = node.path("log");
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let path = &path;
            scope.spawn(move || {
                for number in 0..LINES {
                    // As separate runs of the plugin do: open, append, close.
                    let mut log = LogFile::open(path, SIZE_MAX).unwrap();
                    log.append(format!("{writer:08} {number:08} {:-<61}\n", "").as_bytes())
                        .unwrap();
                }
            });
        }
    });
    let mut written = BTreeSet::new();
    let mut files = 0;
    for name in ["log", "log.1", "log.2", "log.3", "log.4", "log.5"] {
        let Ok(content) = std::fs::read_to_string(node.path(name)) else {
            continue;
        };
        files += 1;
        for line in content.lines() {
            assert_eq!(line.len(), 79, "{line}");
            assert!(written.insert(line[..17].to_owned()), "{line} is there twice");
        }
    }
    assert_eq!(written.len(), WRITERS * LINES);
    assert!((3..6).contains(&files), "{files} logs");
}

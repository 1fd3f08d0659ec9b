//! ADD and CHECK that fail: the daemon refuses, is away, or its answer is late, lost or of no use.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use rpc::v1::AllocationInfo;
use serde_json::json;
use tonic::Code;

use crate::support::{Node, Reply};

#[test]
fn what_the_daemon_refuses_is_passed_on() {
    for (code, name) in [
        (Code::NotFound, "NotFound"),
        (Code::ResourceExhausted, "ResourceExhausted"),
        (Code::AlreadyExists, "AlreadyExists"),
        (Code::InvalidArgument, "InvalidArgument"),
        (Code::Internal, "Internal"),
    ] {
        let node = Node::new();
        let _daemon = node.daemon(Reply::Refusal(code, "because"));
        let expected = (
            999,
            format!("grpc call failed: rpc error: code = {name} desc = because"),
        );
        assert_eq!(node.call("ADD").run().error(), expected);
        assert_eq!(node.call("CHECK").run().error(), expected);
    }
}

#[test]
fn a_daemon_that_is_away_is_worth_another_try() {
    let node = Node::new();
    for verb in ["ADD", "CHECK"] {
        let (code, msg) = node.call(verb).run().error();
        assert_eq!(code, 11);
        assert!(
            msg.starts_with(
                "grpc call failed: rpc error: code = Unavailable desc = ipam-node isn't answering on unix://"
            ),
            "{msg}"
        );
        assert!(msg.contains("No such file or directory"), "{msg}");
    }
    // A socket that a dead daemon left behind.
    drop(UnixListener::bind(node.socket()).unwrap());
    let (code, msg) = node.call("ADD").run().error();
    assert_eq!(code, 11);
    assert!(msg.contains("Connection refused"), "{msg}");
}

#[test]
fn a_daemon_that_is_away_is_not_waited_for() {
    let node = Node::new();
    let mut conf = node.conf("1.0.0");
    // As long as a call may take.
    conf["ipam"]["daemonCallTimeoutSeconds"] = json!(86400);
    let mut plugin = node.call("ADD").stdin(conf.to_string()).spawn();
    let deadline = Instant::now() + Duration::from_secs(60);
    while plugin.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            plugin.kill().unwrap();
            panic!("it still waits");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_daemon_that_many_connect_to_at_once_is_waited_for() {
    let node = Node::new();
    let listener = UnixListener::bind(node.socket()).unwrap();
    // Room for one that waits to be accepted, which these take.
    rustix::net::listen(&listener, 0).unwrap();
    let first = UnixStream::connect(node.socket()).unwrap();
    let (code, msg) = node.impatient_call("ADD", "1.0.0").run().error();
    assert_eq!(code, 11);
    assert!(msg.contains("no connection in time"), "{msg}");

    // Now the daemon takes them, one after the other.
    let waiting = node.call("STATUS").stdin(node.conf("1.1.0").to_string()).spawn();
    let accepted = listener.accept().unwrap();
    drop((first, accepted));
    let (mut second, _) = listener.accept().unwrap();
    let mut preface = [0; 3];
    second.read_exact(&mut preface).unwrap();
    assert_eq!(&preface, b"PRI");
    drop(second);
    waiting.wait_with_output().unwrap();
}

#[test]
fn a_daemon_that_can_t_serve_now_is_worth_another_try() {
    let node = Node::new();
    let _daemon = node.daemon(Reply::Refusal(Code::Unavailable, "no table yet"));
    for verb in ["ADD", "CHECK"] {
        let expected = (
            11,
            "grpc call failed: rpc error: code = Unavailable desc = no table yet".to_owned(),
        );
        assert_eq!(node.call(verb).run().error(), expected);
    }
}

#[test]
fn an_answer_that_is_late_or_lost_is_not_known_to_have_failed() {
    let node = Node::new();
    {
        let daemon = node.daemon(Reply::Never);
        let (code, msg) = node.impatient_call("ADD", "1.0.0").run().error();
        assert_eq!(code, 999);
        assert!(
            msg.starts_with("grpc call failed: rpc error: code = DeadlineExceeded desc = no answer"),
            "{msg}"
        );
        assert_eq!(daemon.seen().len(), 1);
    }
    // A daemon that dies with the request in its hands.
    std::fs::remove_file(node.socket()).unwrap();
    let listener = UnixListener::bind(node.socket()).unwrap();
    let dies = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = [0; 512];
        let mut got = 0;
        while got < 150 {
            let more = connection.read(&mut request).unwrap();
            assert!(more > 0, "the plugin hung up after {got} bytes");
            got += more;
        }
    });
    let (code, msg) = node.call("ADD").run().error();
    dies.join().unwrap();
    assert_eq!(code, 999);
    assert!(
        msg.starts_with("grpc call failed: rpc error: code = Unavailable desc = the connection to ipam-node"),
        "{msg}"
    );
}

#[test]
fn a_daemon_that_accepts_and_says_nothing_ends_in_the_deadline() {
    let node = Node::new();
    let _hung = UnixListener::bind(node.socket()).unwrap();
    let (code, msg) = node.impatient_call("ADD", "1.0.0").run().error();
    assert_eq!(code, 999);
    assert!(
        msg.contains("DeadlineExceeded") && msg.contains("within 1s"),
        "{msg}"
    );
}

#[test]
fn an_answer_that_stops_in_the_middle_ends_in_the_deadline() {
    // HTTP/2 frames: SETTINGS, then HEADERS of the first stream (":status: 200", "content-type: application/grpc"),
    // and never any DATA.
    const HALF_AN_ANSWER: &[u8] = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\
        \x00\x00\x13\x01\x04\x00\x00\x00\x01\x88\x5f\x10application/grpc";
    let node = Node::new();
    let listener = UnixListener::bind(node.socket()).unwrap();
    let stops = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut received = Vec::new();
        // The message itself is not compressed.
        while !received.windows(5).any(|bytes| bytes == b"pool1") {
            let mut more = [0; 512];
            let length = connection.read(&mut more).unwrap();
            assert!(length > 0, "the plugin hung up");
            received.extend_from_slice(&more[..length]);
        }
        connection.write_all(HALF_AN_ANSWER).unwrap();
        // Until the plugin hangs up.
        let _ = connection.read_to_end(&mut received);
    });
    let (code, msg) = node.impatient_call("ADD", "1.0.0").run().error();
    stops.join().unwrap();
    assert_eq!(code, 999);
    assert!(
        msg.contains("DeadlineExceeded") && msg.contains("within 1s"),
        "{msg}"
    );
}

#[test]
fn an_answer_that_can_t_be_right_is_refused() {
    let node = Node::new();
    let daemon = node.daemon(Reply::Allocations(vec![AllocationInfo::default()]));
    assert_eq!(
        node.call("ADD").run().error(),
        (
            999,
            "unexpected response from IPAM daemon: IP can't be empty".to_owned()
        )
    );
    assert_eq!(daemon.seen().len(), 1);
}

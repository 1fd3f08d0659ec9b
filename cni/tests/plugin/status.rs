//! STATUS, VERSION, and the plugin started by a person.

use std::process::Command;

use serde_json::json;
use tonic::Code;

use crate::support::{Call, Node, Reply, one_address};

/// A call about the plugin: it names no container, and its network no pool.
pub(crate) fn call(node: &Node, verb: &str, version: &str) -> Call {
    let mut conf = node.conf(version);
    conf["ipam"]["forcePoolName"] = json!(true);
    conf["ipam"]["poolName"] = json!(null);
    Call {
        environment: Vec::new(),
        stdin: conf.to_string().into_bytes(),
    }
    .with("CNI_COMMAND", verb)
    .with("CNI_PATH", "/opt/cni/bin")
}

#[test]
fn status_is_what_the_daemon_says() {
    let node = Node::new();
    let daemon = node.daemon(one_address());
    assert_eq!(call(&node, "STATUS", "1.1.0").run().ok(), "");
    assert_eq!(daemon.seen()[0].method, "Status");
}

#[test]
fn a_daemon_that_can_t_serve_is_not_available() {
    let node = Node::new();
    let _daemon = node.daemon(Reply::Refusal(Code::Unavailable, "no table yet"));
    let (code, msg) = call(&node, "STATUS", "1.1.0").run().error();
    assert_eq!(code, 50);
    assert!(
        msg.starts_with("nv-ipam: ipam-node on unix://") && msg.contains("no table yet"),
        "{msg}"
    );
}

#[test]
fn a_daemon_without_the_method_is_a_go_daemon_and_available() {
    let node = Node::new();
    let _daemon = node.daemon(Reply::Refusal(Code::Unimplemented, "unknown method Status"));
    assert_eq!(call(&node, "STATUS", "1.1.0").run().ok(), "");
}

#[test]
fn a_missing_or_silent_daemon_is_not_available_and_the_message_says_what_to_do() {
    let node = Node::new();
    let (code, msg) = call(&node, "STATUS", "1.1.0").run().error();
    assert_eq!(code, 50);
    let socket = node.socket().display().to_string();
    for part in [
        "nv-ipam: ipam-node isn't answering",
        &socket,
        "No such file or directory",
        "check that",
    ] {
        assert!(msg.contains(part), "{msg}");
    }
    let _daemon = node.daemon(Reply::Never);
    let (code, msg) = node.impatient_call("STATUS", "1.1.0").run().error();
    assert_eq!(code, 50);
    assert!(
        msg.contains("no answer from ipam-node") && msg.contains(&socket),
        "{msg}"
    );
}

#[test]
fn a_status_needs_a_version_that_has_it() {
    let node = Node::new();
    let expected = (1, "config version does not allow STATUS".to_owned());
    assert_eq!(call(&node, "STATUS", "1.0.0").run().error(), expected);
}

#[test]
fn version_needs_nothing() {
    let ran = Call {
        environment: vec![("CNI_COMMAND", "VERSION".into())],
        stdin: Vec::new(),
    }
    .run();
    let versions: serde_json::Value = serde_json::from_str(ran.ok()).unwrap();
    assert_eq!(versions["cniVersion"], "1.1.0");
    assert_eq!(versions["supportedVersions"].as_array().unwrap().len(), 7);
}

#[test]
fn without_a_command_the_plugin_introduces_itself_on_standard_error() {
    let ran = Call {
        environment: Vec::new(),
        stdin: Vec::new(),
    }
    .run();
    assert_eq!(ran.ok(), "");
    assert!(
        ran.stderr.starts_with("nv-ipam CNI plugin ") && ran.stderr.contains(", commit:"),
        "{}",
        ran.stderr
    );
    let protocols = "CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n";
    assert!(ran.stderr.ends_with(protocols), "{}", ran.stderr);
}

#[test]
fn a_person_who_asks_is_answered_on_standard_output() {
    let asked = |argument: &str| {
        let plugin = Command::new(env!("CARGO_BIN_EXE_nv-ipam"))
            .arg(argument)
            .env_clear()
            .output()
            .unwrap();
        assert!(plugin.status.success());
        String::from_utf8(plugin.stdout).unwrap()
    };
    let about = asked("--version");
    let version = about
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("nv-ipam CNI plugin "));
    // <version>(<tree state><release status>), commit:<commit>, date:<date>
    let parts = version.and_then(|version| {
        let (number, rest) = version.split_once('(')?;
        let (state, rest) = rest.split_once("), commit:")?;
        let (commit, date) = rest.split_once(", date:")?;
        Some([number, state, commit, date])
    });
    assert!(
        parts.is_some_and(|parts| parts
            .iter()
            .all(|part| !part.is_empty() && !part.contains([' ', ',']))),
        "{about}"
    );
    assert!(asked("--help").contains("CNI_COMMAND=STATUS"));
}

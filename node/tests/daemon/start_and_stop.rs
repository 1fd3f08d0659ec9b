//! How the daemon starts, says that it is ready, and stops.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use node::bind_address::BindAddress;
use node::daemon;
use node::install::{BinaryInstall, ConfInstall, ShimConf};
use process::shutdown::Shutdown;

use crate::support::api_server::ApiServer;
use crate::support::endpoints::{fetch, free_address};
use crate::support::{Interface, NODE, Node, within};

const WEB: Interface = Interface {
    container: "c1",
    pod: "web",
    uid: "u1",
};

/// The error with which a daemon of this configuration ends at once.
async fn refusal(config: node::config::Config) -> String {
    let error = daemon::run(config, Shutdown::new()).await.unwrap_err();
    process::chain(&*error)
}

#[tokio::test]
async fn it_is_ready_when_pools_are_known_and_also_from_before() {
    let mut api_server = ApiServer::absent();
    api_server.put_pool("pool1", "10.0.0.0/24", NODE, "10.0.0.1", "10.0.0.24");
    let node = Node::new(&api_server);
    let mut config = node.config();
    config.probe_address = free_address();
    let probes = config.probe_address.clone();

    let daemon = node.start_with(config.clone()).await;
    within("it says why it isn't ready", async || {
        let answer = fetch(&probes, "/readyz").await?;
        let says_why = answer.starts_with("HTTP/1.1 503") && answer.contains("pools: none are known");
        says_why.then_some(())
    })
    .await;
    assert!(
        fetch(&probes, "/healthz")
            .await
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    api_server.restart();
    let ready = async || {
        let answer = fetch(&probes, "/readyz").await?;
        answer.starts_with("HTTP/1.1 200").then_some(())
    };
    within("it is ready", ready).await;
    daemon.stop().await;
    assert_eq!(fetch(&probes, "/readyz").await, None);

    api_server.stop();
    let daemon = node.start_with(config).await;
    within("it is ready", ready).await;
    daemon.stop().await;
}

#[tokio::test]
async fn it_is_ready_as_long_as_its_socket_answers() {
    let api_server = ApiServer::start();
    let node = Node::new(&api_server);
    let mut config = node.config();
    config.probe_address = free_address();
    let probes = config.probe_address.clone();
    let daemon = node.start_with(config).await;
    let answers = async |status: &str, text: &str| {
        within(status, async || {
            let answer = fetch(&probes, "/readyz").await?;
            (answer.starts_with(status) && answer.contains(text)).then_some(())
        })
        .await;
    };
    answers("HTTP/1.1 200", "ok").await;
    fs::rename(node.path("sock"), node.path("lost")).unwrap();
    answers("HTTP/1.1 503", "socket: nobody answers on").await;
    fs::rename(node.path("lost"), node.path("sock")).unwrap();
    answers("HTTP/1.1 200", "ok").await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_it_does_is_counted() {
    let api_server = ApiServer::start();
    api_server.put_pool("pool1", "10.0.0.0/24", NODE, "10.0.0.1", "10.0.0.24");
    api_server.put_pod("web", "u1", NODE, &serde_json::json!({}));
    let node = Node::new(&api_server);
    let mut config = node.config();
    config.metrics_address = free_address();
    let metrics = config.metrics_address.clone();
    let daemon = node.start_with(config).await;
    daemon.add_when_known(WEB).await;
    node.seen(WEB).await;
    api_server.delete_pod("web");
    daemon.released(WEB).await;
    let shown = async |line: &str| {
        within(line, async || {
            let text = fetch(&metrics, "/metrics").await.unwrap();
            text.lines().any(|shown| shown == line).then_some(())
        })
        .await;
    };
    shown("nv_ipam_stale_releases_total 1").await;
    shown(r#"nv_ipam_addresses{pool="pool1",state="free"} 24"#).await;
    daemon.stop().await;
}

#[tokio::test]
async fn it_installs_the_plugin_and_leaves_it_there() {
    let api_server = ApiServer::absent();
    let node = Node::new(&api_server);
    let mut config = node.config();
    fs::create_dir(node.path("bin")).unwrap();
    fs::write(node.path("source"), "program").unwrap();
    fs::set_permissions(node.path("source"), fs::Permissions::from_mode(0o755)).unwrap();
    config.binary = Some(BinaryInstall {
        source: node.path("source"),
        folder: node.path("bin"),
    });
    config.conf = Some(ConfInstall {
        folder: node.path("bin"),
        conf: ShimConf {
            daemon_socket: "unix:///sock".to_owned(),
            daemon_call_timeout_seconds: 5,
            log_file: "/log".to_owned(),
            log_level: "info".to_owned(),
            force_pool_name: false,
        },
    });
    let daemon = node.start_with(config).await;
    daemon.stop().await;
    assert_eq!(fs::read_to_string(node.path("bin/nv-ipam")).unwrap(), "program");
    assert!(node.path("bin/nv-ipam.conf").exists());
    assert!(!node.path("sock").exists());
}

#[tokio::test]
async fn a_second_daemon_on_the_store_or_the_socket_is_refused() {
    let api_server = ApiServer::absent();
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    let same_store = refusal(node.config()).await;
    assert!(same_store.contains("another ipam-node"), "{same_store}");
    let mut config = node.config();
    config.store_file = node.path("another-store");
    let same_socket = refusal(config).await;
    assert!(same_socket.contains("another process answers"), "{same_socket}");
    assert!(!node.path("another-store").exists());
    daemon.del(WEB).await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_it_needs_and_has_not_ends_it_with_the_reason() {
    let api_server = ApiServer::absent();
    let node = Node::new(&api_server);
    process::kubernetes::install_crypto_provider();

    let mut config = node.config();
    config.kubeconfig = Some(node.path("no-such-file"));
    assert!(
        refusal(config)
            .await
            .contains("check the file that --kubeconfig names")
    );

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = node.config();
    config.metrics_address = taken.local_addr().unwrap().to_string();
    assert!(
        refusal(config)
            .await
            .contains("choose another with --metrics-bind-address")
    );

    let mut config = node.config();
    config.binary = Some(BinaryInstall {
        source: node.path("kubeconfig"),
        folder: node.path("no-such-folder"),
    });
    assert!(refusal(config).await.contains("check that --cni-bin-dir"));

    fs::write(node.path("store"), "no database").unwrap();
    assert!(refusal(node.config()).await.contains("store"));
    assert_eq!(fs::read_to_string(node.path("store")).unwrap(), "no database");
}

#[tokio::test]
async fn a_store_that_fails_ends_it_with_the_reason() {
    let api_server = ApiServer::start();
    api_server.put_pool("pool1", "10.0.0.0/24", NODE, "10.0.0.1", "10.0.0.24");
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    daemon.add_when_known(WEB).await;
    let vandal = rusqlite::Connection::open(node.path("store")).unwrap();
    vandal.execute("DROP TABLE reservations", []).unwrap();
    daemon.add(WEB).await.unwrap_err();
    let reason = daemon.end().await.unwrap_err();
    assert!(reason.to_string().contains("the store"), "{reason}");
}

#[tokio::test]
async fn a_port_of_the_loopback_address_serves_too() {
    let api_server = ApiServer::absent();
    let node = Node::new(&api_server);
    let mut config = node.config();
    let address = free_address();
    config.bind_address = BindAddress::Tcp(address.parse().unwrap());
    let shutdown = Shutdown::new();
    process::kubernetes::install_crypto_provider();
    let task = tokio::spawn(daemon::run(config, shutdown.clone()));
    within("it answers", async || {
        assert!(!task.is_finished(), "the daemon ended");
        node::greeting::greet(&BindAddress::Tcp(address.parse().unwrap()))
            .await
            .ok()
    })
    .await;
    shutdown.request();
    task.await.unwrap().unwrap();
}

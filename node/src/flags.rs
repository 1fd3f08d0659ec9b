//! The daemon's command line.

use std::path::PathBuf;

use clap::Parser;
use process::flags::{CommandLine, CommonFlags, GoSwitch};

use crate::command::Command;

const DAEMON: &str = "Node daemon flags";
const SHIM: &str = "Shim CNI configuration flags (what the daemon installs on the node)";

/// Hands out the addresses of this node's range of every pool.
///
/// One ipam-node runs on each node. It installs the CNI plugin nv-ipam ("the shim") with its configuration file, answers
/// it on a unix socket, and keeps every reservation on disk before it says so. Which range of which pool is this node's
/// it reads from the IPPools and CIDRPools, where ipam-controller writes it. While the API server is away it goes on with
/// what it last knew, also after a restart.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "ipam-node",
    args_override_self = true,
    disable_help_subcommand = true,
    subcommand_value_name = "COMMAND",
    max_term_width = 110,
    after_long_help = AFTER_HELP
)]
pub struct Cli {
    /// Name of the Node that this daemon serves. Required. In a pod, take it from spec.nodeName.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true, help_heading = DAEMON)]
    pub(crate) node_name: String,

    /// Namespace of the pools. Pools elsewhere are ignored.
    #[arg(long, value_name = "NAMESPACE", default_value = "kube-system", help_heading = DAEMON)]
    pub(crate) ippools_namespace: String,

    /// Where the shim reaches the daemon: unix:///path of a socket that only root can use, or, for debugging, a port of
    /// a loopback address, tcp://127.0.0.1:9092, that every local process can use.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        default_value = "unix:///var/lib/cni/nv-ipam/daemon.sock",
        help_heading = DAEMON
    )]
    pub bind_address: String,

    /// File that holds the reservations. Its folder must exist and outlive the daemon: a reservation that is forgotten is
    /// an address given out twice.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        default_value = "/var/lib/cni/nv-ipam/store",
        help_heading = DAEMON
    )]
    pub store_file: PathBuf,

    /// Address of /metrics, host:port; `:8080` means every address of the machine, `0` none.
    #[arg(long, value_name = "ADDRESS", default_value = ":8080", help_heading = DAEMON)]
    pub(crate) metrics_bind_address: String,

    /// Address of the probes /healthz and /readyz, written the same way.
    #[arg(long, value_name = "ADDRESS", default_value = ":8081", help_heading = DAEMON)]
    pub(crate) health_probe_bind_address: String,

    /// The nv-ipam program to install.
    #[arg(long, value_name = "PATH", default_value = "/nv-ipam", help_heading = SHIM)]
    pub(crate) cni_nv_ipam_bin_file: PathBuf,

    /// Folder where the container runtime looks for CNI plugins; nv-ipam is installed there.
    #[arg(long, value_name = "PATH", default_value = "/opt/cni/bin", help_heading = SHIM)]
    pub(crate) cni_bin_dir: PathBuf,

    /// Don't install the nv-ipam program: it is there already, by other means.
    #[arg(long, go_bool(), help_heading = SHIM)]
    pub(crate) cni_skip_nv_ipam_binary_copy: bool,

    /// Folder for the shim's configuration file nv-ipam.conf.
    #[arg(long, value_name = "PATH", default_value = "/etc/cni/net.d/nv-ipam.d", help_heading = SHIM)]
    pub(crate) cni_conf_dir: PathBuf,

    /// Don't write the shim's configuration file.
    #[arg(long, go_bool(), help_heading = SHIM)]
    pub(crate) cni_skip_nv_ipam_config_creation: bool,

    /// Where the shim looks for the daemon: --bind-address as the host sees it.
    #[arg(
        long,
        value_name = "URL",
        default_value = "unix:///var/lib/cni/nv-ipam/daemon.sock",
        help_heading = SHIM
    )]
    pub(crate) cni_daemon_socket: String,

    /// How many seconds the shim waits for the daemon; 0 leaves it at the shim's own 5.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 5,
        allow_negative_numbers = true,
        help_heading = SHIM
    )]
    pub(crate) cni_daemon_call_timeout: i32,

    /// The shim's log file, on the host.
    #[arg(long, value_name = "PATH", default_value = "/var/log/nv-ipam-cni.log", help_heading = SHIM)]
    pub(crate) cni_log_file: String,

    /// How much the shim logs: verbose, debug, info, warning, error or panic.
    #[arg(long, value_name = "LEVEL", default_value = "info", help_heading = SHIM)]
    pub(crate) cni_log_level: String,

    /// Refuse a network that names no pool. Without it such a network uses the pool of its own name.
    #[arg(long, go_bool(), help_heading = SHIM)]
    pub(crate) cni_force_pool_name: bool,

    #[command(flatten)]
    pub(crate) common: CommonFlags,

    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl CommandLine for Cli {
    fn common(&self) -> &CommonFlags {
        &self.common
    }
}

const AFTER_HELP: &str = "\
Examples:
  In a DaemonSet, with NODE_NAME taken from spec.nodeName:
    ipam-node --node-name=$(NODE_NAME) --logging-format=json
  By hand, with nothing installed:
    ipam-node --node-name=host-a --kubeconfig=$HOME/.kube/config \\
      --bind-address=unix:///tmp/a/sock --store-file=/tmp/a/store \\
      --cni-skip-nv-ipam-binary-copy --cni-skip-nv-ipam-config-creation
  Who holds which address, by hand and in a running DaemonSet:
    ipam-node store list
    kubectl exec -n kube-system <pod> -- /ipam-node store list
  Back to the Go ipam-node, with this one stopped:
    ipam-node store export --in-place

What it reads and writes:
  <store-file>         the reservations and this node's ranges, an SQLite database
  <store-file>.go.json a Go ipam-node's store, which was found there and taken over
  <socket>, released/  the socket, and beside it DELs that came while no daemon ran
  <cni-bin-dir>        nv-ipam; it stays when the daemon stops, and so does
  <cni-conf-dir>       nv-ipam.conf, written at every start: change flags, not the file

It exits with 0 when SIGTERM or SIGINT asked it to, else with 1 after saying why.";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["ipam-node"], arguments].concat())
    }

    #[test]
    fn without_a_command_it_serves() {
        assert!(parse(&["--node-name=x", "--v=1"]).unwrap().command.is_none());
        assert!(parse(&["--node-name=x", "stray"]).is_err());
        assert!(parse(&["store"]).is_err());
    }

    #[test]
    fn commands_find_the_store_as_the_daemon_does() {
        for arguments in [
            &["store", "list", "--store-file=/a"][..],
            &["store", "--store-file=/a", "list"],
            &["--store-file=/a", "store", "list"],
            &["--store-file=/b", "store", "list", "--store-file", "/a"],
        ] {
            let cli = parse(arguments).unwrap();
            assert!(cli.command.is_some());
            assert_eq!(cli.store_file, Path::new("/a"), "{arguments:?}");
        }
        let cli = parse(&["store", "export", "--in-place"]).unwrap();
        assert_eq!(cli.store_file, Path::new("/var/lib/cni/nv-ipam/store"));
    }

    #[test]
    fn the_help_teaches_the_commands() {
        Cli::command().debug_assert();
        let help = Cli::command().render_long_help().to_string();
        for part in [
            "Commands:",
            "ipam-node store list",
            "ipam-node store export --in-place",
        ] {
            assert!(help.contains(part), "{part} in {help}");
        }
    }
}

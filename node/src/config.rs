//! The daemon's configuration: a value of [`Config`] has no broken rule.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::validate::is_dns_subdomain;

use crate::bind_address::BindAddress;
use crate::cleaner::Pace;
use crate::flags::Cli;
use crate::health;
use crate::install::{BinaryInstall, ConfInstall, ShimConf};

/// What the command line says, checked: the folders and files that the daemon needs were there.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of this node's Node object.
    pub node_name: String,
    /// Namespace of the pools.
    pub pools_namespace: String,
    /// Where the shim is answered.
    pub bind_address: BindAddress,
    /// The database file. Its folder exists.
    pub store_file: PathBuf,
    /// How to install the shim; `None` if somebody else does.
    pub binary: Option<BinaryInstall>,
    /// How to configure the shim; `None` if somebody else does.
    pub conf: Option<ConfInstall>,
    /// Kubeconfig to use; `None` for what the environment says.
    pub kubeconfig: Option<PathBuf>,
    /// Address of `/metrics`, as [`process::endpoints`] reads it.
    pub metrics_address: String,
    /// Address of the probes, as [`process::endpoints`] reads it.
    pub probe_address: String,
    /// How often and how patiently the cleaner checks; no flag changes it.
    pub cleaner_pace: Pace,
    /// How often the daemon looks whether it could serve; no flag changes it.
    pub health_interval: Duration,
}

/// Everything that is wrong with a command line.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the command line can't be used:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl Config {
    /// Reads `cli`, or says everything that is wrong with it.
    pub fn parse(cli: Cli) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        check_node_name(&cli.node_name, &mut faults);
        check_namespace(&cli.ippools_namespace, &mut faults);
        check_folder_of("store-file", &cli.store_file, &mut faults);
        let bind_address = match cli.bind_address.parse::<BindAddress>() {
            Ok(address) => Some(address),
            Err(error) => {
                faults.push(error.to_string());
                None
            }
        };
        if let Some(BindAddress::Unix(path)) = &bind_address {
            check_folder_of("bind-address", path, &mut faults);
        }
        let binary = (!cli.cni_skip_nv_ipam_binary_copy).then_some(BinaryInstall {
            source: cli.cni_nv_ipam_bin_file,
            folder: cli.cni_bin_dir,
        });
        if let Some(binary) = &binary {
            check_binary(binary, &mut faults);
        }
        if cli.cni_daemon_call_timeout < 0 {
            faults.push(format!(
                "cni-daemon-call-timeout is {} seconds; give a number that is not negative",
                cli.cni_daemon_call_timeout
            ));
        }
        let conf = (!cli.cni_skip_nv_ipam_config_creation).then_some(ConfInstall {
            folder: cli.cni_conf_dir,
            conf: ShimConf {
                daemon_socket: cli.cni_daemon_socket,
                daemon_call_timeout_seconds: cli.cni_daemon_call_timeout,
                log_file: cli.cni_log_file,
                log_level: cli.cni_log_level,
                force_pool_name: cli.cni_force_pool_name,
            },
        });
        if let Some(conf) = &conf {
            check_folder(
                "cni-conf-dir",
                &conf.folder,
                " or pass --cni-skip-nv-ipam-config-creation",
                &mut faults,
            );
        }
        match bind_address {
            Some(bind_address) if faults.is_empty() => Ok(Self {
                node_name: cli.node_name,
                pools_namespace: cli.ippools_namespace,
                bind_address,
                store_file: cli.store_file,
                binary,
                conf,
                kubeconfig: cli.common.kubeconfig,
                metrics_address: cli.metrics_bind_address,
                probe_address: cli.health_probe_bind_address,
                cleaner_pace: Pace::default(),
                health_interval: health::INTERVAL,
            }),
            _ => Err(ConfigError(faults)),
        }
    }
}

/// The name becomes part of a field selector, and a variable that nobody expanded looks like a name.
fn check_node_name(name: &str, faults: &mut Vec<String>) {
    if name.is_empty() {
        faults.push(
            "node-name is required parameter; give the name of the Node that this daemon serves, in a pod from \
             spec.nodeName"
                .to_owned(),
        );
    } else if !is_dns_subdomain(name) {
        faults.push(format!(
            "node-name {name:?} can't be the name of a Node; give it as `kubectl get nodes` prints it"
        ));
    }
}

fn check_namespace(namespace: &str, faults: &mut Vec<String>) {
    if !is_dns_subdomain(namespace) || namespace.contains('.') {
        faults.push(format!(
            "ippools-namespace {namespace:?} can't be the name of a namespace; give the one that holds the pools"
        ));
    }
}

fn check_binary(binary: &BinaryInstall, faults: &mut Vec<String>) {
    const SKIP: &str = " or pass --cni-skip-nv-ipam-binary-copy";
    if !binary.source.is_file() {
        faults.push(format!(
            "cni-nv-ipam-bin-file {} is not a file; give the path of the nv-ipam program{SKIP}",
            binary.source.display()
        ));
    }
    check_folder("cni-bin-dir", &binary.folder, SKIP, faults);
}

fn check_folder(flag: &str, folder: &Path, skip: &str, faults: &mut Vec<String>) {
    if !folder.is_dir() {
        faults.push(format!(
            "{flag} {} is not a folder; create it (in a pod: mount it from the host){skip}",
            folder.display()
        ));
    }
}

fn check_folder_of(flag: &str, file: &Path, faults: &mut Vec<String>) {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    if file.file_name().is_none() {
        faults.push(format!("{flag} {:?} doesn't name a file", file.display()));
    } else if let Some(folder) = parent.filter(|folder| !folder.is_dir()) {
        faults.push(format!(
            "the folder of {flag} {} is not there; create {} (in a pod: mount it from the host)",
            file.display(),
            folder.display()
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;
    use tempfile::TempDir;

    use super::*;

    /// A node's file system: everything that the flags of [`arguments`] name is there.
    fn node() -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for folder in ["state", "bin", "conf"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("nv-ipam"), "program").unwrap();
        root
    }

    fn arguments(root: &TempDir) -> Vec<String> {
        let root = root.path().display();
        vec![
            "--node-name=host-a".to_owned(),
            format!("--bind-address=unix://{root}/state/sock"),
            format!("--store-file={root}/state/store"),
            format!("--cni-bin-dir={root}/bin"),
            format!("--cni-nv-ipam-bin-file={root}/nv-ipam"),
            format!("--cni-conf-dir={root}/conf"),
        ]
    }

    fn parse(arguments: &[String]) -> Result<Config, ConfigError> {
        let program = "ipam-node".to_owned();
        Config::parse(Cli::try_parse_from([&[program], arguments].concat()).unwrap())
    }

    fn with(root: &TempDir, more: &[&str]) -> Result<Config, ConfigError> {
        let more = more.iter().map(ToString::to_string).collect();
        parse(&[arguments(root), more].concat())
    }

    fn faults(root: &TempDir, more: &[&str]) -> Vec<String> {
        with(root, more).unwrap_err().0
    }

    #[test]
    fn the_defaults_are_those_of_the_go_version() {
        let cli = Cli::try_parse_from(["ipam-node"]).unwrap();
        assert_eq!(cli.bind_address, "unix:///var/lib/cni/nv-ipam/daemon.sock");
        assert_eq!(cli.store_file, Path::new("/var/lib/cni/nv-ipam/store"));
        assert_eq!(cli.ippools_namespace, "kube-system");
        assert_eq!(cli.metrics_bind_address, ":8080");
        assert_eq!(cli.health_probe_bind_address, ":8081");
        assert_eq!(cli.cni_bin_dir, Path::new("/opt/cni/bin"));
        assert_eq!(cli.cni_conf_dir, Path::new("/etc/cni/net.d/nv-ipam.d"));
        assert_eq!(cli.cni_nv_ipam_bin_file, Path::new("/nv-ipam"));
        assert_eq!(cli.cni_daemon_socket, "unix:///var/lib/cni/nv-ipam/daemon.sock");
        assert_eq!(cli.cni_daemon_call_timeout, 5);
        assert_eq!(cli.cni_log_file, "/var/log/nv-ipam-cni.log");
        assert_eq!(cli.cni_log_level, "info");
        assert!(!cli.cni_force_pool_name);
        assert!(!cli.cni_skip_nv_ipam_binary_copy && !cli.cni_skip_nv_ipam_config_creation);
    }

    #[test]
    fn a_valid_command_line_becomes_a_configuration() {
        let root = node();
        let config = with(&root, &["--cni-force-pool-name", "--cni-log-level=debug"]).unwrap();
        assert_eq!(config.node_name, "host-a");
        assert_eq!(config.binary.unwrap().folder, root.path().join("bin"));
        let conf = config.conf.unwrap().conf;
        assert!(conf.force_pool_name);
        assert_eq!(conf.log_level, "debug");
    }

    #[test]
    fn every_fault_is_reported_together() {
        let arguments: Vec<String> = [
            "--ippools-namespace=",
            "--bind-address=http://x",
            "--store-file=/nowhere/store",
            "--cni-bin-dir=/nowhere/bin",
            "--cni-nv-ipam-bin-file=/nowhere/nv-ipam",
            "--cni-conf-dir=/nowhere/conf",
            "--cni-daemon-call-timeout=-1",
        ]
        .map(ToOwned::to_owned)
        .into();
        let error = parse(&arguments).unwrap_err();
        assert_eq!(error.0.len(), 8, "{error}");
        assert!(
            error
                .to_string()
                .starts_with("the command line can't be used:\n  node-name is required parameter; ")
        );
        for part in [
            "ippools-namespace \"\"",
            "bind-address is invalid: unsupported scheme",
            "create /nowhere (in a pod",
            "cni-bin-dir /nowhere/bin is not a folder",
            "cni-nv-ipam-bin-file /nowhere/nv-ipam is not a file",
            "cni-conf-dir /nowhere/conf is not a folder",
            "cni-daemon-call-timeout is -1 seconds",
        ] {
            assert!(error.to_string().contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn what_is_skipped_need_not_be_there() {
        let root = node();
        let gone = [
            "--cni-bin-dir=/nowhere",
            "--cni-nv-ipam-bin-file=/nowhere",
            "--cni-skip-nv-ipam-binary-copy",
            "--cni-conf-dir=/nowhere",
            "--cni-skip-nv-ipam-config-creation=true",
        ];
        let config = with(&root, &gone).unwrap();
        assert!(config.binary.is_none() && config.conf.is_none());
    }

    #[test]
    fn a_variable_that_nobody_expanded_is_no_name() {
        let root = node();
        assert!(faults(&root, &["--node-name=$(NODE_NAME)"])[0].contains("can't be the name of a Node"));
        assert!(
            faults(&root, &["--ippools-namespace=$(POD_NAMESPACE)"])[0]
                .contains("can't be the name of a namespace")
        );
    }

    #[test]
    fn a_path_that_names_no_file_is_refused() {
        let root = node();
        assert!(faults(&root, &["--store-file=/"])[0].contains("doesn't name a file"));
        assert!(
            faults(&root, &["--bind-address=unix:///nowhere/sock"])[0].contains("the folder of bind-address"),
        );
    }
}

//! Three layers make the settings of a call: standard input, over the configuration file, over what is built in.

use std::path::PathBuf;
use std::time::Duration;

use crate::net_conf::IpamConf;

/// Where the configuration file is looked for, unless standard input says otherwise.
pub const CONF_DIR: &str = "/etc/cni/net.d/nv-ipam.d";
/// The configuration file's name in that folder. ipam-node writes it.
pub const CONF_FILE: &str = "nv-ipam.conf";
/// Where ipam-node listens.
pub const DAEMON_SOCKET: &str = "unix:///var/lib/cni/nv-ipam/daemon.sock";
/// How long a call to ipam-node may take, in seconds.
pub const CALL_TIMEOUT_SECONDS: i64 = 5;
/// Longer timeouts are cut to this, so that no arithmetic on them can overflow: a day.
pub const CALL_TIMEOUT_SECONDS_MAX: i64 = 24 * 60 * 60;
/// The log.
pub const LOG_FILE: &str = "/var/log/nv-ipam-cni.log";
/// What goes into the log.
pub const LOG_LEVEL: &str = "info";
/// The kind of object that a pool name refers to.
pub const POOL_TYPE: &str = "ippool";

/// The settings of a call; nothing in it is empty but `pool_name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Pools, separated by commas; empty if no layer names any.
    pub pool_name: String,
    /// The network's name doesn't stand in for missing pools.
    pub force_pool_name: bool,
    /// ippool or cidrpool, not yet checked.
    pub pool_type: String,
    /// Where ipam-node listens, not yet checked.
    pub daemon_socket: String,
    /// How long a call to it may take: one second to one day.
    pub call_timeout: Duration,
    /// The log.
    pub log_file: PathBuf,
    /// What goes into the log, not yet checked.
    pub log_level: String,
}

/// The configuration file of `stdin`. It is found before it is read, so it can't move itself.
#[must_use]
pub fn conf_file(stdin: &IpamConf) -> PathBuf {
    PathBuf::from(first_given([&stdin.conf_dir, CONF_DIR])).join(CONF_FILE)
}

impl Settings {
    /// Takes each field from the first layer that gives it. Empty, none and, for the timeout, zero and below mean that
    /// a layer doesn't; an explicit `forcePoolName: false` is given.
    #[must_use]
    pub fn merge(stdin: &IpamConf, file: &IpamConf) -> Self {
        let timeout = [
            stdin.daemon_call_timeout_seconds,
            file.daemon_call_timeout_seconds,
        ]
        .into_iter()
        .find(|seconds| *seconds > 0)
        .unwrap_or(CALL_TIMEOUT_SECONDS)
        .min(CALL_TIMEOUT_SECONDS_MAX);
        Self {
            pool_name: first_given([&stdin.pool_name, &file.pool_name]),
            force_pool_name: stdin.force_pool_name.or(file.force_pool_name).unwrap_or(false),
            pool_type: first_given([&stdin.pool_type, &file.pool_type, POOL_TYPE]),
            daemon_socket: first_given([&stdin.daemon_socket, &file.daemon_socket, DAEMON_SOCKET]),
            call_timeout: Duration::from_secs(timeout.unsigned_abs()),
            log_file: first_given([&stdin.log_file, &file.log_file, LOG_FILE]).into(),
            log_level: first_given([&stdin.log_level, &file.log_level, LOG_LEVEL]),
        }
    }
}

fn first_given<const N: usize>(layers: [&str; N]) -> String {
    layers
        .into_iter()
        .find(|value| !value.is_empty())
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_built_in_is_what_users_know() {
        let built_in = Settings::merge(&IpamConf::default(), &IpamConf::default());
        assert_eq!(
            built_in,
            Settings {
                pool_name: String::new(),
                force_pool_name: false,
                pool_type: "ippool".into(),
                daemon_socket: "unix:///var/lib/cni/nv-ipam/daemon.sock".into(),
                call_timeout: Duration::from_secs(5),
                log_file: "/var/log/nv-ipam-cni.log".into(),
                log_level: "info".into(),
            }
        );
        assert_eq!(
            conf_file(&IpamConf::default()),
            PathBuf::from("/etc/cni/net.d/nv-ipam.d/nv-ipam.conf")
        );
        let elsewhere = IpamConf {
            conf_dir: "/x".into(),
            ..IpamConf::default()
        };
        assert_eq!(conf_file(&elsewhere), PathBuf::from("/x/nv-ipam.conf"));
    }

    #[test]
    fn an_explicit_false_wins_over_a_true_below_it() {
        let layer = |force| IpamConf {
            force_pool_name: force,
            ..IpamConf::default()
        };
        for (stdin, file, merged) in [
            (None, None, false),
            (None, Some(true), true),
            (Some(false), Some(true), false),
            (Some(true), Some(false), true),
        ] {
            assert_eq!(
                Settings::merge(&layer(stdin), &layer(file)).force_pool_name,
                merged
            );
        }
    }

    #[test]
    fn a_timeout_that_is_no_time_is_not_given() {
        let layer = |seconds| IpamConf {
            daemon_call_timeout_seconds: seconds,
            ..IpamConf::default()
        };
        for (stdin, file, merged) in [
            (0, 0, 5),
            (0, 9, 9),
            (-3, 9, 9),
            (-3, -1, 5),
            (2, 9, 2),
            (i64::MAX, 0, 86400),
            (i64::MIN, i64::MIN, 5),
        ] {
            let settings = Settings::merge(&layer(stdin), &layer(file));
            assert_eq!(
                settings.call_timeout,
                Duration::from_secs(merged),
                "{stdin} over {file}"
            );
        }
    }

    fn texts() -> impl Strategy<Value = [String; 5]> {
        prop::array::uniform5(prop_oneof![Just(String::new()), "[a-z]{1,3}"])
    }

    fn layer([pool_name, pool_type, daemon_socket, log_file, log_level]: [String; 5]) -> IpamConf {
        IpamConf {
            pool_name,
            pool_type,
            daemon_socket,
            log_file,
            log_level,
            ..IpamConf::default()
        }
    }

    proptest! {
        #[test]
        fn each_field_is_of_the_first_layer_that_gives_it(stdin in texts(), file in texts()) {
            let merged = Settings::merge(&layer(stdin.clone()), &layer(file.clone()));
            let got = [
                merged.pool_name, merged.pool_type, merged.daemon_socket,
                merged.log_file.to_string_lossy().into_owned(), merged.log_level,
            ];
            let built_in = ["", POOL_TYPE, DAEMON_SOCKET, LOG_FILE, LOG_LEVEL];
            for i in 0..got.len() {
                let mut expected = built_in[i].to_owned();
                if !file[i].is_empty() { expected.clone_from(&file[i]); }
                if !stdin[i].is_empty() { expected.clone_from(&stdin[i]); }
                prop_assert_eq!(&got[i], &expected);
            }
        }
    }
}

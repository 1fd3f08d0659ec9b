//! The shim's configuration file.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde::Serialize;

use super::{InstallError, atomic};

/// The file that the shim reads in its `confDir`.
const NAME: &str = "nv-ipam.conf";

/// The file's mode if it isn't there yet. It holds no secret.
const MODE: u32 = 0o644;

/// The levels that the shim knows.
const LOG_LEVELS: [&str; 6] = ["verbose", "debug", "info", "warning", "error", "panic"];

/// What the file says: exactly these keys, so that a shim of either implementation reads it. A network's own
/// configuration has precedence over each of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShimConf {
    /// Where the shim reaches the daemon, a URL.
    pub daemon_socket: String,
    /// How long the shim waits for an answer; 0 leaves it at the shim's default.
    pub daemon_call_timeout_seconds: i32,
    /// The shim's log file.
    pub log_file: String,
    /// How much the shim logs.
    pub log_level: String,
    /// Whether a network has to name its pool.
    pub force_pool_name: bool,
}

impl ShimConf {
    /// Whether the shim knows the log level. It logs at `info` if not.
    #[must_use]
    pub fn log_level_is_known(&self) -> bool {
        LOG_LEVELS.contains(&self.log_level.as_str())
    }
}

/// What to write, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfInstall {
    /// The shim's `confDir`.
    pub folder: PathBuf,
    /// The file's content.
    pub conf: ShimConf,
}

impl ConfInstall {
    /// The path of the file.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// Writes the file, atomically and durably. An existing file keeps its mode.
    pub fn run(&self) -> Result<(), InstallError> {
        self.try_run().map_err(|source| InstallError {
            path: self.target(),
            advice: "check that --cni-conf-dir is a folder of the host, mounted writable and not full, or pass \
                     --cni-skip-nv-ipam-config-creation and write the file by other means",
            source,
        })
    }

    fn try_run(&self) -> io::Result<()> {
        let mode = match fs::metadata(self.target()) {
            Ok(there) => there.permissions().mode() & 0o7777,
            Err(error) if error.kind() == io::ErrorKind::NotFound => MODE,
            Err(error) => return Err(error),
        };
        let mut text = serde_json::to_vec_pretty(&self.conf)?;
        text.push(b'\n');
        atomic::replace(&self.target(), mode, |file| file.write_all(&text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn install(folder: PathBuf) -> ConfInstall {
        ConfInstall {
            folder,
            conf: ShimConf {
                daemon_socket: "unix:///var/lib/cni/nv-ipam/daemon.sock".to_owned(),
                daemon_call_timeout_seconds: 5,
                log_file: "/var/log/nv-ipam-cni.log".to_owned(),
                log_level: "info".to_owned(),
                force_pool_name: false,
            },
        }
    }

    fn mode(install: &ConfInstall) -> u32 {
        fs::metadata(install.target()).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn the_file_has_exactly_the_five_keys() {
        let folder = tempfile::tempdir().unwrap();
        let install = install(folder.path().into());
        install.run().unwrap();
        let text = fs::read_to_string(folder.path().join("nv-ipam.conf")).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            json!({
                "daemonSocket": "unix:///var/lib/cni/nv-ipam/daemon.sock",
                "daemonCallTimeoutSeconds": 5,
                "logFile": "/var/log/nv-ipam-cni.log",
                "logLevel": "info",
                "forcePoolName": false,
            })
        );
        assert_eq!(mode(&install), 0o644);
    }

    #[test]
    fn it_is_written_anew_and_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let mut install = install(folder.path().into());
        fs::write(install.target(), "{").unwrap();
        fs::set_permissions(install.target(), fs::Permissions::from_mode(0o640)).unwrap();
        fs::write(atomic::temporary(&install.target()), "left by a crash").unwrap();
        install.conf.force_pool_name = true;
        install.run().unwrap();
        let conf: Value = serde_json::from_slice(&fs::read(install.target()).unwrap()).unwrap();
        assert_eq!(conf["forcePoolName"], json!(true));
        assert_eq!(mode(&install), 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_takes_no_file_is_an_error_that_says_what_to_do() {
        let error = install("/proc/self/comm".into()).run().unwrap_err().to_string();
        assert!(
            error.contains("can't install /proc/self/comm/nv-ipam.conf; check that --cni-conf-dir"),
            "{error}"
        );
    }

    #[test]
    fn known_log_levels() {
        let mut conf = install(PathBuf::new()).conf;
        assert!(conf.log_level_is_known());
        "warn".clone_into(&mut conf.log_level);
        assert!(!conf.log_level_is_known());
    }

    proptest! {
        #[test]
        fn whatever_the_flags_say_is_what_the_shim_reads(
            log_file in ".*", log_level in ".*", daemon_socket in ".*", daemon_call_timeout_seconds in 0..i32::MAX,
        ) {
            let conf = ShimConf {
                daemon_socket, daemon_call_timeout_seconds, log_file, log_level, force_pool_name: true,
            };
            let read: Value = serde_json::from_slice(&serde_json::to_vec_pretty(&conf).unwrap()).unwrap();
            prop_assert_eq!(&read["daemonSocket"], &json!(conf.daemon_socket));
            prop_assert_eq!(&read["daemonCallTimeoutSeconds"], &json!(conf.daemon_call_timeout_seconds));
            prop_assert_eq!(&read["logFile"], &json!(conf.log_file));
            prop_assert_eq!(&read["logLevel"], &json!(conf.log_level));
        }
    }
}

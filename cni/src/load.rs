//! Gathers the configuration of a call: standard input, the configuration file, what is built in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::json::FieldError;
use crate::net_conf::{Document, FileError, IpamConf, NetConf};
use crate::settings::{Settings, conf_file};
use crate::target::{Target, TargetError};

/// The configuration of a call.
#[derive(Debug)]
pub struct Loaded {
    /// What standard input says.
    pub conf: NetConf,
    /// The settings out of all layers.
    pub settings: Settings,
    /// Where ipam-node listens.
    pub target: Target,
}

/// Why a call has no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Standard input has a field of the wrong type.
    #[error("failed to unmarshal configurations. {0}")]
    Stdin(#[from] FieldError),
    /// The plugin was called for a network that has no IPAM.
    #[error("IPAM config missing 'ipam' key")]
    NoIpam,
    /// The configuration file is there, and can't be read.
    #[error("failed to read/parse config file({}). {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The configuration file isn't what it should be.
    #[error("failed to read/parse config file({}). {error}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: FileError,
    },
    /// Nobody can listen there.
    #[error(transparent)]
    Target(#[from] TargetError),
}

impl Loaded {
    /// Loads the configuration of a call whose standard input is `document`.
    pub fn of(document: &Document) -> Result<Self, LoadError> {
        let conf = document.net_conf()?;
        let ipam = conf.ipam.as_ref().ok_or(LoadError::NoIpam)?;
        let settings = Settings::merge(ipam, &read_file(&conf_file(ipam))?);
        let target = Target::parse(&settings.daemon_socket)?;
        Ok(Self {
            conf,
            settings,
            target,
        })
    }
}

/// The configuration file; a missing one says nothing.
fn read_file(path: &Path) -> Result<IpamConf, LoadError> {
    let json = match fs::read(path) {
        Ok(json) => json,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(IpamConf::default()),
        Err(error) => {
            return Err(LoadError::Read {
                path: path.to_owned(),
                error,
            });
        }
    };
    IpamConf::parse_file(&json).map_err(|error| LoadError::Parse {
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(conf_dir: &Path, ipam: &str) -> Result<Loaded, String> {
        let stdin = format!(r#"{{"name":"n","ipam":{{"confDir":{conf_dir:?},{ipam}"type":"nv-ipam"}}}}"#);
        Loaded::of(&Document::parse(stdin.as_bytes()).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_file_lies_between_standard_input_and_what_is_built_in() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("nv-ipam.conf"),
            r#"{"poolName":"f","logLevel":"debug","confDir":"/x"}"#,
        )
        .unwrap();
        let settings = load(folder.path(), r#""logLevel":"error","#).unwrap().settings;
        assert_eq!(
            (settings.pool_name.as_str(), settings.log_level.as_str()),
            ("f", "error")
        );
        assert_eq!(settings.pool_type, "ippool");
    }

    #[test]
    fn a_missing_file_says_nothing_and_a_bad_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(folder.path(), "").is_ok());
        let path = folder.path().join("nv-ipam.conf");
        for content in ["", "{", "[]", r#"{"poolName":1}"#] {
            fs::write(&path, content).unwrap();
            let error = load(folder.path(), "").unwrap_err();
            assert!(
                error.starts_with(&format!("failed to read/parse config file({})", path.display())),
                "{error}"
            );
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(
            load(folder.path(), "")
                .unwrap_err()
                .starts_with("failed to read/parse config file(")
        );
    }

    #[test]
    fn what_can_t_be_used_is_said() {
        let error = |stdin: &str| {
            Loaded::of(&Document::parse(stdin.as_bytes()).unwrap())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error(r#"{"name":"n"}"#), "IPAM config missing 'ipam' key");
        assert_eq!(
            error(r#"{"name":"n","ipam":[]}"#),
            "failed to unmarshal configurations. field ipam: invalid type: sequence, expected an object"
        );
        assert!(error(r#"{"name":"n","ipam":{"daemonSocket":"nowhere"}}"#).contains("unix:///"));
    }
}

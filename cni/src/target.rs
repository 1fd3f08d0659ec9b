//! `daemonSocket`: where ipam-node listens.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

/// A place at which ipam-node can listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A unix socket.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

/// A `daemonSocket` that names no such place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "daemonSocket {0:?} isn't understood: use unix:///absolute/path, or host:port for a daemon on a loopback address"
)]
pub struct TargetError(String);

impl Target {
    /// Takes what gRPC takes for a unix socket or a host, besides an absolute path, and `tcp://host:port`, which is how
    /// ipam-node's own flag spells it.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let refused = || TargetError(text.to_owned());
        if text.starts_with('/') {
            return Ok(Self::Unix(text.into()));
        }
        if let Some(rest) = text.strip_prefix("unix:") {
            // unix:///path, or unix:path; unix://host/path would be on another machine.
            let path = rest
                .strip_prefix("//")
                .map_or(Some(rest), |path| path.starts_with('/').then_some(path));
            return path
                .filter(|path| !path.is_empty())
                .map(|path| Self::Unix(path.into()))
                .ok_or_else(refused);
        }
        let address = ["tcp://", "dns:///", "dns:", "passthrough:///"]
            .into_iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .unwrap_or(text);
        let (host, port) = address.rsplit_once(':').ok_or_else(refused)?;
        if is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0) {
            Ok(Self::Tcp(address.to_owned()))
        } else {
            Err(refused())
        }
    }

    /// The folder of the unix socket: the DEL journal lies in it. Over TCP there is none.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => Some(
                path.parent()
                    .filter(|folder| !folder.as_os_str().is_empty())
                    .unwrap_or(Path::new(".")),
            ),
            Self::Tcp(_) => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) if path.is_absolute() => write!(f, "unix://{}", path.display()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

/// A name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    if let Some(v6) = host.strip_prefix('[') {
        return v6
            .strip_suffix(']')
            .is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !host.is_empty() && host.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unix_sockets_are_read() {
        for (text, path, shown) in [
            (
                "unix:///var/lib/cni/nv-ipam/daemon.sock",
                "/var/lib/cni/nv-ipam/daemon.sock",
                None,
            ),
            ("unix:/a/b", "/a/b", Some("unix:///a/b")),
            ("/a/b", "/a/b", Some("unix:///a/b")),
            ("unix:b", "b", None),
            ("unix:///with space", "/with space", None),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(target, Target::Unix(path.into()));
            assert_eq!(target.to_string(), shown.unwrap_or(text));
        }
    }

    #[test]
    fn hosts_are_read() {
        for text in [
            "127.0.0.1:5000",
            "tcp://127.0.0.1:5000",
            "dns:///127.0.0.1:5000",
            "passthrough:///127.0.0.1:5000",
        ] {
            assert_eq!(Target::parse(text).unwrap(), Target::Tcp("127.0.0.1:5000".into()));
        }
        assert_eq!(
            Target::parse("localhost:1").unwrap(),
            Target::Tcp("localhost:1".into())
        );
        assert_eq!(Target::parse("[::1]:1").unwrap(), Target::Tcp("[::1]:1".into()));
    }

    #[test]
    fn anything_else_is_refused_with_what_is_accepted() {
        for text in [
            "",
            "unix:",
            "unix://",
            "unix://host/path",
            "unix-abstract:x",
            "localhost",
            "localhost:",
            "localhost:0",
            "localhost:99999",
            "http://localhost:1",
            "user@host:1",
            "::1:1",
            "[::1]",
            "[::1]]:1",
            ":1",
            "a/b:1",
        ] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
        let error = Target::parse("nonsense").unwrap_err().to_string();
        assert!(
            error.contains("\"nonsense\"") && error.contains("unix:///"),
            "{error}"
        );
    }

    #[test]
    fn the_journal_lies_beside_a_unix_socket() {
        assert_eq!(
            Target::parse("unix:///a/b.sock").unwrap().folder(),
            Some(Path::new("/a"))
        );
        assert_eq!(
            Target::parse("unix:b.sock").unwrap().folder(),
            Some(Path::new("."))
        );
        assert_eq!(Target::parse("localhost:1").unwrap().folder(), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(text in "(unix:|unix://|tcp://|dns:///|/|)[a-z./:0-9]{0,8}(:[0-9]{1,4})?") {
            if let Ok(target) = Target::parse(&text) {
                prop_assert_eq!(Target::parse(&target.to_string()).unwrap(), target);
            }
        }
    }
}

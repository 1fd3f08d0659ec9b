//! Where the daemon answers the shim.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// A unix socket's path can't be longer: `sun_path` has 108 bytes, one of them the final NUL (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

/// An address that the daemon can serve on. Neither kind can be reached from another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindAddress {
    /// A unix socket, by its absolute path.
    Unix(PathBuf),
    /// A TCP port of a loopback address. Nothing says who calls there, so it is for tests and debugging.
    Tcp(SocketAddr),
}

/// A text that is no [`BindAddress`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("bind-address is invalid: {0}")]
pub struct BindAddressError(String);

impl FromStr for BindAddress {
    type Err = BindAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match text.split_once("://") {
            Some(("unix", path)) => unix(path),
            Some(("tcp", address)) => tcp(address),
            _ => Err(format!(
                "unsupported scheme in {text:?}; use unix:///path/of/a/socket, or tcp://127.0.0.1:<port>"
            )),
        };
        parsed.map_err(BindAddressError)
    }
}

fn unix(path: &str) -> Result<BindAddress, String> {
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(format!(
            "unix://{path} doesn't hold the absolute path of a socket; use unix:///path/of/a/socket"
        ));
    }
    if path.len() > MAX_SOCKET_PATH {
        return Err(format!(
            "the path of a unix socket has at most {MAX_SOCKET_PATH} bytes, and {path} has {}",
            path.len()
        ));
    }
    Ok(BindAddress::Unix(path.into()))
}

fn tcp(address: &str) -> Result<BindAddress, String> {
    let parsed = match address.strip_prefix("localhost:") {
        Some(port) => port
            .parse()
            .ok()
            .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => address.parse().ok(),
    };
    let Some(parsed) = parsed else {
        return Err(format!(
            "tcp://{address} isn't an address and a port; use tcp://127.0.0.1:<port>"
        ));
    };
    if !parsed.ip().is_loopback() {
        return Err(format!(
            "tcp://{address} can be reached from other machines, and nothing would ask who calls; use a loopback \
             address, or a unix socket"
        ));
    }
    Ok(BindAddress::Tcp(parsed))
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<BindAddress>().unwrap_err().to_string()
    }

    #[test]
    fn both_schemes_are_read_and_printed_as_they_were_written() {
        for text in [
            "unix:///var/lib/cni/nv-ipam/daemon.sock",
            "tcp://127.0.0.1:9092",
            "tcp://[::1]:9092",
        ] {
            assert_eq!(text.parse::<BindAddress>().unwrap().to_string(), text);
        }
        assert_eq!(
            "tcp://localhost:9".parse(),
            Ok(BindAddress::Tcp(([127, 0, 0, 1], 9).into()))
        );
    }

    #[test]
    fn another_scheme_is_refused_in_the_words_of_the_go_version() {
        for text in ["http://127.0.0.1:80", "/var/lib/sock", "", "unix:/var/lib/sock"] {
            let refused = refused(text);
            assert!(
                refused.starts_with("bind-address is invalid: unsupported scheme"),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_socket_needs_an_absolute_path_that_the_kernel_takes() {
        assert!(refused("unix://").contains("absolute path"));
        assert!(refused("unix://var/lib/sock").contains("absolute path"));
        assert!(refused("unix:///var/lib/").contains("absolute path"));
        let longest = format!("unix:///{}", "a".repeat(MAX_SOCKET_PATH - 1));
        assert!(longest.parse::<BindAddress>().is_ok());
        assert!(refused(&format!("{longest}a")).contains("at most 107 bytes"));
    }

    #[test]
    fn tcp_is_for_loopback_only() {
        for text in ["tcp://0.0.0.0:1", "tcp://192.0.2.1:1", "tcp://[::]:1"] {
            assert!(
                refused(text).contains("can be reached from other machines"),
                "{text}"
            );
        }
        for text in ["tcp://127.0.0.1", "tcp://example.com:80", "tcp://:80"] {
            assert!(refused(text).contains("isn't an address and a port"), "{text}");
        }
    }
}

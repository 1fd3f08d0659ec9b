//! The socket that the daemon answers on.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

use crate::advice;
use crate::bind_address::BindAddress;
use crate::file_lock::NotLocked;
use crate::store::StoreLock;

use super::claim::Claim;

/// Connections that may wait to be accepted. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 1024;

/// Why the daemon can't answer on an address. Nothing was changed there.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Something else has the name.
    #[error("socket bind path exist, but not a socket: {}; move it away, or choose another --bind-address", .0.display())]
    NotASocket(PathBuf),
    /// Another process answers.
    #[error(
        "another process answers on {}: stop it first ({}), or choose another --bind-address",
        .socket.display(), whose(.pid.as_deref())
    )]
    Answered {
        /// The name of the socket.
        socket: PathBuf,
        /// The id of the process, if it is an ipam-node.
        pid: Option<String>,
    },
    /// A step on the way failed.
    #[error("{step} {address}: {source}{}", advice::on(source, "--bind-address"))]
    Io {
        /// What was done.
        step: &'static str,
        /// On what.
        address: BindAddress,
        /// How it failed.
        source: io::Error,
    },
}

fn whose(pid: Option<&str>) -> String {
    match pid {
        Some(pid) => format!("an ipam-node with another --store-file, pid {pid}"),
        None => "an ipam-node with another --store-file?".to_owned(),
    }
}

/// An address that is this daemon's, and on which nobody can connect yet.
#[derive(Debug)]
pub struct Listener {
    address: BindAddress,
    socket: OwnedFd,
    claim: Option<Claim>,
}

/// An address on which clients can connect as long as the socket is open.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) address: BindAddress,
    /// The only descriptor of the socket: once it is closed, the kernel refuses whoever connects.
    pub(super) socket: OwnedFd,
    /// What to remove after that.
    pub(super) claim: Option<Claim>,
}

impl Listener {
    /// Takes the address. A unix socket that nobody answers on any more is replaced; the new one can be used by its owner
    /// only, from its first instant on. Beside it a lock file is made, which stays.
    ///
    /// The store's lock comes first, so that of two daemons of one store the second hears of that.
    pub fn bind(address: &BindAddress, _lock: &StoreLock) -> Result<Self, ListenError> {
        let failed = |step| {
            move |source| ListenError::Io {
                step,
                address: address.clone(),
                source,
            }
        };
        let mut claim = None;
        let socket = match address {
            BindAddress::Unix(path) => {
                let claim = claim.insert(Claim::take(path).map_err(|not_locked| match not_locked {
                    NotLocked::Held(pid) => ListenError::Answered {
                        socket: path.clone(),
                        pid: Some(pid),
                    },
                    NotLocked::Io(source) => failed("locking")(source),
                })?);
                make_way(path, address)?;
                let socket = new_socket(AddressFamily::UNIX).map_err(failed("making a socket for"))?;
                let name = SocketAddrUnix::new(path).map_err(io::Error::from);
                name.and_then(|name| Ok(bind(&socket, &name)?))
                    .map_err(failed("binding"))?;
                claim.made().map_err(failed("looking at"))?;
                // It refuses connections until it listens.
                fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed("restricting"))?;
                socket
            }
            BindAddress::Tcp(tcp) => {
                let family = if tcp.is_ipv4() {
                    AddressFamily::INET
                } else {
                    AddressFamily::INET6
                };
                let socket = new_socket(family).map_err(failed("making a socket for"))?;
                set_socket_reuseaddr(&socket, true)
                    .and_then(|()| bind(&socket, tcp))
                    .map_err(io::Error::from)
                    .map_err(failed("binding"))?;
                socket
            }
        };
        Ok(Self {
            address: address.clone(),
            socket,
            claim,
        })
    }

    /// Lets clients connect.
    pub(super) fn listen(self) -> Result<Listening, ListenError> {
        let Self {
            address,
            socket,
            claim,
        } = self;
        match listen(&socket, BACKLOG) {
            Ok(()) => Ok(Listening {
                address,
                socket,
                claim,
            }),
            Err(error) => Err(ListenError::Io {
                step: "listening on",
                address,
                source: error.into(),
            }),
        }
    }
}

fn new_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    Ok(socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?)
}

/// Removes a socket that nobody answers on.
fn make_way(path: &Path, address: &BindAddress) -> Result<(), ListenError> {
    let failed = |step| {
        move |source| ListenError::Io {
            step,
            address: address.clone(),
            source,
        }
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("looking at")(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ListenError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    let probe = new_socket(AddressFamily::UNIX).map_err(failed("making a socket for"))?;
    let name = SocketAddrUnix::new(path).map_err(|error| failed("connecting to")(error.into()))?;
    match connect(&probe, &name) {
        // A full backlog is somebody's too.
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS) => Err(ListenError::Answered {
            socket: path.to_owned(),
            pid: None,
        }),
        Err(Errno::CONNREFUSED) => fs::remove_file(path).map_err(failed("removing the old")),
        Err(error) => Err(failed("connecting to")(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use tempfile::TempDir;

    use super::*;

    fn setup() -> (TempDir, StoreLock, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let lock = StoreLock::take(&folder.path().join("store")).unwrap();
        let path = folder.path().join("daemon.sock");
        (folder, lock, path)
    }

    #[test]
    fn the_socket_is_its_owners_alone() {
        let (_folder, lock, path) = setup();
        let listener = Listener::bind(&BindAddress::Unix(path.clone()), &lock).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(
            std::os::unix::net::UnixStream::connect(&path).is_err(),
            "nobody answers yet"
        );
        let Listening { socket, claim, .. } = listener.listen().unwrap();
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        drop(socket);
        let refused = std::os::unix::net::UnixStream::connect(&path).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        claim.unwrap().remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_daemon_that_does_not_listen_yet_keeps_its_socket() {
        let (folder, lock, path) = setup();
        let address = BindAddress::Unix(path.clone());
        let first = Listener::bind(&address, &lock).unwrap();
        let another = StoreLock::take(&folder.path().join("another-store")).unwrap();
        let refused = Listener::bind(&address, &another).unwrap_err().to_string();
        let pid = std::process::id();
        assert!(
            refused.contains("another process answers") && refused.contains(&format!("pid {pid}")),
            "{refused}"
        );
        first.listen().unwrap();
        std::os::unix::net::UnixStream::connect(&path).unwrap_err();
        // Dead without having removed its socket, it has given up the name all the same.
        Listener::bind(&address, &another).unwrap();
    }

    #[test]
    fn a_socket_that_took_its_place_is_not_removed() {
        let (_folder, lock, path) = setup();
        let listener = Listener::bind(&BindAddress::Unix(path.clone()), &lock).unwrap();
        let listening = listener.listen().unwrap();
        fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        listening.claim.unwrap().remove();
        assert!(path.exists());
    }

    #[test]
    fn a_dead_daemons_socket_is_replaced() {
        let (_folder, lock, path) = setup();
        drop(UnixListener::bind(&path).unwrap());
        Listener::bind(&BindAddress::Unix(path), &lock).unwrap();
    }

    #[test]
    fn a_living_daemons_socket_is_not() {
        let (_folder, lock, path) = setup();
        let living = UnixListener::bind(&path).unwrap();
        let refused = Listener::bind(&BindAddress::Unix(path.clone()), &lock).unwrap_err();
        assert!(
            refused.to_string().contains("another process answers"),
            "{refused}"
        );
        drop(living);
        assert!(path.exists());
    }

    #[test]
    fn nothing_but_a_socket_is_removed() {
        let (_folder, lock, path) = setup();
        fs::write(&path, "precious").unwrap();
        let refused = Listener::bind(&BindAddress::Unix(path.clone()), &lock).unwrap_err();
        assert!(refused.to_string().contains("but not a socket"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }
}

//! A connection to ipam-node.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::target::Target;

/// An open connection. What takes longer than until the deadline that it is given fails with [`ErrorKind::TimedOut`].
#[derive(Debug)]
pub(crate) enum Connection {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Connection {
    /// Connects to `target`, unless that has to be waited for: then there is `None`, and [`Connection::open`].
    pub(crate) fn at_once(target: &Target) -> io::Result<Option<Self>> {
        match target {
            Target::Unix(path) => Ok(unix_at_once(path)?.map(Self::Unix)),
            Target::Tcp(_) => Ok(None),
        }
    }

    /// Connects to `target`, and waits for that.
    pub(crate) fn open(target: &Target, deadline: Instant) -> io::Result<Self> {
        match target {
            Target::Unix(path) => unix(path, deadline).map(Self::Unix),
            Target::Tcp(address) => tcp(address, deadline).map(Self::Tcp),
        }
    }

    /// Sends all of `bytes`.
    pub(crate) fn send(&mut self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = match self {
                Self::Unix(stream) => stream.write(bytes),
                Self::Tcp(stream) => stream.write(bytes),
            };
            match at_once(sent)? {
                Some(0) => return Err(ErrorKind::WriteZero.into()),
                Some(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                None => self.wait(PollFlags::OUT, deadline)?,
            }
        }
        Ok(())
    }

    /// Waits for something to come, and says how much of `buffer` that fills: nothing at all at the connection's end. What has
    /// come by the deadline is still taken after it.
    pub(crate) fn receive(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            // Who waits by reading is woken as soon as the peer takes what was sent; who polls, when there is something to read.
            self.wait(PollFlags::IN, deadline)?;
            let received = match self {
                Self::Unix(stream) => stream.read(buffer),
                Self::Tcp(stream) => stream.read(buffer),
            };
            if let Some(received) = at_once(received)? {
                return Ok(received);
            }
        }
    }

    /// Waits until the socket is ready; after the deadline it must be already.
    fn wait(&self, for_what: PollFlags, deadline: Instant) -> io::Result<()> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).ok();
            match poll(&mut [PollFd::new(self, for_what)], timeout.as_ref()) {
                Ok(0) => return Err(too_late()),
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

/// What a socket says that doesn't block; `None` if it would have.
fn at_once(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(length) => Ok(Some(length)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

fn unix_at_once(path: &Path) -> io::Result<Option<UnixStream>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&socket, &SocketAddrUnix::new(path)?) {
        // A daemon that many connect to at once has a full backlog.
        Err(Errno::AGAIN) => Ok(None),
        result => {
            result?;
            Ok(Some(socket.into()))
        }
    }
}

/// Only a socket that blocks waits for room in a backlog, see unix(7).
fn unix(path: &Path, deadline: Instant) -> io::Result<UnixStream> {
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    set_socket_timeout(&socket, Timeout::Send, Some(left(deadline)?))?;
    match connect(&socket, &SocketAddrUnix::new(path)?) {
        Err(Errno::AGAIN) => return Err(too_late()),
        result => result?,
    }
    ioctl_fionbio(&socket, true)?;
    Ok(socket.into())
}

fn tcp(address: &str, deadline: Instant) -> io::Result<TcpStream> {
    let mut result = Err(ErrorKind::AddrNotAvailable.into());
    for address in look_up(address, deadline)? {
        result = TcpStream::connect_timeout(&address, left(deadline)?);
        if let Ok(stream) = &result {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            break;
        }
    }
    result
}

/// The addresses of `host:port`. A name server that doesn't answer is not waited for beyond `deadline`.
fn look_up(address: &str, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = address.parse() {
        return Ok(vec![address]);
    }
    let (tell, told) = mpsc::channel();
    let address = address.to_owned();
    std::thread::Builder::new().spawn(move || {
        // Nobody may wait for it any more.
        let _ = tell.send(address.to_socket_addrs().map(Vec::from_iter));
    })?;
    told.recv_timeout(left(deadline)?).map_err(|_| too_late())?
}

/// How long there is until `deadline`: not nothing, which some calls take for "for ever".
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(too_late()) } else { Ok(left) }
}

fn too_late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "no connection in time")
}

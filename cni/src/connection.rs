//! A connection to ipam-node and what runs on it, without a runtime: one thread waits for one socket.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::target::Target;

/// An open connection. Clones share it: one is for the protocol, which reads and writes, one for [`Connection::run`].
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    stream: Rc<Stream>,
    /// What is to be written goes out at once when there is nothing to do but wait: with a small request, in one piece.
    unsent: Rc<RefCell<Vec<u8>>>,
    /// The last read took all there was: another one would only find that out.
    drained: Rc<Cell<bool>>,
}

#[derive(Debug)]
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Connection {
    /// Connects to `target`, which takes until `deadline` at most.
    pub(crate) fn open(target: &Target, deadline: Instant) -> io::Result<Self> {
        let stream = match target {
            Target::Unix(path) => Stream::Unix(unix(path, deadline)?),
            Target::Tcp(address) => Stream::Tcp(tcp(address, deadline)?),
        };
        Ok(Self {
            stream: Rc::new(stream),
            unsent: Rc::default(),
            drained: Rc::default(),
        })
    }

    /// Runs `future`, which waits for nothing but this connection, until it is ready, or `None` at `deadline`.
    pub(crate) fn run<F: Future>(&self, future: F, deadline: Instant) -> Option<F::Output> {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                // The answer is complete: whatever the protocol would still like to say, nobody needs.
                return Some(output);
            }
            if !woken.0.swap(false, Ordering::Relaxed) {
                self.wait(deadline)?;
            }
        }
    }

    /// Sends what is unsent, and waits until there is something to read. An error is none here: who reads next gets it.
    fn wait(&self, deadline: Instant) -> Option<()> {
        let all_sent = self.send();
        let mut events = PollFlags::IN;
        if !all_sent {
            events |= PollFlags::OUT;
        }
        let left = deadline.checked_duration_since(Instant::now())?;
        let timeout = Timespec::try_from(left).ok();
        self.drained.set(false);
        match poll(&mut [PollFd::new(&self.stream, events)], timeout.as_ref()) {
            Ok(0) => None,
            Ok(_) | Err(_) => Some(()),
        }
    }

    /// Whether nothing is left to send, or ever will be: a peer that is gone is noticed by reading.
    fn send(&self) -> bool {
        let mut unsent = self.unsent.borrow_mut();
        while !unsent.is_empty() {
            match self.stream.write(&unsent) {
                Ok(sent) => drop(unsent.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(_) => unsent.clear(),
            }
        }
        true
    }
}

impl Stream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => (&*stream).read(buffer),
            Self::Tcp(stream) => (&*stream).read(buffer),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => (&*stream).write(bytes),
            Self::Tcp(stream) => (&*stream).write(bytes),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.drained.get() {
            return Poll::Pending;
        }
        let unfilled = buffer.initialize_unfilled();
        let room = unfilled.len();
        match self.stream.read(unfilled) {
            Ok(length) => {
                // Nothing at all is the end, which must be found again by whoever asks again.
                self.drained.set((1..room).contains(&length));
                buffer.advance(length);
                Poll::Ready(Ok(()))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.unsent.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Whether the future asked to be polled again before anything comes by the connection.
#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn unix(path: &Path, deadline: Instant) -> io::Result<UnixStream> {
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // A daemon that many connect to at once has a full backlog: then this waits, see unix(7) and SO_SNDTIMEO.
    set_socket_timeout(&socket, Timeout::Send, Some(left(deadline)?))?;
    match connect(&socket, &SocketAddrUnix::new(path)?) {
        Err(Errno::AGAIN) => return Err(too_late()),
        result => result?,
    }
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(true)?;
    Ok(stream)
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

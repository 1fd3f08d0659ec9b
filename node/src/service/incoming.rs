//! Connections of those who may connect.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{Stream, unfold};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, UnixListener};
use tonic::transport::server::Connected;

use super::opening::Opening;
use crate::bind_address::BindAddress;
use crate::writer::Connection;

/// How long to wait after a failure to accept: it lasts, as when there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

enum Source {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// A connection that was let in.
pub(super) struct Peer {
    stream: Opening<Pin<Box<dyn Io>>>,
    connection: Connection,
}

trait Io: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Io for T {}

/// The connections that come on `socket`, which listens on `address`.
pub(super) fn incoming(
    address: &BindAddress,
    socket: OwnedFd,
) -> io::Result<impl Stream<Item = io::Result<Peer>> + use<>> {
    let source = match address {
        BindAddress::Unix(_) => Source::Unix(UnixListener::from_std(socket.into())?),
        BindAddress::Tcp(_) => Source::Tcp(TcpListener::from_std(socket.into())?),
    };
    Ok(unfold(source, async |source| {
        loop {
            match source.accept().await {
                Ok(Some(peer)) => return Some((Ok(peer), source)),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, "a connection can't be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }))
}

impl Source {
    /// The next connection, or `None` if it was turned away.
    async fn accept(&self) -> io::Result<Option<Peer>> {
        match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                if uid != 0 && uid != rustix::process::geteuid().as_raw() {
                    tracing::error!(uid, "a connection of a user without the right to one was closed");
                    return Ok(None);
                }
                Peer::new(stream).map(Some)
            }
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Peer::new(stream).map(Some)
            }
        }
    }
}

impl Peer {
    fn new(stream: impl Io + AsFd + 'static) -> io::Result<Self> {
        let connection = Connection::new(stream.as_fd().try_clone_to_owned()?);
        Ok(Self {
            stream: Opening::new(Box::pin(stream)),
            connection,
        })
    }
}

impl Connected for Peer {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        self.connection.clone()
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

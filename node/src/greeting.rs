//! Whether somebody serves gRPC at an address.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time;

use crate::bind_address::BindAddress;

/// What an HTTP/2 client says first: the preface and an empty SETTINGS frame (RFC 9113, 3.4).
const CLIENT: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The type of the frame that an HTTP/2 server says first.
const SETTINGS: u8 = 4;

/// How long it may take to answer. The kernel alone accepts connections for a process that hangs.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Connects to `address` and waits until an HTTP/2 server answers.
pub async fn greet(address: &BindAddress) -> io::Result<()> {
    let greeting = async {
        match address {
            BindAddress::Unix(path) => exchange(UnixStream::connect(path).await?).await,
            BindAddress::Tcp(address) => exchange(TcpStream::connect(address).await?).await,
        }
    };
    time::timeout(TIMEOUT, greeting).await?
}

async fn exchange(mut connection: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    connection.write_all(CLIENT).await?;
    let mut frame_header = [0; 9];
    connection.read_exact(&mut frame_header).await?;
    if frame_header[3] == SETTINGS {
        Ok(())
    } else {
        Err(io::Error::other("the answer is not HTTP/2"))
    }
}

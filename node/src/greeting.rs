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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that says `answer` to whatever it is told first.
    async fn server(answer: &'static [u8]) -> BindAddress {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = BindAddress::Tcp(listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut greeting = [0; CLIENT.len()];
            connection.read_exact(&mut greeting).await.unwrap();
            connection.write_all(answer).await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn a_server_of_http2_answers() {
        greet(&server(b"\0\0\0\x04\0\0\0\0\0").await).await.unwrap();
    }

    #[tokio::test]
    async fn another_server_does_not() {
        greet(&server(b"HTTP/1.1 400 Bad Request\r\n").await)
            .await
            .unwrap_err();
        greet(&server(b"").await).await.unwrap_err();
    }

    #[tokio::test]
    async fn nobody_does_not() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = BindAddress::Tcp(gone.local_addr().unwrap());
        drop(gone);
        greet(&address).await.unwrap_err();
        greet(&BindAddress::Unix("/nowhere/sock".into()))
            .await
            .unwrap_err();
    }
}

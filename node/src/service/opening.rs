//! The server's opening of an HTTP/2 connection (RFC 9113, section 3.4), sent along with the first answer.
//!
//! A server says how it would like to be spoken to as soon as it is connected to, and acknowledges what its client says of
//! that. A plugin that has sent its whole request along with its own opening has no use for either, but each wakes it while
//! the daemon writes its reservation, and to wake a process takes longer than to serve it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes a client says before its first frame.
const PREFACE: usize = 24;

/// Length, type, flags and stream of a frame: RFC 9113, section 4.1.
const FRAME_HEADER: usize = 9;

/// The type of a frame of a message's body.
const DATA: u8 = 0;

/// The type of a frame that begins a message, and may end it.
const HEADERS: u8 = 1;

/// The type of a frame that is to be answered with one.
const PING: u8 = 6;

/// The flag of a message's last frame.
const END_STREAM: u8 = 1;

/// A connection on which the server's opening waits until the client has spoken, as a client does unasked; if all of a
/// request came with that, until the first answer, or more from the client.
pub(super) struct Opening<S> {
    stream: S,
    /// `None`: it has been sent.
    held: Option<Held>,
}

/// What isn't sent yet.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    /// How much the client has said.
    heard: usize,
    /// The client has said that it waits for an answer, and nothing since.
    is_asked: bool,
    /// There is no more to wait for.
    released: bool,
}

impl<S> Opening<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            held: Some(Held::default()),
        }
    }
}

impl Held {
    /// The client has sent `bytes`.
    fn hear(&mut self, bytes: &[u8]) {
        let preface = PREFACE.saturating_sub(self.heard);
        self.heard += bytes.len();
        let said = bytes.get(preface..).unwrap_or_default();
        if !said.is_empty() {
            // Whoever has not sent a whole request may need the opening to do so.
            self.released |= self.is_asked || !asks_only(said);
            self.is_asked = true;
        }
    }

    /// The server sends `bytes`, which are whole frames: nothing here writes from several places at once.
    fn say(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.released |= frames(bytes).any(|(_, _, stream)| stream != 0);
    }
}

/// Whether a client that says this has nothing to do but wait for an answer.
fn asks_only(said: &[u8]) -> bool {
    let mut is_whole = false;
    for (kind, flags, _) in frames(said) {
        match kind {
            DATA | HEADERS => is_whole = flags & END_STREAM != 0,
            PING => return false,
            _ => {}
        }
    }
    is_whole
}

/// Type, flags and stream of each of the frames, the last of which may be cut off.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = (u8, u8, u32)> {
    std::iter::from_fn(move || {
        let (header, rest) = bytes.split_first_chunk::<FRAME_HEADER>()?;
        let [a, b, c, kind, flags, stream @ ..] = *header;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
        bytes = rest.get(length..).unwrap_or_default();
        Some((kind, flags, u32::from_be_bytes(stream)))
    })
}

impl<S: AsyncWrite + Unpin> Opening<S> {
    /// Sends what is held, if it is time.
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(held) = &mut self.held else {
            return Poll::Ready(Ok(()));
        };
        if !held.released {
            return Poll::Ready(Ok(()));
        }
        while !held.bytes.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, &held.bytes))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            held.bytes.drain(..sent);
        }
        self.held = None;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Opening<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if let Some(held) = &mut this.held {
            held.hear(buffer.filled().get(before..).unwrap_or_default());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match &mut this.held {
            Some(held) if !held.released => {
                held.say(bytes);
                Poll::Ready(Ok(bytes.len()))
            }
            _ => {
                ready!(this.poll_held(context))?;
                Pin::new(&mut this.stream).poll_write(context, bytes)
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_held(context))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(held) = &mut this.held {
            held.released = true;
        }
        ready!(this.poll_held(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    const ACK: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";
    const PREFACE_BYTES: &[u8; PREFACE] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const REQUEST: &[u8] = b"\0\0\x01\x01\x04\0\0\0\x01\x82\0\0\x02\0\x01\0\0\0\x01ab";
    const BEGINNING: &[u8] = b"\0\0\x01\x01\x04\0\0\0\x01\x82";
    const ANSWER: &[u8] = b"\0\0\x01\x01\x05\0\0\0\x01\x88";

    struct Pair {
        server: Opening<DuplexStream>,
        client: DuplexStream,
    }

    impl Pair {
        fn new() -> Self {
            let (server, client) = duplex(1 << 10);
            let server = Opening::new(server);
            Self { server, client }
        }

        /// The client says `parts`, which the server reads one by one, as much as there is.
        async fn client_says(&mut self, parts: &[&[u8]]) {
            for part in parts {
                self.client.write_all(part).await.unwrap();
                let mut heard = vec![0; part.len()];
                self.server.read_exact(&mut heard).await.unwrap();
                assert_eq!(heard, *part);
            }
        }

        async fn server_says(&mut self, part: &[u8]) {
            self.server.write_all(part).await.unwrap();
            self.server.flush().await.unwrap();
        }

        /// What has come to the client by now.
        async fn sent(&mut self) -> Vec<u8> {
            let mut sent = vec![0; 1 << 10];
            let length = tokio::select! {
                biased;
                length = self.client.read(&mut sent) => length.unwrap(),
                () = std::future::ready(()) => 0,
            };
            sent.truncate(length);
            sent
        }
    }

    #[tokio::test]
    async fn the_opening_goes_with_the_first_answer() {
        let mut pair = Pair::new();
        pair.server_says(SETTINGS).await;
        let opening = [SETTINGS, REQUEST].concat();
        pair.client_says(&[PREFACE_BYTES, &opening]).await;
        pair.server_says(ACK).await;
        assert!(pair.sent().await.is_empty());
        pair.server_says(ANSWER).await;
        assert_eq!(pair.sent().await, [SETTINGS, ACK, ANSWER].concat());
        // From then on everything goes at once.
        pair.server_says(ACK).await;
        assert_eq!(pair.sent().await, ACK);
    }

    #[tokio::test]
    async fn whoever_may_wait_for_it_gets_it_at_once() {
        let begun = [SETTINGS, BEGINNING].concat();
        let asked = [SETTINGS, REQUEST].concat();
        let two = [SETTINGS, REQUEST, BEGINNING].concat();
        let pings = [SETTINGS, REQUEST, b"\0\0\x08\x06\0\0\0\0\0are you?"].concat();
        for said in [
            // A client that waits for the server's settings before it asks anything, as that of gRPC for Go does.
            &[PREFACE_BYTES as &[u8], SETTINGS][..],
            // One whose request doesn't fit into what it may send.
            &[PREFACE_BYTES, &begun],
            &[PREFACE_BYTES, &two],
            // One that wants to know whether the server is alive.
            &[PREFACE_BYTES, &pings],
            // One that has more to say while it waits.
            &[PREFACE_BYTES, &asked, ACK],
        ] {
            let mut pair = Pair::new();
            pair.server_says(SETTINGS).await;
            pair.client_says(said).await;
            pair.server_says(ACK).await;
            assert_eq!(pair.sent().await, [SETTINGS, ACK].concat(), "{said:?}");
        }
    }

    #[tokio::test]
    async fn the_preface_may_come_with_the_rest_or_in_parts() {
        let whole = [PREFACE_BYTES, SETTINGS, REQUEST].concat();
        for said in [&[&whole[..]][..], &[&whole[..10], &whole[10..]]] {
            let mut pair = Pair::new();
            pair.server_says(SETTINGS).await;
            pair.client_says(said).await;
            pair.server_says(ACK).await;
            assert!(pair.sent().await.is_empty());
            pair.server_says(ANSWER).await;
            assert_eq!(pair.sent().await, [SETTINGS, ACK, ANSWER].concat());
        }
    }

    #[tokio::test]
    async fn an_end_says_what_there_was_to_say() {
        let mut pair = Pair::new();
        pair.server_says(SETTINGS).await;
        pair.server.shutdown().await.unwrap();
        assert_eq!(pair.sent().await, SETTINGS);
    }

    #[tokio::test]
    async fn a_client_that_takes_little_at_a_time_gets_all() {
        let (server, mut client) = duplex(4);
        let mut server = Opening::new(server);
        let said = async {
            server.write_all(SETTINGS).await.unwrap();
            server.write_all(ANSWER).await.unwrap();
            server.write_all(ACK).await.unwrap();
            server.flush().await.unwrap();
            drop(server);
        };
        let mut all = Vec::new();
        let ((), read) = tokio::join!(said, client.read_to_end(&mut all));
        read.unwrap();
        assert_eq!(all, [SETTINGS, ANSWER, ACK].concat());
    }
}

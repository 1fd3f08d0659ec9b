//! One gRPC call on an HTTP/2 connection of its own, without IO: what to send, and what to make of what comes.
//!
//! gRPC over HTTP/2: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

use std::time::Duration;

use super::frame::{self, Frame, TooLong, flag, kind, setting};
use super::hpack::{self, Fields};
use super::status::{self, Status};

/// The stream of the call, the first that a client has.
const STREAM: u32 = 1;

/// A message that is longer than gRPC takes without being told to.
const MESSAGE_MAX: usize = 4 << 20;

/// More header fields than anybody sends.
const BLOCK_MAX: usize = 64 << 10;

/// How a call ends when the peer has answered.
pub type Answer = Result<Vec<u8>, Status>;

/// What the peer sends makes no call that could be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Something that no server of HTTP/2 sends.
    #[error("what answers there doesn't speak HTTP/2: {0}")]
    NotHttp2(&'static str),
    /// The peer ended the call.
    #[error("the call was ended with HTTP/2's error {0}")]
    Reset(u32),
    /// The peer ended the connection before it looked at the call.
    #[error("the connection was ended with HTTP/2's error {0}")]
    GoAway(u32),
    /// A server of HTTP/2, but not of gRPC.
    #[error("what answers there doesn't speak gRPC: {0}")]
    NotGrpc(String),
    /// An answer beyond what is taken.
    #[error("the answer is too long")]
    TooLong,
}

impl ProtocolError {
    /// Whether the peer certainly did nothing: RFC 9113, section 8.7.
    pub(crate) fn is_unprocessed(&self) -> bool {
        matches!(self, Self::GoAway(_) | Self::Reset(frame::REFUSED_STREAM))
    }

    /// Whether the peer gave the call up, as it does when the call's time is over.
    pub(super) fn is_cancelled(&self) -> bool {
        *self == Self::Reset(frame::CANCEL)
    }
}

/// A call, from its request to its answer.
#[derive(Debug)]
pub struct Exchange {
    /// What is to be sent now.
    outgoing: Vec<u8>,
    /// The request's body, and how much of it has been sent. The rest waits until the peer has room for it.
    request: Vec<u8>,
    sent: usize,
    /// How much more the peer takes: on the connection, of the request, and of any request to begin with.
    connection_window: i64,
    stream_window: i64,
    initial_window: i64,
    /// What came and is no whole frame yet.
    incoming: Vec<u8>,
    /// The peer has said how it would like to be spoken to, as it must first.
    opened: bool,
    /// Header fields of which there is more to come, and whether nothing comes after them.
    block: Option<(Vec<u8>, bool)>,
    /// The answer has begun.
    begun: bool,
    body: Vec<u8>,
    answer: Option<Answer>,
}

impl Exchange {
    /// A call of `path`, which must be answered within `timeout`.
    #[must_use]
    pub fn new(path: &str, timeout: Duration, message: &[u8]) -> Self {
        let mut outgoing = Vec::with_capacity(512);
        outgoing.extend_from_slice(frame::PREFACE);
        let settings = [(setting::HEADER_TABLE_SIZE, 0), (setting::ENABLE_PUSH, 0)];
        frame::put_settings(&mut outgoing, &settings);
        let mut block = Vec::with_capacity(128);
        hpack::put_indexed(&mut block, hpack::METHOD_POST);
        hpack::put_indexed(&mut block, hpack::SCHEME_HTTP);
        // HTTP wants a host. Over a unix socket there is none, and no daemon looks.
        hpack::put_named(&mut block, hpack::AUTHORITY, "localhost");
        hpack::put_named(&mut block, hpack::PATH, path);
        hpack::put_named(&mut block, hpack::CONTENT_TYPE, "application/grpc");
        hpack::put(&mut block, "te", "trailers");
        hpack::put(&mut block, "grpc-timeout", &grpc_timeout(timeout));
        frame::put(&mut outgoing, kind::HEADERS, flag::END_HEADERS, STREAM, &block);
        let mut request = vec![0];
        request.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
        request.extend_from_slice(message);
        let mut exchange = Self {
            outgoing,
            request,
            sent: 0,
            connection_window: frame::WINDOW,
            stream_window: frame::WINDOW,
            initial_window: frame::WINDOW,
            incoming: Vec::new(),
            opened: false,
            block: None,
            begun: false,
            body: Vec::new(),
            answer: None,
        };
        exchange.send_rest();
        exchange
    }

    /// What is to be sent before anything more can be expected.
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outgoing)
    }

    /// The answer, once it has come whole. Then there is nothing more to send.
    pub fn take_answer(&mut self) -> Option<Answer> {
        self.answer.take()
    }

    /// The peer sent `bytes`.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let mut incoming = std::mem::take(&mut self.incoming);
        incoming.extend_from_slice(bytes);
        let mut rest = incoming.as_slice();
        while self.answer.is_none()
            && let Some((frame, after)) = Frame::split(rest)?
        {
            self.receive_frame(&frame)?;
            rest = after;
        }
        self.incoming = rest.to_vec();
        Ok(())
    }

    fn receive_frame(&mut self, frame: &Frame<'_>) -> Result<(), ProtocolError> {
        if !self.opened && frame.kind != kind::SETTINGS {
            return Err(not_http2("it didn't begin with its settings"));
        }
        self.opened = true;
        let block = self.block.take();
        if block.is_some() != (frame.kind == kind::CONTINUATION) {
            return Err(not_http2("header fields that are cut off"));
        }
        match (frame.kind, frame.stream) {
            (kind::SETTINGS, 0) => self.settings(frame),
            (kind::PING, 0) => self.ping(frame),
            (kind::GOAWAY, 0) => go_away(frame),
            (kind::WINDOW_UPDATE, 0 | STREAM) => self.window_update(frame),
            (kind::HEADERS, STREAM) => {
                let part = frame.content().ok_or(not_http2("a frame that is cut off"))?;
                self.headers(Vec::new(), part, frame, frame.has(flag::END_STREAM))
            }
            (kind::CONTINUATION, STREAM) => {
                let (begun, is_last) = block.unwrap_or_default();
                self.headers(begun, frame.payload, frame, is_last)
            }
            (kind::DATA, STREAM) => self.data(frame),
            (kind::RST_STREAM, STREAM) => Err(ProtocolError::Reset(frame.error_code().unwrap_or_default())),
            (
                kind::SETTINGS
                | kind::PING
                | kind::GOAWAY
                | kind::DATA
                | kind::HEADERS
                | kind::RST_STREAM
                | kind::PUSH_PROMISE
                | kind::CONTINUATION,
                _,
            ) => Err(not_http2("a frame where it can't be")),
            // What isn't known is passed over: section 5.5.
            _ => Ok(()),
        }
    }

    fn settings(&mut self, frame: &Frame<'_>) -> Result<(), ProtocolError> {
        if frame.has(flag::ACK) {
            return Ok(());
        }
        let settings = frame.settings().ok_or(not_http2("settings that are cut off"))?;
        for (name, value) in settings {
            if name == setting::INITIAL_WINDOW_SIZE {
                // It counts for what has been sent as well: section 6.9.2.
                self.stream_window += i64::from(value) - self.initial_window;
                self.initial_window = value.into();
            }
        }
        frame::put(&mut self.outgoing, kind::SETTINGS, flag::ACK, 0, &[]);
        self.send_rest();
        Ok(())
    }

    fn ping(&mut self, frame: &Frame<'_>) -> Result<(), ProtocolError> {
        if frame.payload.len() != 8 {
            return Err(not_http2("a ping of another length"));
        }
        if !frame.has(flag::ACK) {
            frame::put(&mut self.outgoing, kind::PING, flag::ACK, 0, frame.payload);
        }
        Ok(())
    }

    fn window_update(&mut self, frame: &Frame<'_>) -> Result<(), ProtocolError> {
        let more = frame.increment().ok_or(not_http2("a window of another length"))?;
        let window = if frame.stream == 0 {
            &mut self.connection_window
        } else {
            &mut self.stream_window
        };
        *window += i64::from(more);
        self.send_rest();
        Ok(())
    }

    /// Takes a part of a block of header fields, after what had come of that.
    fn headers(
        &mut self,
        mut block: Vec<u8>,
        part: &[u8],
        frame: &Frame<'_>,
        is_last: bool,
    ) -> Result<(), ProtocolError> {
        block.extend_from_slice(part);
        if block.len() > BLOCK_MAX {
            return Err(ProtocolError::TooLong);
        }
        if !frame.has(flag::END_HEADERS) {
            self.block = Some((block, is_last));
            return Ok(());
        }
        let fields = hpack::read(&block).ok_or(not_http2("header fields that aren't any"))?;
        self.fields(&fields, is_last)
    }

    fn fields(&mut self, fields: &Fields, is_last: bool) -> Result<(), ProtocolError> {
        match &fields.http_status {
            // What is only said in between: RFC 9110, section 15.2.
            Some(status) if status.starts_with(b"1") && !is_last => return Ok(()),
            // A server of gRPC may say why in its own words as well.
            Some(status) if status != b"200" && fields.grpc_status.is_none() => {
                let status = String::from_utf8_lossy(status);
                return Err(ProtocolError::NotGrpc(format!("it says HTTP {status}")));
            }
            Some(_) => {}
            None if self.begun => {}
            None => return Err(not_http2("an answer without a status")),
        }
        self.begun = true;
        if is_last {
            let status = status::read(fields.grpc_status.as_deref(), fields.grpc_message.as_deref())
                .ok_or_else(|| ProtocolError::NotGrpc("the answer ends without a status".to_owned()))?;
            self.answer = Some(match status {
                Ok(()) => Ok(message(&self.body)?.to_vec()),
                Err(status) => Err(status),
            });
        }
        Ok(())
    }

    fn data(&mut self, frame: &Frame<'_>) -> Result<(), ProtocolError> {
        let content = frame.content().ok_or(not_http2("a frame that is cut off"))?;
        if !self.begun {
            return Err(not_http2("an answer that begins with its end"));
        }
        if self.body.len() + content.len() > MESSAGE_MAX {
            return Err(ProtocolError::TooLong);
        }
        self.body.extend_from_slice(content);
        if frame.has(flag::END_STREAM) {
            return Err(ProtocolError::NotGrpc(
                "the answer ends without a status".to_owned(),
            ));
        }
        if let Ok(length) = u32::try_from(frame.payload.len())
            && length > 0
        {
            for stream in [0, STREAM] {
                frame::put(
                    &mut self.outgoing,
                    kind::WINDOW_UPDATE,
                    0,
                    stream,
                    &length.to_be_bytes(),
                );
            }
        }
        Ok(())
    }

    /// Sends as much of the request as the peer has room for.
    fn send_rest(&mut self) {
        loop {
            let room = usize::try_from(self.connection_window.min(self.stream_window)).unwrap_or(0);
            let rest = self.request.get(self.sent..).unwrap_or_default();
            let length = rest.len().min(room).min(frame::LENGTH_MAX);
            let (part, after) = rest.split_at(length);
            if part.is_empty() {
                return;
            }
            let flags = if after.is_empty() { flag::END_STREAM } else { 0 };
            frame::put(&mut self.outgoing, kind::DATA, flags, STREAM, part);
            self.sent += length;
            let taken = i64::try_from(length).unwrap_or(i64::MAX);
            self.connection_window -= taken;
            self.stream_window -= taken;
        }
    }
}

impl From<TooLong> for ProtocolError {
    fn from(_: TooLong) -> Self {
        not_http2("no frame is that long")
    }
}

fn not_http2(what: &'static str) -> ProtocolError {
    ProtocolError::NotHttp2(what)
}

/// Whether the call is still worth waiting for.
fn go_away(frame: &Frame<'_>) -> Result<(), ProtocolError> {
    let (last, code) = frame.last_stream().ok_or(not_http2("an end that is cut off"))?;
    if last < STREAM {
        return Err(ProtocolError::GoAway(code));
    }
    Ok(())
}

/// The one message of `body`.
fn message(body: &[u8]) -> Result<&[u8], ProtocolError> {
    let not_one = || ProtocolError::NotGrpc("the answer isn't one message".to_owned());
    let ([is_compressed, length @ ..], message) = body.split_first_chunk::<5>().ok_or_else(not_one)?;
    let is_whole = usize::try_from(u32::from_be_bytes(*length)) == Ok(message.len());
    if *is_compressed == 0 && is_whole {
        Ok(message)
    } else {
        Err(not_one())
    }
}

/// As the header wants it: up to eight digits and a unit.
fn grpc_timeout(timeout: Duration) -> String {
    const MOST: u128 = 99_999_999;
    for (value, unit) in [(timeout.as_micros(), 'u'), (timeout.as_millis(), 'm')] {
        if value <= MOST {
            return format!("{value}{unit}");
        }
    }
    format!("{}S", u128::from(timeout.as_secs()).min(MOST))
}

#[cfg(test)]
mod tests;

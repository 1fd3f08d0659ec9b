//! gRPC for a process that makes one call: HTTP/2 on a connection that ends with it, and no runtime.
//!
//! The libraries for this are made for clients that live. More than a third of the plugin's time was theirs: the state of
//! connections, streams and queues for the one request that there is.

mod exchange;
mod frame;
mod hpack;
mod huffman;
mod status;

use std::io::{self, ErrorKind};
use std::time::Instant;

use crate::connection::Connection;

pub use exchange::{Answer, Exchange, ProtocolError};
pub use status::Status;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The peer answered with an error.
    #[error("{}", .0.message)]
    Refused(Status),
    /// It didn't answer in time.
    #[error("no answer in time")]
    Deadline,
    /// The connection broke.
    #[error(transparent)]
    Broken(#[from] io::Error),
    /// What came is no answer.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

/// Calls the method at `path` with `message`, and returns the message that it answers with. What is to be done `meanwhile`
/// is, once the request is on its way.
pub(crate) fn call(
    connection: &mut Connection,
    path: &str,
    message: &[u8],
    deadline: Instant,
    meanwhile: impl FnOnce(),
) -> Result<Vec<u8>, CallError> {
    let timeout = deadline.saturating_duration_since(Instant::now());
    let mut exchange = Exchange::new(path, timeout, message);
    let mut meanwhile = Some(meanwhile);
    let mut buffer = [0; 1024];
    loop {
        let outgoing = exchange.take_outgoing();
        // Whoever is gone may have said why, so it is read even if nothing can be sent any more.
        let sent = connection.send(&outgoing, deadline);
        if let Some(meanwhile) = meanwhile.take() {
            meanwhile();
        }
        let length = connection.receive(&mut buffer, deadline).map_err(in_time)?;
        let Some(received) = buffer.get(..length).filter(|received| !received.is_empty()) else {
            sent.map_err(in_time)?;
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "it was closed").into());
        };
        match exchange.receive(received) {
            Err(error) if error.is_cancelled() => return Err(CallError::Deadline),
            result => result?,
        }
        if let Some(answer) = exchange.take_answer() {
            return answer.map_err(CallError::Refused);
        }
        // Whoever sends other things all the time doesn't answer.
        if Instant::now() >= deadline {
            return Err(CallError::Deadline);
        }
    }
}

fn in_time(error: io::Error) -> CallError {
    match error.kind() {
        ErrorKind::TimedOut => CallError::Deadline,
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::frame::{flag, kind, put};
    use super::*;

    fn pair() -> (Connection, UnixStream) {
        let (here, there) = UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        (Connection::Unix(here), there)
    }

    fn answer() -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, kind::SETTINGS, 0, 0, &[]);
        put(&mut bytes, kind::HEADERS, flag::END_HEADERS, 1, b"\x88");
        put(&mut bytes, kind::DATA, 0, 1, b"\0\0\0\0\x02ok");
        let last = flag::END_HEADERS | flag::END_STREAM;
        put(&mut bytes, kind::HEADERS, last, 1, b"\0\x0bgrpc-status\x010");
        bytes
    }

    #[test]
    fn an_answer_that_came_in_time_is_taken_however_late_it_is_looked_for() {
        let (mut here, mut there) = pair();
        there.write_all(&answer()).unwrap();
        let called = call(&mut here, "/service/Method", b"question", Instant::now(), || {});
        assert_eq!(called.unwrap(), b"ok");
    }

    #[test]
    fn what_was_to_be_done_is_done_before_the_answer() {
        let (mut here, mut there) = pair();
        let deadline = Instant::now() + Duration::from_secs(60);
        let called = call(&mut here, "/service/Method", b"question", deadline, || {
            there.write_all(&answer()).unwrap();
        });
        assert_eq!(called.unwrap(), b"ok");
    }

    #[test]
    fn a_peer_that_only_pings_does_not_answer() {
        let (mut here, mut there) = pair();
        let mut bytes = Vec::new();
        put(&mut bytes, kind::SETTINGS, 0, 0, &[]);
        for _ in 0..1000 {
            put(&mut bytes, kind::PING, 0, 0, b"are you?");
        }
        there.write_all(&bytes).unwrap();
        let called = call(&mut here, "/service/Method", b"question", Instant::now(), || {});
        assert!(matches!(called, Err(CallError::Deadline)), "{called:?}");
    }

    #[test]
    fn a_connection_that_ends_is_no_answer() {
        let (mut here, there) = pair();
        drop(there);
        let deadline = Instant::now() + Duration::from_secs(60);
        let called = call(&mut here, "/service/Method", b"question", deadline, || {});
        assert!(matches!(called, Err(CallError::Broken(_))), "{called:?}");
    }
}

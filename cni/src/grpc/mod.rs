//! gRPC for a process that makes one call: HTTP/2 on a connection that ends with it, and no runtime.
//!
//! The libraries for this are made for clients that live. Half of what the plugin did in its one millisecond was theirs: the
//! state of connections, streams and queues for the one request that there is.

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
    }
}

fn in_time(error: io::Error) -> CallError {
    match error.kind() {
        ErrorKind::TimedOut => CallError::Deadline,
        _ => error.into(),
    }
}

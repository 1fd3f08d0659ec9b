//! Whether somebody still waits for an answer.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::refusal::Refusal;

/// The connection that a request came on.
///
/// The kernel knows that the peer closed it, or died, before any code here has read that far: that is what makes
/// [`Caller::gone`] exact.
#[derive(Clone, Debug)]
pub struct Connection(Arc<OwnedFd>);

impl Connection {
    /// Watches the socket `fd`, of which it owns a duplicate.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        Self(Arc::new(fd))
    }

    fn closed_by_peer(&self) -> bool {
        let mut sockets = [PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::RDHUP)];
        let polled = poll(
            &mut sockets,
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }),
        );
        let gone = PollFlags::HUP | PollFlags::RDHUP | PollFlags::ERR;
        polled.is_ok_and(|ready| ready > 0) && sockets[0].revents().intersects(gone)
    }
}

/// Who waits for the answer to a request, and for how long.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// When the caller gives up. `None`: it said nothing about that.
    pub deadline: Option<Instant>,
    /// The connection it waits on. `None`: it is part of this program.
    pub connection: Option<Connection>,
}

impl Caller {
    /// Why the request must not be applied any more, if so.
    ///
    /// A plugin gives up or dies (its connection closes), then the runtime may start another one for the same container
    /// and interface. So a request that passes this check was checked before that other plugin began.
    #[must_use]
    pub fn gone(&self) -> Option<Refusal> {
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            Some(Refusal::DeadlinePassed)
        } else if self.connection.as_ref().is_some_and(Connection::closed_by_peer) {
            Some(Refusal::Canceled)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_closed_connection_is_seen_at_once() {
        let (here, there) = UnixStream::pair().unwrap();
        let caller = Caller {
            connection: Some(Connection::new(here.into())),
            deadline: None,
        };
        assert_eq!(caller.gone(), None);
        std::io::Write::write_all(&mut &there, b"bytes that nobody has read yet").unwrap();
        assert_eq!(caller.gone(), None);
        drop(there);
        assert_eq!(caller.gone(), Some(Refusal::Canceled));
    }

    #[test]
    fn a_deadline_passes() {
        let at = |deadline| Caller {
            deadline: Some(deadline),
            connection: None,
        };
        assert_eq!(at(Instant::now()).gone(), Some(Refusal::DeadlinePassed));
        assert_eq!(at(Instant::now() + Duration::from_secs(60)).gone(), None);
        assert_eq!(Caller::default().gone(), None);
    }
}

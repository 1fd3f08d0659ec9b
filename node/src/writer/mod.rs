//! The one thread that changes ledger and store, and the handle to it.
//!
//! Requests queue; the thread takes all that wait, applies them in one transaction, commits once and then answers: the
//! cost of a flush is shared by everyone who waits for one.

mod caller;

use std::sync::mpsc::{SyncSender, TrySendError};

use api::node_pool::NodePool;
use tokio::sync::oneshot;

use crate::call::{AllocateCall, CheckCall, ReleaseCall};
use crate::refusal::Refusal;
use crate::reservation::{Grant, Reservation, RowId};

pub use caller::{Caller, Connection};

type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// What the thread is asked to do.
enum Job {
    Allocate(AllocateCall, Caller, Reply<Vec<Grant>>),
    Release(ReleaseCall, Caller, Reply<Vec<Reservation>>),
    Check(CheckCall, Reply<()>),
    ReleaseRows(Vec<RowId>, Reply<usize>),
    MarkSeen(Vec<RowId>, Reply<()>),
    SetTable(Vec<NodePool>, Reply<()>),
    Table(Reply<Vec<NodePool>>),
    Reservations(Reply<Vec<Reservation>>),
    CanAllocate(Reply<()>),
    Stop,
}

/// A handle to the writer thread.
///
/// Every method waits for its turn. What answers `Ok` is on stable storage. An error of any kind means that nothing was
/// changed, but for [`Refusal::Store`] after a failed commit, where the next start will tell. Once the thread has ended
/// every method answers [`Refusal::Stopping`].
#[derive(Clone, Debug)]
pub struct Writer {
    queue: SyncSender<Job>,
}

impl Writer {
    /// Reserves one address of each pool that `call` names, or none.
    ///
    /// It is not applied any more once `caller` is gone, or this future is dropped.
    pub async fn allocate(&self, call: AllocateCall, caller: Caller) -> Result<Vec<Grant>, Refusal> {
        self.ask(|reply| Job::Allocate(call, caller, reply)).await
    }

    /// Releases what `call` says and returns it. Nothing to release is success.
    ///
    /// It is not applied any more once `caller` is gone, or this future is dropped: by then the runtime may have made a
    /// new reservation for the same container and interface.
    pub async fn deallocate(&self, call: ReleaseCall, caller: Caller) -> Result<Vec<Reservation>, Refusal> {
        self.ask(|reply| Job::Release(call, caller, reply)).await
    }

    /// [`Refusal::NoReservation`] with the first pool in which the owner holds nothing.
    pub async fn is_allocated(&self, call: CheckCall) -> Result<(), Refusal> {
        self.ask(|reply| Job::Check(call, reply)).await
    }

    /// Replaces this node's pools by `pools`, which must come from a cache that knows all of them.
    ///
    /// From now on a pool that is not among them answers NotFound. Reservations stay, also in pools that are gone or
    /// whose range moved.
    pub async fn set_table(&self, pools: Vec<NodePool>) -> Result<(), Refusal> {
        self.ask(|reply| Job::SetTable(pools, reply)).await
    }

    /// The pools in force, in the order of their keys: those of the last [`Writer::set_table`], this run's or an
    /// earlier one's.
    pub async fn table(&self) -> Result<Vec<NodePool>, Refusal> {
        self.ask(Job::Table).await
    }

    /// Every reservation, in the order in which they were made.
    pub async fn reservations(&self) -> Result<Vec<Reservation>, Refusal> {
        self.ask(Job::Reservations).await
    }

    /// Records that the pods of these reservations were seen in the API. Rows that are gone are passed over.
    pub async fn mark_seen(&self, rows: Vec<RowId>) -> Result<(), Refusal> {
        self.ask(|reply| Job::MarkSeen(rows, reply)).await
    }

    /// Releases exactly these reservations and returns how many of them there still were.
    pub async fn release(&self, rows: Vec<RowId>) -> Result<usize, Refusal> {
        self.ask(|reply| Job::ReleaseRows(rows, reply)).await
    }

    /// Whether an ADD could be served now, for STATUS and readiness: pools known, store writable, thread alive. That a
    /// pool is full or unknown doesn't count.
    pub async fn can_allocate(&self) -> Result<(), Refusal> {
        self.ask(Job::CanAllocate).await
    }

    /// Lets the thread finish what was asked before, and end.
    pub fn stop(&self) {
        // Blocks while the queue is full, which a writer that lives empties; a dead one refuses at once.
        let _ = self.queue.send(Job::Stop);
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(job(reply)).map_err(|error| match error {
            TrySendError::Full(_) => Refusal::Overloaded,
            TrySendError::Disconnected(_) => Refusal::Stopping,
        })?;
        answer.await.unwrap_or(Err(Refusal::Stopping))
    }
}

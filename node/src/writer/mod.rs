//! The one thread that changes ledger and store, and the handle to it.
//!
//! Requests queue; the thread takes all that wait, applies them in one transaction, commits once and then answers: the
//! cost of a flush is shared by everyone who waits for one. Before each batch, and at least twice a second, it applies
//! what the plugin left in the journal.
//!
//! Whoever only asks it can run on the same thread ([`Thread`]): a lone request then wakes no other one, which costs as
//! much as all the work on it, and while a batch is written, what comes in gathers for the next.

mod batch;
mod caller;
mod gauges;
mod horizon;
mod queue;
mod room;
mod thread;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::{self, Handle};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::call::{AllocateCall, CheckCall, ReleaseCall};
use crate::clock::Clock;
use crate::garbage::GarbageCall;
use crate::journal::Journal;
use crate::ledger::{Ledger, Outside};
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::reservation::{Grant, Reservation, RowId};
use crate::store::{Displaced, Store};
use crate::table::Table;

use batch::{Batch, Failure, View};
use queue::{Job, Request};
use thread::Loop;

pub use caller::{Caller, Connection};

/// So many requests wait at most; more are refused, which their callers survive better than waiting beyond their
/// deadlines.
const MAX_WAITING: usize = 1024;

/// What the writer thread works on.
#[derive(Debug)]
pub struct Parts<C> {
    /// The store, open.
    pub store: Store,
    /// What the store holds, as read when it was opened.
    pub ledger: Ledger,
    /// Where the plugin leaves DELs. `None`: nowhere, as the daemon has no unix socket.
    pub journal: Option<Journal>,
    /// Where it counts.
    pub metrics: Metrics,
    /// Where it takes the time from.
    pub clock: C,
}

/// Why the writer thread ended before it was told to. The daemon must end too: the next start reads the disk.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// A commit failed, so it isn't known what is on the disk.
    #[error("the store {} failed, ipam-node must start again to know what it holds: {cause}", store.display())]
    Store {
        /// Path of the store.
        store: PathBuf,
        /// What SQLite said.
        cause: String,
    },
    /// The database is not at its path any more. Nothing was changed after that was noticed.
    #[error(transparent)]
    Displaced(#[from] Displaced),
    /// It panicked.
    #[error("the writer thread panicked")]
    Panicked,
}

/// The end of the writer, to be waited for.
#[derive(Debug)]
pub struct Ended {
    end: Option<oneshot::Receiver<Result<(), Fatal>>>,
    thread: Thread,
}

/// The writer's thread, for others who run there. It ends when the writer has ended and the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Thread {
    runtime: Handle,
    _in_use: mpsc::Sender<Infallible>,
}

impl Thread {
    /// Runs `future` on the thread, by turns with the writer and whoever else is there.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let thread = self.clone();
        self.runtime.spawn(async move {
            let output = future.await;
            drop(thread);
            output
        })
    }
}

/// Starts the writer on a thread of its own. It runs until [`Writer::stop`], or until every handle is dropped.
pub fn spawn<C: Clock>(parts: Parts<C>) -> io::Result<(Writer, Ended)> {
    let (queue, waiting) = mpsc::channel(MAX_WAITING);
    let (end, ended) = oneshot::channel();
    let (in_use, mut unused) = mpsc::channel(1);
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = Thread {
        runtime: runtime.handle().clone(),
        _in_use: in_use,
    };
    std::thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || {
            // A task as any other, so that it comes after those that have something for its batch.
            let writer = runtime.spawn(Loop::new(parts).run(waiting));
            runtime.block_on(async {
                // Nobody may wait for it.
                let _ = end.send(writer.await.unwrap_or(Err(Fatal::Panicked)));
                // Answers may still have to go out.
                unused.recv().await
            })
        })?;
    let ended = Ended {
        end: Some(ended),
        thread,
    };
    Ok((Writer { queue }, ended))
}

impl Ended {
    /// Waits until the writer has ended, and the store is closed and its lock given up. How it ended is said once; after
    /// that it is `Ok`. Nothing is lost when this future is dropped.
    pub async fn wait(&mut self) -> Result<(), Fatal> {
        let Some(end) = &mut self.end else {
            return Ok(());
        };
        let result = end.await.unwrap_or(Err(Fatal::Panicked));
        self.end = None;
        result
    }

    /// Where the writer runs.
    #[must_use]
    pub fn thread(&self) -> &Thread {
        &self.thread
    }
}

/// A handle to the writer thread.
///
/// Every method waits for its turn. What answers `Ok` is on stable storage. An error means that nothing was changed, but
/// for [`Refusal::Store`] after a failed commit, where the next start will tell. Once the thread has ended every method
/// answers [`Refusal::Stopping`].
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Job>,
}

impl Writer {
    /// Reserves one address of each pool that `call` names, or none.
    ///
    /// It is not applied any more once `caller` is gone, or this future is dropped.
    pub async fn allocate(&self, call: AllocateCall, caller: Caller) -> Result<Vec<Grant>, Refusal> {
        self.write(caller, move |batch| batch.allocate(&call)).await
    }

    /// Releases what `call` says and returns it. Nothing to release is success.
    ///
    /// It is not applied any more once `caller` is gone, or this future is dropped: by then the runtime may have made a
    /// new reservation for the same container and interface.
    pub async fn deallocate(
        &self,
        call: ReleaseCall,
        caller: Caller,
    ) -> Result<Vec<Arc<Reservation>>, Refusal> {
        self.write(caller, move |batch| batch.release(&call)).await
    }

    /// [`Refusal::NoReservation`] with the first pool in which the owner holds nothing.
    pub async fn is_allocated(&self, call: CheckCall) -> Result<(), Refusal> {
        self.read(move |view| view.ledger.check(&call)).await
    }

    /// Replaces this node's pools by those of `table`.
    ///
    /// From now on a pool that is not among them answers NotFound, if the table knows all pools of its kind. Reservations
    /// stay, also in pools that are gone or whose range moved. The pools are stored, if they changed; what else the table
    /// says is not.
    pub async fn set_table(&self, table: Table) -> Result<(), Refusal> {
        self.write(Caller::default(), move |batch| batch.set_table(&table))
            .await
    }

    /// The table in force: that of the last [`Writer::set_table`], or what the store kept of an earlier run's.
    pub async fn table(&self) -> Result<Table, Refusal> {
        self.read(|view| Ok(view.ledger.table())).await
    }

    /// Every reservation, in the order in which they were made.
    pub async fn reservations(&self) -> Result<Vec<Arc<Reservation>>, Refusal> {
        self.read(|view| Ok(view.ledger.reservations().cloned().collect()))
            .await
    }

    /// The reservations that lie outside of this node's range of their pool, or whose pool gives this node nothing, and
    /// where they lie. They are kept until they are released.
    pub async fn outside(&self) -> Result<Vec<(Arc<Reservation>, Outside)>, Refusal> {
        self.read(|view| {
            let outside = view.ledger.outside();
            Ok(outside
                .map(|(reservation, place)| (reservation.clone(), place))
                .collect())
        })
        .await
    }

    /// Records that the pods of these reservations were seen in the API. Rows that are gone are passed over.
    pub async fn mark_seen(&self, rows: Vec<RowId>) -> Result<(), Refusal> {
        self.write(Caller::default(), move |batch| batch.mark_seen(&rows))
            .await
    }

    /// Releases exactly these reservations and returns those that there still were.
    ///
    /// It is not applied any more once `caller` is gone, or this future is dropped.
    pub async fn release(&self, rows: Vec<RowId>, caller: Caller) -> Result<Vec<Arc<Reservation>>, Refusal> {
        self.write(caller, move |batch| batch.release_rows(&rows)).await
    }

    /// The reservations that `call` covers: those to release unless their pods are there.
    pub async fn garbage(&self, call: GarbageCall) -> Result<Vec<Arc<Reservation>>, Refusal> {
        self.read(move |view| {
            let Some(newest) = view.horizon.before(&call.began) else {
                return Ok(Vec::new());
            };
            let covered = view.ledger.reservations().filter(|r| call.covers(r, newest));
            Ok(covered.cloned().collect())
        })
        .await
    }

    /// Whether an ADD could be served now, for STATUS and readiness: pools known, store writable, thread alive. That a
    /// pool is full or unknown doesn't count. It takes its turn as an ADD does, so it finds out what an ADD would.
    pub async fn can_allocate(&self) -> Result<(), Refusal> {
        self.write(Caller::default(), |batch| batch.can_allocate()).await
    }

    /// Lets the thread finish what was asked before, and end. What is asked later is refused.
    pub async fn stop(&self) {
        // A writer that has ended needs not be told.
        let _ = self.queue.send(Job::Stop).await;
    }

    async fn write<T, W>(&self, caller: Caller, work: W) -> Result<T, Refusal>
    where
        T: Send + 'static,
        W: FnMut(&mut Batch<'_>) -> Result<T, Failure> + Send + 'static,
    {
        self.ask(|reply| Job::Write(Box::new(Request::new(caller, work, reply))))
            .await
    }

    async fn read<T, R>(&self, look: R) -> Result<T, Refusal>
    where
        T: Send + 'static,
        R: FnOnce(&View<'_>) -> Result<T, Refusal> + Send + 'static,
    {
        self.ask(|reply| {
            Job::Read(Box::new(move |view| {
                // Nobody may wait for it any more.
                let _ = reply.send(look(view));
            }))
        })
        .await
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Job,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(job(reply)).map_err(|error| match error {
            TrySendError::Full(_) => Refusal::Overloaded,
            TrySendError::Closed(_) => Refusal::Stopping,
        })?;
        answer.await.unwrap_or(Err(Refusal::Stopping))
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

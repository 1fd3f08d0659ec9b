//! The loop of the writer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rpc::journal::Entry;
use tokio::sync::mpsc::Receiver;
use tokio::{task, time};

use super::batch::{Batch, BatchTime, Failure, Setback, View};
use super::gauges::AddressGauges;
use super::horizon::Horizon;
use super::queue::{Job, Write};
use super::room::Room;
use super::{Fatal, Parts};
use crate::clock::Clock;
use crate::journal::{Journal, Pending};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::reservation::Reservation;
use crate::store::{Displaced, Store};
use crate::table::Table;

/// So many requests share a commit at most: its cost must stay small against a caller's deadline.
const MAX_BATCH: usize = 256;

/// How long the thread waits for a request before it looks after journal and log.
const TICK: Duration = Duration::from_millis(500);

pub(super) struct Loop<C> {
    store: Store,
    ledger: Ledger,
    journal: Option<Journal>,
    metrics: Metrics,
    clock: C,
    room: Room,
    /// Another program had the store locked when it was last to be changed.
    locked: bool,
    horizon: Horizon,
    gauges: AddressGauges,
}

impl<C: Clock> Loop<C> {
    pub(super) fn new(parts: Parts<C>) -> Self {
        let Parts {
            store,
            ledger,
            journal,
            metrics,
            clock,
        } = parts;
        let horizon = Horizon::new(&clock.stamp(), ledger.newest());
        Self {
            store,
            ledger,
            journal,
            clock,
            room: Room::new(),
            locked: false,
            horizon,
            gauges: AddressGauges::new(metrics.addresses.clone()),
            metrics,
        }
    }

    /// Serves until it is told to stop, or nobody is left to ask. A batch blocks the thread: what else runs on it has
    /// nothing to do that wouldn't wait for the batch.
    pub(super) async fn run(mut self, mut queue: Receiver<Job>) -> Result<(), Fatal> {
        self.room.keep(&self.store);
        self.gauges.show(&self.ledger);
        loop {
            let (jobs, stop) = collect(&mut queue).await;
            let idle = jobs.is_empty();
            if let Err(displaced) = self.store.is_in_place() {
                return Err(self.displaced(jobs, displaced));
            }
            self.serve(jobs)?;
            // The answers go out first: nobody waits for the rest.
            task::yield_now().await;
            self.gauges.show(&self.ledger);
            self.room.look_after(&self.store, idle);
            if stop {
                if let Err(error) = self.store.close() {
                    tracing::warn!(%error, "the store was not closed cleanly; nothing is lost, the next start reads its log");
                }
                return Ok(());
            }
        }
    }

    /// Ends without a trace in what lies at the store's path.
    fn displaced(self, jobs: Vec<Job>, displaced: Displaced) -> Fatal {
        let writes = jobs.into_iter().filter_map(|job| match job {
            Job::Write(write) => Some(write),
            Job::Read(_) | Job::Stop => None,
        });
        refuse(writes.collect(), &Refusal::StoreDisplaced(displaced.clone()));
        if let Err(error) = self.store.abandon() {
            tracing::error!(%error, "the log of the store that was there could not be emptied");
        }
        displaced.into()
    }

    fn serve(&mut self, jobs: Vec<Job>) -> Result<(), Fatal> {
        // Before anything looks whether its caller still waits.
        let time = BatchTime {
            stamp: self.clock.stamp(),
            time_of_day: self.clock.time_of_day(),
        };
        let mut writes = Vec::new();
        let mut reads = Vec::new();
        for job in jobs {
            match job {
                Job::Write(write) => writes.push(write),
                Job::Read(read) => reads.push(read),
                Job::Stop => {}
            }
        }
        let pending = self.journal.as_mut().map(Journal::pending).unwrap_or_default();
        self.count_pending(pending.len());
        if !(writes.is_empty() && pending.is_empty()) {
            self.write(writes, pending, &time)?;
        }
        for read in reads {
            read(&View {
                ledger: &self.ledger,
                horizon: &self.horizon,
            });
        }
        Ok(())
    }

    fn write(
        &mut self,
        mut writes: Vec<Box<dyn Write>>,
        pending: Vec<Pending>,
        time: &BatchTime,
    ) -> Result<(), Fatal> {
        let mut result = self.commit(&mut writes, &pending, time);
        if let Err(Setback::Full(cause)) = &result {
            self.room.ran_out(&self.store, cause);
            // Once more: what adds is refused now, and what releases has the room of the log, from its start again.
            self.room.checkpoint(&self.store);
            result = self.commit(&mut writes, &pending, time);
        }
        match result {
            Ok(released) => {
                if self.locked {
                    tracing::info!(store = %self.store.path().display(), "no other program has the store locked any more");
                    self.locked = false;
                }
                writes.into_iter().for_each(Write::answer);
                for (pending, released) in pending.iter().zip(&released) {
                    log_late(&pending.entry, released);
                }
                if let Some(journal) = &mut self.journal {
                    for entry in pending {
                        journal.done(entry);
                    }
                }
                self.count_pending(0);
                Ok(())
            }
            Err(Setback::Full(cause)) => {
                let refusal = self.room.ran_out(&self.store, &cause);
                refuse(writes, &refusal);
                Ok(())
            }
            Err(Setback::Locked(cause)) => {
                let refusal = Refusal::StoreLocked {
                    store: self.store.path().display().to_string(),
                    cause,
                };
                if !self.locked {
                    tracing::error!("requests are refused: {refusal}");
                }
                self.locked = true;
                refuse(writes, &refusal);
                Ok(())
            }
            Err(Setback::Broken(cause)) => {
                refuse(writes, &Refusal::Store(cause.clone()));
                Err(Fatal::Store {
                    store: self.store.path().to_owned(),
                    cause,
                })
            }
        }
    }

    /// One transaction; returns what each of `pending` released. Unless it returns `Ok`, nothing of it is in the ledger,
    /// nor, but for [`Setback::Broken`], on disk.
    fn commit(
        &mut self,
        writes: &mut [Box<dyn Write>],
        pending: &[Pending],
        time: &BatchTime,
    ) -> Result<Vec<Vec<Arc<Reservation>>>, Setback> {
        let before = self.ledger.table();
        let result = self.try_commit(writes, pending, time);
        if let Err(Setback::Full(_) | Setback::Locked(_)) = result {
            self.ledger = read(&self.store, before)?;
        }
        result
    }

    fn try_commit(
        &mut self,
        writes: &mut [Box<dyn Write>],
        pending: &[Pending],
        time: &BatchTime,
    ) -> Result<Vec<Vec<Arc<Reservation>>>, Setback> {
        let transaction = self.store.begin()?;
        if self.store.changed_elsewhere()? {
            tracing::warn!(store = %self.store.path().display(), "another program changed the store, reading it again");
            self.ledger = read(&self.store, self.ledger.table())?;
        }
        let mut batch = Batch::new(transaction, &mut self.ledger, time, self.room.verdict());
        let mut released = Vec::with_capacity(pending.len());
        for Pending { entry, .. } in pending {
            match batch.drain(entry) {
                Ok(reservations) => released.push(reservations),
                Err(Failure::Batch(setback)) => return Err(setback),
                Err(Failure::Refused(refusal)) => return Err(Setback::Broken(refusal.to_string())),
            }
        }
        for write in writes.iter_mut() {
            write.apply(&mut batch)?;
        }
        let start = Instant::now();
        let changes = batch.commit()?;
        if changes > 0 {
            self.metrics
                .commit_duration
                .observe(start.elapsed().as_secs_f64());
            #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
            self.metrics
                .batch_size
                .observe((writes.len() + pending.len()) as f64);
            // Before anybody hears of it.
            self.horizon.committed(&self.clock.stamp(), self.ledger.newest());
        }
        self.room.changed(changes);
        Ok(released)
    }

    /// `waiting` of the journal's entries are to be applied; others may be there.
    fn count_pending(&self, waiting: usize) {
        let there = waiting + self.journal.as_ref().map_or(0, Journal::passed_over);
        self.metrics
            .journal_pending
            .set(i64::try_from(there).unwrap_or(i64::MAX));
    }
}

/// All that waits, up to a batch, or nothing after a tick; and whether it is time to end.
async fn collect(queue: &mut Receiver<Job>) -> (Vec<Job>, bool) {
    let mut jobs = Vec::new();
    let received = time::timeout(TICK, queue.recv_many(&mut jobs, MAX_BATCH)).await;
    let stop = jobs.iter().position(|job| matches!(job, Job::Stop));
    if let Some(stop) = stop {
        // Who asked later hears that nobody is there any more.
        jobs.truncate(stop);
    }
    (jobs, stop.is_some() || received == Ok(0))
}

/// Takes from the store what only the store knows. Pools are the API server's, so `table` stays in force: whoever cleared
/// it in the store must not make pools unknown until their next event.
fn read(store: &Store, table: Table) -> Result<Ledger, Setback> {
    let mut ledger = store.load()?;
    ledger.set_table(table);
    Ok(ledger)
}

fn log_late(entry: &Entry, released: &[Arc<Reservation>]) {
    let addresses: Vec<_> = released.iter().map(|r| r.address).collect();
    tracing::info!(
        container = entry.container_id,
        interface = entry.interface_name,
        network = entry.network_name,
        ?addresses,
        "a DEL that the plugin left in its journal {}",
        if released.is_empty() {
            "finds nothing to release"
        } else {
            "releases"
        }
    );
}

fn refuse(writes: Vec<Box<dyn Write>>, refusal: &Refusal) {
    for write in writes {
        write.refuse(refusal.clone());
    }
}

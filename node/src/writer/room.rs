//! The store's log, and the room on the disk without which nothing is added.

use std::time::{Duration, Instant};

use super::batch::Setback;
use crate::refusal::Refusal;
use crate::store::Store;

/// So many changed rows stay in the log at most, while requests come without a pause. Alone in its commit, each is four
/// pages: the log usually stays within what was written of it beforehand.
const MAX_UNMOVED: usize = 200;

/// So many, and they are moved when nobody waits. Not fewer: the first commit after that begins the log anew, at the cost
/// of a second flush, which not every lone ADD should pay. Not many more: it is when rows are moved that a disk without room
/// shows.
const WORTH_MOVING: usize = 10;

/// How often it is looked whether there is room again.
const PAUSE: Duration = Duration::from_millis(500);

/// What is known of a store's room.
pub(super) struct Room {
    /// Why nothing may be added, if so.
    verdict: Result<(), Refusal>,
    /// Changed rows that are in the log only.
    unmoved: usize,
    /// When it was last looked whether there is room again.
    looked: Instant,
}

impl Room {
    /// There is room until it is found that there isn't.
    pub(super) fn new() -> Self {
        Self {
            verdict: Ok(()),
            unmoved: 0,
            looked: Instant::now(),
        }
    }

    /// Whether anything may be added.
    pub(super) fn verdict(&self) -> Result<(), Refusal> {
        self.verdict.clone()
    }

    /// So many rows were changed by a commit.
    pub(super) fn changed(&mut self, rows: usize) {
        self.unmoved += rows;
    }

    /// After each batch: moves the log if it is time, and sees whether there is room.
    pub(super) fn look_after(&mut self, store: &Store, idle: bool) {
        // With nobody waiting, or before the log gets long, or to make the most of the room that is left.
        let enough = match (&self.verdict, idle) {
            (Err(_), _) => 1,
            (Ok(()), true) => WORTH_MOVING,
            (Ok(()), false) => MAX_UNMOVED,
        };
        if self.unmoved >= enough {
            self.checkpoint(store);
            self.keep(store);
        } else if self.verdict.is_err() && self.looked.elapsed() >= PAUSE {
            self.looked = Instant::now();
            self.keep(store);
        }
    }

    /// From now on nothing is added.
    pub(super) fn ran_out(&mut self, store: &Store, cause: &str) -> Refusal {
        if self.verdict.is_ok() {
            tracing::error!(
                store = %store.path().display(), cause,
                "no room on the disk: addresses are not handed out until there is, releasing goes on"
            );
        }
        let refusal = Refusal::StoreFull {
            store: store.path().display().to_string(),
            cause: cause.to_owned(),
        };
        self.verdict = Err(refusal.clone());
        refusal
    }

    /// Sees to it that releasing has its own room on the disk, without which nothing is added.
    pub(super) fn keep(&mut self, store: &Store) {
        match store.keep_room() {
            Err(error) => {
                self.ran_out(store, &error.to_string());
            }
            Ok(()) if self.verdict.is_err() => {
                tracing::info!(store = %store.path().display(), "there is room on the disk again");
                self.verdict = Ok(());
            }
            Ok(()) => {}
        }
    }

    /// Moves the log into the database. Afterwards the log's room can be used again.
    pub(super) fn checkpoint(&mut self, store: &Store) {
        self.unmoved = 0;
        match store.checkpoint().map_err(Setback::from) {
            Ok(()) | Err(Setback::Locked(_)) => {}
            Err(Setback::Full(cause)) => {
                self.ran_out(store, &cause);
            }
            // Every commit is in the log; it just gets longer.
            Err(Setback::Broken(cause)) => {
                tracing::error!(store = %store.path().display(), cause, "the store's log can't be moved into it");
            }
        }
    }
}

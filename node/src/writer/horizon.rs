//! Which reservations were committed before a moment.

use std::collections::VecDeque;

use rpc::journal::Stamp;

use crate::reservation::RowId;

/// Commits that end closer together than this count as one, which ended last.
const RESOLUTION_NS: u64 = 10_000_000;

/// So many are remembered: ten seconds of a daemon that commits all the time, more than a plugin lives.
const REMEMBERED: usize = 1024;

/// The ends of the last commits. What it forgets or counts as one makes rows look younger, never older.
///
/// A reservation's own stamp doesn't do: it is taken before the commit, which may take its time.
#[derive(Debug)]
pub(super) struct Horizon {
    boot_id: String,
    /// When a commit had ended, and the newest row that there was then; oldest first.
    ends: VecDeque<(u64, RowId)>,
}

impl Horizon {
    /// At `start` there were rows up to `newest`.
    pub(super) fn new(start: &Stamp, newest: Option<RowId>) -> Self {
        let mut horizon = Self {
            boot_id: start.boot_id.clone(),
            ends: VecDeque::new(),
        };
        horizon.committed(start, newest);
        horizon
    }

    /// A commit has ended, not after `now`; now there are rows up to `newest`.
    pub(super) fn committed(&mut self, now: &Stamp, newest: Option<RowId>) {
        let (Some(newest), now) = (newest, now.boottime_ns) else {
            return;
        };
        if self.ends.back().is_some_and(|(_, known)| *known >= newest) {
            return;
        }
        let before_last = self.ends.len().checked_sub(2).and_then(|i| self.ends.get(i));
        if before_last.is_some_and(|(ended, _)| now.saturating_sub(*ended) < RESOLUTION_NS) {
            self.ends.pop_back();
        }
        self.ends.push_back((now, newest));
        if self.ends.len() > REMEMBERED {
            self.ends.pop_front();
        }
    }

    /// The newest row that was certainly committed before `moment`, and with it every older one.
    pub(super) fn before(&self, moment: &Stamp) -> Option<RowId> {
        if moment.boot_id != self.boot_id {
            return None;
        }
        let ended_before = self
            .ends
            .partition_point(|(ended, _)| *ended < moment.boottime_ns);
        let (_, newest) = self.ends.get(ended_before.checked_sub(1)?)?;
        Some(*newest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(boottime_ns: u64) -> Stamp {
        Stamp {
            boot_id: "boot".to_owned(),
            boottime_ns,
        }
    }

    const APART: u64 = RESOLUTION_NS;

    #[test]
    fn what_had_been_committed_is_before() {
        let mut horizon = Horizon::new(&at(APART), Some(RowId(3)));
        horizon.committed(&at(2 * APART), Some(RowId(5)));
        assert_eq!(horizon.before(&at(APART)), None, "the daemon had not started");
        assert_eq!(horizon.before(&at(APART + 1)), Some(RowId(3)));
        assert_eq!(horizon.before(&at(2 * APART)), Some(RowId(3)));
        assert_eq!(horizon.before(&at(2 * APART + 1)), Some(RowId(5)));
    }

    #[test]
    fn an_empty_store_and_another_boot_have_nothing_before() {
        let mut horizon = Horizon::new(&at(1), None);
        assert_eq!(horizon.before(&at(9)), None);
        horizon.committed(&at(2), Some(RowId(1)));
        assert_eq!(horizon.before(&at(9)), Some(RowId(1)));
        let other = Stamp {
            boot_id: "other".to_owned(),
            ..at(9)
        };
        assert_eq!(horizon.before(&other), None);
    }

    #[test]
    fn it_remembers_ten_seconds_however_busy() {
        let mut horizon = Horizon::new(&at(0), None);
        let step = RESOLUTION_NS / 100;
        for n in 1..=200_000_u32 {
            horizon.committed(&at(u64::from(n) * step), Some(RowId(n.into())));
        }
        assert!(horizon.ends.len() <= REMEMBERED);
        let ten_seconds_ago = at(200_000 * step - 10_000_000_000);
        assert!(horizon.before(&ten_seconds_ago).is_some());
    }

    proptest! {
        /// Against a list that forgets nothing.
        #[test]
        fn no_row_ever_looks_older_than_it_is(
            commits in prop::collection::vec((0..RESOLUTION_NS * 2, 0..3_i64), 0..60), moment in 0..RESOLUTION_NS * 60,
        ) {
            let mut horizon = Horizon::new(&at(0), None);
            let (mut now, mut newest) = (0, 0);
            let mut model = Vec::new();
            for (pause, rows) in commits {
                now += pause;
                newest += rows;
                horizon.committed(&at(now), (newest > 0).then_some(RowId(newest)));
                model.push((now, newest));
            }
            let truth = model.iter().filter(|(ended, _)| *ended < moment).map(|(_, row)| *row).max();
            if let Some(RowId(row)) = horizon.before(&at(moment)) {
                prop_assert!(row <= truth.unwrap_or(0), "{row} of {truth:?}");
            }
            // After a pause it knows exactly.
            if newest > 0 {
                prop_assert_eq!(horizon.before(&at(now + 1)), Some(RowId(newest)));
            }
        }
    }
}

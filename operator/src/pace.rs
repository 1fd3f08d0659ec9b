//! How often a pool is planned: soon after a change, and seldom while changes keep coming, because each status write is
//! sent whole to every daemon.

use std::time::Duration;

use tokio::time::Instant;

/// What comes within this time of a change is planned with it.
const SETTLE: Duration = Duration::from_millis(20);
/// Time between two plans after a quiet time; doubled with every further one.
const FIRST_GAP: Duration = Duration::from_millis(100);
/// The longest time between two plans, unless they fail.
const LONGEST_GAP: Duration = Duration::from_secs(1);
/// The longest time between two attempts while they fail.
const LONGEST_RETRY: Duration = Duration::from_secs(10);
/// The next plan after a time this long is the first of a new series.
const QUIET: Duration = Duration::from_secs(2);

/// When a pool is to be planned.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// Since when a plan is wanted.
    wanted: Option<Instant>,
    last: Option<Instant>,
    gap: Duration,
}

impl Pace {
    /// Something changed.
    pub fn want(&mut self, now: Instant) {
        self.wanted.get_or_insert(now);
    }

    /// When to plan; `None` if nothing changed.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let settled = self.wanted? + SETTLE;
        Some(self.last.map_or(settled, |last| settled.max(last + self.gap)))
    }

    /// A plan begins; what changes from now on takes another one.
    pub fn begun(&mut self) {
        self.wanted = None;
    }

    /// Planned, and written if need be.
    pub fn done(&mut self, now: Instant) {
        self.gap = self.next_gap(now).min(LONGEST_GAP);
        self.last = Some(now);
    }

    /// The attempt failed; it is wanted again.
    pub fn failed(&mut self, now: Instant) {
        self.wanted = Some(now);
        self.gap = self.next_gap(now).min(LONGEST_RETRY);
        self.last = Some(now);
    }

    fn next_gap(&self, now: Instant) -> Duration {
        match self.last {
            Some(last) if now < last + self.gap + QUIET => (self.gap * 2).max(FIRST_GAP),
            _ => FIRST_GAP,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Times of the plans, in ms, for changes at these times.
    fn plans(changes: impl IntoIterator<Item = u32>) -> Vec<u128> {
        let start = Instant::now();
        let mut pace = Pace::default();
        let mut plans = Vec::new();
        let mut run_until = |pace: &mut Pace, until: Instant| {
            while let Some(due) = pace.due().filter(|due| *due <= until) {
                plans.push((due - start).as_millis());
                pace.begun();
                pace.done(due);
            }
        };
        for change in changes {
            let at = start + change * MS;
            run_until(&mut pace, at);
            pace.want(at);
        }
        run_until(&mut pace, start + Duration::from_hours(1));
        plans
    }

    #[test]
    fn a_lone_change_is_planned_at_once() {
        assert_eq!(plans([0]), [20]);
        assert_eq!(plans([0, 60_000]), [20, 60_020]);
    }

    #[test]
    fn what_comes_together_is_planned_together() {
        assert_eq!(plans([0, 5, 10]), [20]);
        assert_eq!(plans([0, 30, 60, 90]), [20, 120]);
    }

    #[test]
    fn a_burst_of_a_thousand_changes_takes_few_plans() {
        let spread_over_ten_seconds = plans((0..1000).map(|i| i * 10));
        assert!(spread_over_ten_seconds.len() <= 15, "{spread_over_ten_seconds:?}");
        assert_eq!(spread_over_ten_seconds[..5], [20, 120, 320, 720, 1520]);
    }

    #[test]
    fn failures_are_repeated_ever_more_slowly() {
        let mut pace = Pace::default();
        let mut now = Instant::now();
        pace.want(now);
        let mut waits = Vec::new();
        for _ in 0..10 {
            let due = pace.due().unwrap();
            waits.push((due - now).as_millis());
            pace.failed(due);
            now = due;
        }
        assert_eq!(waits, [20, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        let due = pace.due().unwrap();
        pace.begun();
        pace.done(due);
        assert_eq!(pace.due(), None);
    }

    #[test]
    fn what_changes_during_a_plan_takes_another() {
        let mut pace = Pace::default();
        let start = Instant::now();
        pace.want(start);
        pace.begun();
        pace.want(start + 30 * MS);
        pace.done(start + 40 * MS);
        assert_eq!(pace.due(), Some(start + 140 * MS));
    }
}

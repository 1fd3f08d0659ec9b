//! Does what the [`Machine`] says.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use process::shutdown::Shutdown;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::lease::LeaseStore;
use super::machine::{Answer, Ask, Machine, Next};
use super::{LEASE, Timing};
use crate::leadership::{Term, Terms};

/// How long giving the lease back may take altogether.
const RELEASE_LIMIT: Duration = Duration::from_millis(400);

/// The lease was held and is no more, or could not be renewed in time. The process must end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Somebody took it.
    #[error("lost the lease {LEASE} to {0}; another controller is at work now")]
    Taken(String),
    /// It could not be renewed.
    #[error("could not renew the lease {LEASE} for {} s; another controller may take over", .0.as_secs_f32())]
    NotRenewed(Duration),
}

/// One candidate in an election.
#[derive(Debug)]
pub struct Elector<S> {
    machine: Machine,
    store: S,
    timing: Timing,
    terms: Terms,
    failing: Option<String>,
    holder: Option<String>,
}

impl<S: LeaseStore> Elector<S> {
    /// A candidate that tells its term through `terms`.
    pub fn new(identity: String, timing: Timing, store: S, terms: Terms) -> Self {
        Self {
            machine: Machine::new(identity, timing),
            store,
            timing,
            terms,
            failing: None,
            holder: None,
        }
    }

    /// Takes part until `release` is requested; then ends the term, and gives the lease back if it is held. Whoever
    /// writes on the lease's strength must have stopped before.
    pub async fn run(mut self, release: Shutdown) -> Result<(), Lost> {
        loop {
            let asked = Instant::now();
            // An answer that comes after the term is of no use: the term must be seen to end.
            let limit = match self.machine.leads_until() {
                Some(end) => self.timing.request.min(end.saturating_duration_since(asked)),
                None => self.timing.request,
            };
            let ask = self.machine.ask(Timestamp::now());
            let answer = tokio::select! {
                biased;
                () = release.requested() => break,
                answer = self.store.ask(&ask, limit) => answer,
            };
            let answer = answer.unwrap_or_else(|error| {
                self.log_failure(error.to_string());
                Answer::Failed
            });
            let now = Instant::now();
            let answered = !matches!(answer, Answer::Failed);
            let next = self.machine.answered(&ask, answer, asked, now);
            if answered {
                self.log_answer();
            }
            if next == Next::Lost {
                self.terms.send_replace(Term::Standby);
                let holder = self.machine.holder().unwrap_or_default().to_owned();
                return Err(Lost::Taken(holder));
            }
            if let Some(end) = self.machine.leads_until() {
                if now >= end {
                    self.terms.send_replace(Term::Standby);
                    return Err(Lost::NotRenewed(self.timing.renew_deadline));
                }
                self.terms.send_replace(Term::Until(end));
            }
            let pause_end = match next {
                Next::AtOnce | Next::Lost => continue,
                Next::Soon => now + self.timing.retry / 4,
                Next::AfterPause => now + self.pause(),
            };
            tokio::select! {
                () = release.requested() => break,
                () = sleep_until(self.before_term_ends(pause_end)) => {}
            }
        }
        self.terms.send_replace(Term::Standby);
        self.release().await;
        Ok(())
    }

    /// A holder renews regularly. Candidates spread, so as not to come all at once.
    fn pause(&self) -> Duration {
        match self.machine.leads_until() {
            Some(_) => self.timing.retry,
            None => self.timing.retry.mul_f64(1.0 + 0.2 * random_fraction()),
        }
    }

    fn before_term_ends(&self, time: Instant) -> Instant {
        self.machine.leads_until().map_or(time, |end| time.min(end))
    }

    /// Gives the lease back. A write of ours that nobody waited for may have come in between; one more attempt then.
    async fn release(&mut self) {
        let deadline = Instant::now() + RELEASE_LIMIT;
        let attempts = async {
            for _ in 0..2 {
                let Some(ask) = self.machine.release(Timestamp::now()) else {
                    return;
                };
                match self.store.ask(&ask, RELEASE_LIMIT).await {
                    Ok(Answer::Lease(_)) => {
                        tracing::info!(lease = LEASE, "released the lease");
                        return;
                    }
                    Ok(Answer::Conflict) => {}
                    Ok(answer) => return tracing::warn!(?answer, "the lease {LEASE} can't be released"),
                    Err(error) => return tracing::warn!("the lease {LEASE} can't be released: {error}"),
                }
                let asked = Instant::now();
                if let Ok(answer) = self.store.ask(&Ask::Read, RELEASE_LIMIT).await {
                    self.machine.answered(&Ask::Read, answer, asked, Instant::now());
                }
            }
        };
        if timeout_at(deadline, attempts).await.is_err() {
            tracing::warn!("the lease {LEASE} was not released in time; others wait until it expires");
        }
    }

    fn log_failure(&mut self, text: String) {
        if self.failing.as_ref() != Some(&text) {
            tracing::warn!("can't reach the lease {LEASE}, trying again: {text}");
            self.failing = Some(text);
        }
    }

    fn log_answer(&mut self) {
        if self.failing.take().is_some() {
            tracing::info!("the lease {LEASE} can be reached again");
        }
        let holder = self.machine.holder();
        if self.holder.as_deref() != holder {
            self.holder = holder.map(str::to_owned);
            match (holder, self.machine.leads_until()) {
                (Some(holder), None) => tracing::info!(holder, "standing by: another controller leads"),
                (Some(identity), Some(_)) => tracing::info!(identity, "leading"),
                (None, _) => {}
            }
        }
    }
}

/// A number between 0 and 1.
fn random_fraction() -> f64 {
    // A hasher's keys are random; nothing more than spreading depends on it.
    let bits = RandomState::new().build_hasher().finish() >> 32;
    #[expect(clippy::cast_precision_loss, reason = "32 bits are exact")]
    let fraction = bits as f64 / f64::from(u32::MAX);
    fraction
}

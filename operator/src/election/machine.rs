//! What a candidate does next, given what it has seen. No IO; the times come from the caller.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::{LEASE, Timing};

/// A request to the API server.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Read the Lease.
    Read,
    /// Create it; it must not be there.
    Create(Lease),
    /// Replace it; it must still have the resourceVersion that is in it.
    Replace(Lease),
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The Lease as it was read, or as it was written.
    Lease(Box<Lease>),
    /// There is none.
    Absent,
    /// It is not as the request supposed, and was left as it is.
    Conflict,
    /// It failed, or nobody knows whether it did.
    Failed,
}

/// When the next request is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Now.
    AtOnce,
    /// After a short pause: the last attempt failed, and the term goes on running out.
    Soon,
    /// After the pause between attempts.
    AfterPause,
    /// Never: the lease was held, and is another's now.
    Lost,
}

/// One candidate.
#[derive(Debug)]
pub struct Machine {
    identity: String,
    timing: Timing,
    turn: Turn,
    seen: Option<Seen>,
    leads_until: Option<Instant>,
}

/// The Lease as it was last seen.
#[derive(Debug)]
struct Seen {
    lease: Lease,
    /// Since when its record has been seen unchanged.
    since: Instant,
}

/// Which request comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Read,
    Create,
    Replace,
}

impl Machine {
    /// A candidate that has seen nothing yet. `identity` must be its alone among all that there ever were.
    #[must_use]
    pub fn new(identity: String, timing: Timing) -> Self {
        Self {
            identity,
            timing,
            turn: Turn::Read,
            seen: None,
            leads_until: None,
        }
    }

    /// Until when the lease is held for certain, if it is.
    #[must_use]
    pub fn leads_until(&self) -> Option<Instant> {
        self.leads_until
    }

    /// Who holds the lease, as last seen.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        holder(&self.seen.as_ref()?.lease)
    }

    /// The next request. `wall` is what people will read in the record.
    #[must_use]
    pub fn ask(&self, wall: Timestamp) -> Ask {
        match (self.turn, &self.seen) {
            (Turn::Create, _) => Ask::Create(Lease {
                metadata: ObjectMeta {
                    name: Some(LEASE.to_owned()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.record(None, wall)),
            }),
            (Turn::Replace, Some(seen)) => Ask::Replace(Lease {
                metadata: seen.lease.metadata.clone(),
                spec: Some(self.record(seen.lease.spec.as_ref(), wall)),
            }),
            (Turn::Read, _) | (Turn::Replace, None) => Ask::Read,
        }
    }

    /// Takes in what became of a request that was sent at `asked`; it is `now`.
    ///
    /// A record that a write made is seen by others no earlier than `asked`, so the term that it gives counts from there.
    pub fn answered(&mut self, ask: &Ask, answer: Answer, asked: Instant, now: Instant) -> Next {
        match (ask, answer) {
            (Ask::Read, Answer::Lease(lease)) => self.read(*lease, now),
            (Ask::Create(_) | Ask::Replace(_), Answer::Lease(lease)) => {
                self.see(*lease, now);
                self.turn = Turn::Replace;
                self.leads_until = Some(asked + self.timing.renew_deadline);
                Next::AfterPause
            }
            (_, Answer::Absent) => {
                self.seen = None;
                self.turn = Turn::Create;
                Next::AtOnce
            }
            (_, Answer::Conflict) => {
                self.turn = Turn::Read;
                // Whoever leads must know at once whether it still does; others can wait for their turn.
                match self.leads_until {
                    Some(_) => Next::AtOnce,
                    None => Next::AfterPause,
                }
            }
            (_, Answer::Failed) => {
                // A write may have been done: what was seen is outdated then, and the next write is refused.
                if self.leads_until.is_some() {
                    return Next::Soon;
                }
                self.turn = Turn::Read;
                Next::AfterPause
            }
        }
    }

    fn read(&mut self, lease: Lease, now: Instant) -> Next {
        self.see(lease, now);
        if self.may_take(now) {
            self.turn = Turn::Replace;
            return Next::AtOnce;
        }
        self.turn = Turn::Read;
        match self.leads_until {
            Some(_) => Next::Lost,
            None => Next::AfterPause,
        }
    }

    fn see(&mut self, lease: Lease, now: Instant) {
        let since = match &self.seen {
            Some(seen) if seen.lease.spec == lease.spec => seen.since,
            _ => now,
        };
        self.seen = Some(Seen { lease, since });
    }

    /// Whether the lease is this candidate's, nobody's, or was seen unchanged for as long as it lasts.
    fn may_take(&self, now: Instant) -> bool {
        let Some(seen) = &self.seen else { return false };
        match holder(&seen.lease) {
            None => true,
            Some(holder) if holder == self.identity => true,
            Some(_) => now >= seen.since + duration(&seen.lease).unwrap_or(self.timing.lease),
        }
    }

    fn record(&self, previous: Option<&LeaseSpec>, wall: Timestamp) -> LeaseSpec {
        let mut record = previous.cloned().unwrap_or_default();
        if record.holder_identity.as_ref() != Some(&self.identity) {
            record.acquire_time = Some(MicroTime(wall));
            record.lease_transitions = Some(match previous {
                Some(previous) => previous.lease_transitions.unwrap_or_default().saturating_add(1),
                None => 0,
            });
        }
        record.holder_identity = Some(self.identity.clone());
        record.lease_duration_seconds = i32::try_from(self.timing.lease.as_secs()).ok();
        record.renew_time = Some(MicroTime(wall));
        record
    }

    /// The request that gives the lease back, if this candidate holds it as far as it has seen. Nothing may be written on
    /// the lease's strength once it is sent.
    #[must_use]
    pub fn release(&self, wall: Timestamp) -> Option<Ask> {
        let lease = &self.seen.as_ref()?.lease;
        (holder(lease) == Some(&self.identity)).then(|| {
            let spec = lease.spec.clone().unwrap_or_default();
            Ask::Replace(Lease {
                metadata: lease.metadata.clone(),
                // As client-go releases: the API server wants a duration, and Go candidates wait it out.
                spec: Some(LeaseSpec {
                    holder_identity: Some(String::new()),
                    lease_duration_seconds: Some(1),
                    acquire_time: Some(MicroTime(wall)),
                    renew_time: Some(MicroTime(wall)),
                    ..spec
                }),
            })
        })
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease
        .spec
        .as_ref()?
        .holder_identity
        .as_deref()
        .filter(|holder| !holder.is_empty())
}

fn duration(lease: &Lease) -> Option<Duration> {
    let seconds = lease.spec.as_ref()?.lease_duration_seconds?;
    u64::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs)
}

//! Releases the addresses of pods that are gone without a DEL.

pub mod inquiry;
pub mod judge;
pub mod pod;
pub(crate) mod report;

use std::time::Duration;

use prometheus::IntCounter;
use tokio::time;

use crate::refusal::Refusal;
use crate::writer::{Caller, Writer};
use inquiry::{Inquiry, InquiryError};
use judge::Judge;

/// How often and how patiently the cleaner checks.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the end of a check to the next one.
    pub interval: Duration,
    /// At how many checks in a row a pod may be missing.
    pub allowed_misses: u32,
}

impl Default for Pace {
    /// As the Go version: an address is free three to four minutes after its pod has vanished.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            allowed_misses: judge::ALLOWED_MISSES,
        }
    }
}

/// Checks the reservations of one node.
pub struct Cleaner {
    /// Knows which pods there are.
    pub inquiry: Inquiry,
    /// Has the reservations.
    pub writer: Writer,
    /// The boot that runs now.
    pub boot_id: String,
    /// When to check.
    pub pace: Pace,
    /// Counts what is released.
    pub released: IntCounter,
}

/// Why a check came to no verdict.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(transparent)]
    Writer(#[from] Refusal),
    #[error(transparent)]
    Inquiry(#[from] InquiryError),
}

impl CheckError {
    fn is_said_elsewhere(&self) -> bool {
        matches!(self, Self::Inquiry(error) if error.is_said_elsewhere())
    }
}

impl Cleaner {
    /// Runs until the writer has ended, which is an error. The first check comes when the pods of this node are known.
    pub async fn run(self) -> Result<(), Refusal> {
        self.inquiry.pods.ready().await;
        let mut judge = Judge::new(self.boot_id.clone(), self.pace.allowed_misses);
        let mut is_failing = false;
        loop {
            match self.check(&mut judge).await {
                Ok(()) => is_failing = false,
                Err(CheckError::Writer(Refusal::Stopping)) => return Err(Refusal::Stopping),
                Err(error) if error.is_said_elsewhere() => {}
                Err(error) => {
                    if !is_failing {
                        tracing::warn!(
                            "can't check whether pods are gone, so their addresses stay reserved: {error}"
                        );
                    }
                    is_failing = true;
                }
            }
            time::sleep(self.pace.interval).await;
        }
    }

    /// One check. When anything can't be asked it leaves everything as it was, what the judge remembers too.
    async fn check(&self, judge: &mut Judge) -> Result<(), CheckError> {
        let reservations = self.writer.reservations().await?;
        let evidence = self.inquiry.gather(&reservations).await?;
        let seen = judge::newly_seen(&reservations, &evidence);
        if !seen.is_empty() {
            // A full disk refuses it, and must not end the releasing that needs no room. What isn't recorded now is tried
            // again at the next check; this one has the evidence itself.
            if let Err(Refusal::Stopping) = self.writer.mark_seen(seen).await {
                return Err(Refusal::Stopping.into());
            }
        }
        let verdicts = judge.check(&reservations, &evidence);
        for reservation in verdicts.unexplained {
            report::unexplained(reservation);
        }
        if verdicts.gone.is_empty() {
            return Ok(());
        }
        let rows = verdicts.gone.iter().map(|reservation| reservation.id).collect();
        let released = self.writer.release(rows, Caller::default()).await?;
        self.released.inc_by(released.len() as u64);
        for reservation in &released {
            report::released(reservation, "the pod is gone and no DEL came for it");
        }
        Ok(())
    }
}

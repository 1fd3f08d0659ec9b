//! Whether this process may write.

use tokio::sync::watch;
use tokio::time::Instant;

/// How long this process may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// Another one leads, or it isn't known yet.
    Standby,
    /// Until then, unless it is prolonged.
    Until(Instant),
    /// There is no election.
    Forever,
}

/// Tells the term as it is at each moment.
#[derive(Clone, Debug)]
pub struct Leadership(watch::Receiver<Term>);

/// Sets the term. Once it is dropped, the term last set holds.
pub type Terms = watch::Sender<Term>;

impl Leadership {
    /// One whose term is set by the election.
    #[must_use]
    pub fn elected() -> (Terms, Self) {
        let (terms, term) = watch::channel(Term::Standby);
        (terms, Self(term))
    }

    /// One without election.
    #[must_use]
    pub fn forever() -> Self {
        Self(watch::channel(Term::Forever).1)
    }

    /// Whether a write may begin now.
    #[must_use]
    pub fn leads(&self) -> bool {
        match *self.0.borrow() {
            Term::Standby => false,
            Term::Until(end) => Instant::now() < end,
            Term::Forever => true,
        }
    }

    /// Waits until a write may begin.
    pub async fn gained(&mut self) {
        let gained = |term: &Term| match *term {
            Term::Standby => false,
            Term::Until(end) => Instant::now() < end,
            Term::Forever => true,
        };
        if self.0.wait_for(gained).await.is_err() {
            // The election is over, and with it the process.
            std::future::pending::<()>().await;
        }
    }
}

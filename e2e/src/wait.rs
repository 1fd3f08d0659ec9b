//! Waiting for a condition with a deadline, and saying at the deadline what was last seen.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// How long a condition may reasonably take when nothing is wrong, on a slow machine.
pub const USUAL: Duration = Duration::from_secs(60);

/// After the first look at a condition the next one follows soon, and each pause is twice as long as the one before, ...
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// ... up to this.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What a look at the condition found.
#[derive(Debug)]
pub enum Seen<T> {
    /// The condition holds.
    Done(T),
    /// It does not hold yet; the text says what is there instead and is printed if time runs out.
    NotYet(String),
}

/// The condition holds, with this result.
#[must_use]
pub fn done<T>(value: T) -> Seen<T> {
    Seen::Done(value)
}

/// The condition does not hold; `seen` describes what is there instead.
#[must_use]
pub fn not_yet<T>(seen: impl Into<String>) -> Seen<T> {
    Seen::NotYet(seen.into())
}

/// An error counts as "not yet", with its text as what was seen.
#[must_use]
pub fn from_result<T, E: std::fmt::Display>(result: Result<T, E>) -> Seen<T> {
    match result {
        Ok(value) => done(value),
        Err(error) => not_yet(format!("{error:#}")),
    }
}

/// Looks at a condition until it holds.
///
/// # Errors
/// At the deadline: what was waited for, for how long, and what the last look saw. A look that does not return is cut off
/// at the deadline too.
pub async fn until<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Seen<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut last = String::from("no look at it has returned");
    let mut pause = FIRST_PAUSE;
    loop {
        match tokio::time::timeout_at(deadline, look()).await {
            Ok(Seen::Done(value)) => return Ok(value),
            Ok(Seen::NotYet(seen)) => last = seen,
            Err(_) => {}
        }
        if Instant::now() + pause >= deadline {
            bail!(
                "waited {} s for {what}; last seen: {last}",
                limit.as_secs_f32().round()
            );
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_error_at_the_deadline_says_what_was_last_seen() {
        let mut looks = 0;
        let limit = Duration::from_millis(200);
        let error = until("the moon", limit, async || -> Seen<()> {
            looks += 1;
            not_yet(format!("cloud {looks}"))
        })
        .await
        .expect_err("it never holds");
        assert!(looks > 1);
        assert!(
            error.to_string().contains("for the moon; last seen: cloud"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_look_that_hangs_is_cut_off() {
        let limit = Duration::from_millis(100);
        let error = until("an answer", limit, async || -> Seen<()> {
            std::future::pending().await
        })
        .await
        .expect_err("it never returns");
        assert!(
            error.to_string().contains("no look at it has returned"),
            "{error}"
        );
    }
}

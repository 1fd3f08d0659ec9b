//! Random choices that can be made again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// A sequence of choices: SplitMix64.
#[derive(Debug)]
pub(crate) struct Dice(u64);

/// The seed of a test: `E2E_SEED`, or another one in each run.
pub(crate) fn seed() -> Result<u64> {
    if let Ok(given) = std::env::var("E2E_SEED") {
        return given.parse().context("E2E_SEED is not a number");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::from(now.subsec_nanos()))
}

impl Dice {
    /// The choices of one of several at work in a test.
    pub(crate) fn new(seed: u64, who: u64) -> Self {
        Self(seed ^ who.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `n` - 1.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    /// The index of an element of something with `length` elements.
    pub(crate) fn index(&mut self, length: usize) -> Result<usize> {
        Ok(usize::try_from(self.below(u64::try_from(length)?))?)
    }

    /// A time within these bounds.
    pub(crate) fn time(&mut self, from: Duration, to: Duration) -> Result<Duration> {
        let nanoseconds = u64::try_from(to.saturating_sub(from).as_nanos())?;
        Ok(from + Duration::from_nanos(self.below(nanoseconds + 1)))
    }
}

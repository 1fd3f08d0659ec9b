//! Bursts of calls, ours, the floor's and the peer's by turns.

use std::ops::AddAssign;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Contenders;
use crate::bench::container::Container;
use crate::bench::times::Times;
use crate::bench::usage;
use crate::service::Service;

/// How many calls are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// How many callers there are, each making one call after the other.
    pub(super) callers: usize,
    /// How often the contenders take turns.
    pub(super) rounds: usize,
    /// How many ADDs with their DELs each of our callers makes in a turn, and how many questions each of the floor's asks.
    pub(super) calls: usize,
    /// How many ADDs with their DELs the peer makes in a turn.
    pub(super) peer_calls: usize,
}

/// CPU time: of the programs that were spawned, and of the one that answers them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cpu {
    pub(super) asking: Duration,
    pub(super) answering: Duration,
}

impl Cpu {
    pub(super) fn total(self) -> Duration {
        self.asking + self.answering
    }

    fn so_far(server: &Service) -> Result<Self> {
        Ok(Self {
            asking: usage::own_cpu()?.children,
            answering: usage::cpu(server)?,
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            asking: self.asking.saturating_sub(before.asking),
            answering: self.answering.saturating_sub(before.answering),
        }
    }

    fn divided(self, by: usize) -> Self {
        let by = u32::try_from(by).unwrap_or(u32::MAX).max(1);
        Self {
            asking: self.asking / by,
            answering: self.answering / by,
        }
    }
}

impl AddAssign for Cpu {
    fn add_assign(&mut self, other: Self) {
        self.asking += other.asking;
        self.answering += other.answering;
    }
}

/// What ADDs and their DELs took.
#[derive(Debug)]
pub(super) struct Pairs {
    pub(super) add: Times,
    pub(super) del: Times,
}

impl Pairs {
    fn new(pairs: Vec<[Duration; 2]>) -> Self {
        let (add, del) = pairs.into_iter().map(|[add, del]| (add, del)).unzip();
        Self {
            add: Times::new(add),
            del: Times::new(del),
        }
    }
}

/// What was measured at one fill, with one number of callers.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) ours: Pairs,
    /// For each call, of which a pair has two.
    pub(super) cpu: Cpu,
    pub(super) floor: Times,
    /// For each question.
    pub(super) floor_cpu: Cpu,
    /// Without calls, if the plan has none.
    pub(super) peer: Pairs,
}

/// Carries out the plan. Blocks.
pub(super) fn carry_out(contenders: &Contenders<'_>, plan: Plan) -> Result<Outcome> {
    let Contenders {
        floor,
        plugin,
        daemon,
        peer,
    } = contenders;
    let (mut asked, mut pairs, mut peer_pairs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cpu, mut floor_cpu) = (Cpu::default(), Cpu::default());
    for _ in 0..plan.rounds {
        let before = Cpu::so_far(&floor.echo)?;
        asked.extend(burst(plan.callers, plan.calls, |_| floor.call())?);
        floor_cpu += Cpu::so_far(&floor.echo)?.since(before);

        let before = Cpu::so_far(daemon)?;
        pairs.extend(burst(plan.callers, plan.calls, |number| {
            let container = Container::new("measured", number);
            Ok([plugin.call("ADD", &container)?, plugin.call("DEL", &container)?])
        })?);
        cpu += Cpu::so_far(daemon)?.since(before);

        peer_pairs.extend(burst(1, plan.peer_calls, |number| {
            let container = Container::new("measured", number);
            Ok([
                peer.plugin.call("ADD", &container)?,
                peer.plugin.call("DEL", &container)?,
            ])
        })?);
    }
    Ok(Outcome {
        cpu: cpu.divided(2 * pairs.len()),
        floor_cpu: floor_cpu.divided(asked.len()),
        ours: Pairs::new(pairs),
        floor: Times::new(asked),
        peer: Pairs::new(peer_pairs),
    })
}

/// Makes `calls` calls by each of `callers` callers, all with numbers of their own.
fn burst<T: Send>(callers: usize, calls: usize, call: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let call = &call;
    thread::scope(|scope| {
        let running: Vec<_> = (0..callers)
            .map(|caller| {
                scope.spawn(move || {
                    let numbers = caller * calls..(caller + 1) * calls;
                    numbers.map(call).collect::<Result<Vec<T>>>()
                })
            })
            .collect();
        let mut all = Vec::new();
        for caller in running {
            let made = caller.join().ok().context("a caller panicked")?;
            all.extend(made?);
        }
        Ok(all)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_call_of_a_burst_has_a_number_of_its_own() {
        let made = burst(16, 5, Ok).unwrap();
        assert_eq!(made.len(), 80);
        assert_eq!(made.into_iter().collect::<BTreeSet<_>>(), (0..80).collect());
    }

    #[test]
    fn one_call_that_fails_fails_the_burst() {
        let made = burst(4, 5, |number| (number != 13).then_some(number).context("unlucky"));
        assert_eq!(made.unwrap_err().to_string(), "unlucky");
    }
}

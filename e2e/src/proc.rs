//! Which process is which: reading /proc without trusting a bare process id.
//!
//! Process ids are reused, so whatever is to be signalled later is remembered together with its start time and checked
//! again just before the signal.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::wait;

/// A process, named so that no later process with the same id is mistaken for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The id in the namespace of the test process.
    pub pid: i32,
    /// Clock ticks between boot and its start, field 22 of /proc/PID/stat.
    pub started: u64,
}

impl ProcessId {
    /// The process that has this id now, or `None` if there is none.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        Some(Self {
            pid,
            started: stat.started,
        })
    }

    /// The test process itself.
    pub fn own() -> Result<Self> {
        let pid = i32::try_from(std::process::id())?;
        Self::of(pid).context("/proc does not show this process; is it mounted?")
    }

    /// True while exactly this process exists and has not ended (a zombie has).
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.started == self.started && stat.state != 'Z')
    }

    /// Sends a signal, if this process still exists. One that is gone is success.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        let pid = Pid::from_raw(self.pid).with_context(|| format!("{} is not a process id", self.pid))?;
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => bail!(
                "could not send signal {} to process {}: {error}",
                signal.as_raw(),
                self.pid
            ),
        }
    }

    /// Waits until the process has ended.
    pub async fn wait_gone(&self, limit: Duration) -> Result<()> {
        wait::until(&format!("process {} to end", self.pid), limit, async || {
            if self.is_alive() {
                wait::not_yet("still running")
            } else {
                wait::done(())
            }
        })
        .await
    }

    /// The first child that is found, if there is one.
    #[must_use]
    pub fn child(&self) -> Option<Self> {
        let entries = fs::read_dir("/proc").ok()?;
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid: i32| Some((pid, Stat::read(pid)?)))
            .find(|(_, stat)| stat.parent == self.pid)
            .map(|(pid, stat)| Self {
                pid,
                started: stat.started,
            })
    }
}

struct Stat {
    state: char,
    parent: i32,
    started: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The command name stands in parentheses and may contain anything, parentheses too: the fields begin after the last one.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let text = "42 (a) b (c)) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 100 200";
        let stat = Stat::parse(text).expect("a well-formed line");
        assert_eq!((stat.state, stat.parent, stat.started), ('S', 7, 98765));
    }

    #[test]
    fn the_same_pid_with_another_start_time_is_another_process() {
        let own = ProcessId::own().expect("own process");
        assert!(own.is_alive());
        let impostor = ProcessId {
            started: own.started + 1,
            ..own
        };
        assert!(!impostor.is_alive());
    }
}

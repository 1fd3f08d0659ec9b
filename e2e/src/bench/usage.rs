//! What a process uses, as the kernel counts it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::param::clock_ticks_per_second;

use crate::service::Service;

/// The CPU time that a service has had so far, all its threads together, in steps of 10 ms.
///
/// (`schedstat` counts nanoseconds, but not every kernel has it.)
pub(super) fn cpu(service: &Service) -> Result<Duration> {
    let process = service.process().context("it is not running")?;
    Ok(Ticks::of(&process.pid.to_string())?.own)
}

/// The CPU time that this process has had itself, and the children that it waited for, in steps of 10 ms.
pub(super) fn own_cpu() -> Result<Ticks> {
    Ticks::of("self")
}

/// CPU time as /proc/PID/stat has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticks {
    /// Of the process: all threads, those that ended too.
    pub(super) own: Duration,
    /// Of its children that ended and were waited for, and theirs.
    pub(super) children: Duration,
}

impl Ticks {
    fn of(process: &str) -> Result<Self> {
        let path = format!("/proc/{process}/stat");
        let text = fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
        let [user, system, of_children @ ..] =
            proc_stat(&text).with_context(|| format!("no CPU times in {path}"))?;
        let time =
            |ticks: u64| Duration::from_secs(ticks) / u32::try_from(clock_ticks_per_second()).unwrap_or(100);
        Ok(Self {
            own: time(user + system),
            children: time(of_children.iter().sum()),
        })
    }
}

/// Fields 14 to 17: user and system time of a process, and of its children. The second field, the program's name in
/// parentheses, may contain anything.
fn proc_stat(text: &str) -> Option<[u64; 4]> {
    let fields = text.rsplit_once(')')?.1.split_whitespace();
    let times: Option<Vec<u64>> = fields.skip(11).take(4).map(|field| field.parse().ok()).collect();
    times?.try_into().ok()
}

/// The memory of a process, in KiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// What it has now: `VmRSS`.
    pub(super) resident: u64,
    /// The most that it ever had: `VmHWM`.
    pub(super) peak: u64,
}

impl Memory {
    pub(super) fn of(service: &Service) -> Result<Self> {
        let process = service.process().context("it is not running")?;
        let path = format!("/proc/{}/status", process.pid);
        let text = fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
        Self::parse(&text).with_context(|| format!("no VmRSS and VmHWM in {path}"))
    }

    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            value.trim().strip_suffix(" kB")?.parse().ok()
        };
        Some(Self {
            resident: field("VmRSS:")?,
            peak: field("VmHWM:")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_as_the_kernel_writes_them() {
        let status = "Name:\tx\nVmHWM:\t   5120 kB\nVmRSS:\t   4096 kB\nRssAnon:\t     100 kB\n";
        let memory = Memory::parse(status).unwrap();
        assert_eq!((memory.resident, memory.peak), (4096, 5120));
        let stat = "42 (a) b (c)) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 100 200";
        assert_eq!(proc_stat(stat), Some([5, 6, 7, 8]));
    }
}

//! What a process uses, as the kernel counts it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::service::Service;

/// The CPU time that the threads of a service have had so far, those that ended meanwhile left out.
pub(super) fn cpu(service: &Service) -> Result<Duration> {
    let process = service.process().context("it is not running")?;
    let folder = format!("/proc/{}/task", process.pid);
    let mut nanoseconds = 0;
    for task in fs::read_dir(&folder).with_context(|| format!("could not read {folder}"))? {
        // One that ends at this moment is one that ended.
        let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanoseconds += running_time(&text).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn running_time(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// Memory of a process that is not shared out to others, in KiB.
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
        assert_eq!(running_time("1234 56 7\n"), Some(1234));
    }
}

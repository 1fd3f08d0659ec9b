//! The table of figures.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use anyhow::Result;

use crate::metrics::Metrics;

/// How long something took, each time.
#[derive(Debug)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// Measures `count` times.
    pub(super) fn of(count: usize, mut measure: impl FnMut(usize) -> Result<Duration>) -> Result<Self> {
        let times = (0..count).map(&mut measure).collect::<Result<_>>()?;
        Ok(Self::new(times))
    }

    fn quantile(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let at = (self.0.len() * percent / 100).min(last);
        self.0.get(at).copied().unwrap_or_default()
    }
}

/// What the daemon says of its commits during a run.
#[derive(Debug)]
pub(super) struct Batches {
    commits: f64,
    requests: f64,
    /// Time in commits.
    seconds: f64,
    /// Of the largest batch: it is at most this.
    largest: u32,
}

impl Batches {
    /// From two looks at the daemon's metrics.
    pub(super) fn between(before: &Metrics, after: &Metrics) -> Self {
        let grown = |name: &str, labels: &[(&str, &str)]| after.sum(name, labels) - before.sum(name, labels);
        let bucket = |limit: u32| grown("nv_ipam_batch_size_bucket", &[("le", &limit.to_string())]);
        let commits = grown("nv_ipam_batch_size_count", &[]);
        let limits = (0..9).map(|power| 1_u32 << power);
        Self {
            commits,
            requests: grown("nv_ipam_batch_size_sum", &[]),
            seconds: grown("nv_ipam_commit_duration_seconds_sum", &[]),
            largest: limits
                .clone()
                .find(|limit| bucket(*limit) >= commits)
                .unwrap_or(256),
        }
    }
}

/// A run with several plugins at a time.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) plugins: usize,
    pub(super) took: Duration,
    pub(super) add: Times,
    pub(super) del: Times,
    pub(super) batches: Batches,
}

/// Everything that was measured.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) process: Times,
    pub(super) disk: Times,
    pub(super) add: Times,
    pub(super) check: Times,
    pub(super) del: Times,
    pub(super) loads: Vec<Load>,
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let process = self.process.quantile(50);
        let both = process + self.disk.quantile(50);
        writeln!(f, "floors                                      p50        p99")?;
        let floors = [
            ("the plugin's process: VERSION", &self.process),
            ("the disk: append 4 KiB, fdatasync", &self.disk),
        ];
        for (name, times) in floors {
            writeln!(f, "  {name:<34} {}", quantiles(times))?;
        }
        writeln!(
            f,
            "\none call at a time                          p50        p99   p50 in floors"
        )?;
        let calls = [
            ("ADD", &self.add, both, "process + disk"),
            ("DEL", &self.del, both, "process + disk"),
            ("CHECK", &self.check, process, "process"),
        ];
        for (name, times, floor, what) in calls {
            let ratio = times.quantile(50).div_duration_f64(floor);
            writeln!(f, "  {name:<34} {}   {ratio:.2} x ({what})", quantiles(times))?;
        }
        writeln!(
            f,
            "\nplugins at a time   calls/s   ADD p50    ADD p99    DEL p50    DEL p99   calls per commit   commit"
        )?;
        self.loads.iter().try_for_each(|load| writeln!(f, "{load}"))
    }
}

impl Display for Load {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Batches {
            commits,
            requests,
            seconds,
            largest,
        } = self.batches;
        let rate = requests / self.took.as_secs_f64();
        let (mean, commit) = (requests / commits.max(1.0), seconds / commits.max(1.0));
        let (add, del) = (quantiles(&self.add), quantiles(&self.del));
        write!(
            f,
            "{:>17}   {rate:>7.0}  {add} {del}   {mean:>5.1}, at most {largest:<3}   {:>6.2} ms",
            self.plugins,
            commit * 1e3
        )
    }
}

fn quantiles(times: &Times) -> String {
    let millis = |percent| times.quantile(percent).as_secs_f64() * 1e3;
    format!("{:>7.2} ms {:>7.2} ms", millis(50), millis(99))
}

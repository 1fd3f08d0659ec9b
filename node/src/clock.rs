//! The time of day, for people, and the clock that orders reservations and DELs.

use std::io;

use k8s_openapi::jiff::Timestamp;
use rpc::journal::Stamp;
use rustix::time::{ClockId, clock_gettime};

/// Where the writer takes the time from.
pub trait Clock: Send + 'static {
    /// This moment, see [`Stamp`].
    fn stamp(&self) -> Stamp;

    /// The boot that runs now.
    fn boot_id(&self) -> &str;

    /// The time of day in UTC, RFC 3339 with up to nine digits of a second: as Go writes `time.RFC3339Nano`.
    fn time_of_day(&self) -> String {
        Timestamp::now().to_string()
    }
}

/// The machine's clock.
#[derive(Clone, Debug)]
pub struct BootClock {
    boot_id: String,
}

impl BootClock {
    /// Reads which boot this is.
    pub fn new() -> io::Result<Self> {
        let boot_id = std::fs::read_to_string(Stamp::BOOT_ID)
            .map_err(|error| io::Error::new(error.kind(), format!("reading {}: {error}", Stamp::BOOT_ID)))?;
        Ok(Self {
            boot_id: boot_id.trim().to_owned(),
        })
    }
}

impl Clock for BootClock {
    fn stamp(&self) -> Stamp {
        let time = clock_gettime(ClockId::Boottime);
        Stamp::at(&self.boot_id, time.tv_sec, time.tv_nsec)
    }

    fn boot_id(&self) -> &str {
        &self.boot_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward_within_a_boot() {
        let clock = BootClock::new().unwrap();
        let (first, second) = (clock.stamp(), clock.stamp());
        assert!(!first.boot_id.is_empty() && !first.boot_id.contains('\n'));
        assert!(!first.is_after(&second.boot_id, second.boottime_ns, clock.boot_id()));
    }

    #[test]
    fn the_time_of_day_is_in_utc() {
        let text = BootClock::new().unwrap().time_of_day();
        assert!(text.ends_with('Z') && text.contains('T'), "{text}");
    }
}

//! The clock that orders reservations, DELs without an answer, and GCs.

use std::{fs, io};

use rpc::journal::Stamp;
use rustix::time::{ClockId, clock_gettime};

/// This moment. Fails if the kernel's boot ID can't be read.
pub fn now() -> io::Result<Stamp> {
    let boot_id = fs::read_to_string(Stamp::BOOT_ID)
        .map_err(|error| io::Error::new(error.kind(), format!("reading {}: {error}", Stamp::BOOT_ID)))?;
    let time = clock_gettime(ClockId::Boottime);
    Ok(Stamp::at(&boot_id, time.tv_sec, time.tv_nsec))
}

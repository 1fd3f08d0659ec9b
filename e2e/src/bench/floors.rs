//! What an answer that is on stable storage can't cost less than.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use super::report::Times;

/// What is appended: a page, as SQLite writes into its log for the least of changes.
const PAGE: [u8; 4096] = [0; 4096];

/// Appends to a file in `folder` and flushes, `count` times.
pub(super) fn flushes(folder: &Path, count: usize) -> Result<Times> {
    let path = folder.join("bench");
    let mut file = File::create(&path).with_context(|| format!("could not make {}", path.display()))?;
    let times = Times::of(count, |_| {
        let began = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        Ok(began.elapsed())
    });
    fs::remove_file(&path)?;
    times
}

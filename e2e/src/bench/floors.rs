//! What an answer that is on stable storage can't cost less than.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What is appended: a page, as SQLite writes into its log for the least of changes.
const PAGE: [u8; 4096] = [0; 4096];

/// A file that is appended to and flushed, and removed in the end.
#[derive(Debug)]
pub(super) struct Flushes {
    path: PathBuf,
    file: File,
}

impl Flushes {
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let path = folder.join("bench");
        let file = File::create(&path).with_context(|| format!("could not make {}", path.display()))?;
        Ok(Self { path, file })
    }

    /// Appends a page, flushes, and says how long that took.
    pub(super) fn flush(&mut self) -> Result<Duration> {
        let began = Instant::now();
        self.file.write_all(&PAGE)?;
        self.file.sync_data()?;
        Ok(began.elapsed())
    }
}

impl Drop for Flushes {
    fn drop(&mut self) {
        // It lies in the cluster's folder, which goes too.
        let _ = fs::remove_file(&self.path);
    }
}

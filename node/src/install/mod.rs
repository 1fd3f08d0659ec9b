//! Puts the shim and its configuration file where the container runtime and the shim look for them.
//!
//! Both are replaced atomically: a runtime that executes or reads them at any moment finds the old ones or the new
//! ones, whole. Neither is removed when the daemon stops; without them the node could not even tear down pods.

mod atomic;
mod binary;
mod conf;

use std::io;
use std::path::PathBuf;

pub use binary::BinaryInstall;
pub use conf::{ConfInstall, ShimConf};

/// Something that can't be installed.
#[derive(Debug, thiserror::Error)]
#[error("can't install {path}; {advice}")]
pub struct InstallError {
    path: PathBuf,
    advice: &'static str,
    source: io::Error,
}

/// What an installation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// The file is new, or has new content.
    Written,
    /// The file was as it should be.
    Unchanged,
}

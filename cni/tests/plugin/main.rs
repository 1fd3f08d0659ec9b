//! The built plugin, as a runtime starts it, against a real gRPC server. Needs no root.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod add;
mod bytes;
mod del;
mod failed;
mod gc;
mod hostile;
mod log;
mod status;
mod support;

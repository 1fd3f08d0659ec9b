//! The service over a real socket, on a real store: what a plugin sees. A file for each verb.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod add;
mod del;
mod gc;
mod status;
mod stop;
mod support;

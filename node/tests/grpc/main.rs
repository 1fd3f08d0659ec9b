//! The service over a real socket, on a real store: what a plugin sees. A file for each verb, and for what goes across them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod add;
mod del;
mod gc;
mod gone;
mod status;
mod stop;
mod support;
mod wishes;

//! The crate against files that lie elsewhere in the repository; and what in these needs no crate at all.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod compatibility;
mod links;
mod reference;

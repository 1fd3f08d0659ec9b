//! Entries of the journal of DELs.

#![no_main]

#[path = "../bodies/daemon.rs"]
mod daemon;

libfuzzer_sys::fuzz_target!(|input: &[u8]| daemon::journal_entry(input));

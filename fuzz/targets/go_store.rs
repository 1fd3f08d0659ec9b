//! Stores of the Go ipam-node.

#![no_main]

#[path = "../bodies/daemon.rs"]
mod daemon;

libfuzzer_sys::fuzz_target!(|input: &[u8]| daemon::go_store(input));

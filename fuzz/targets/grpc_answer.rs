//! What comes on the plugin's connection to the daemon.

#![no_main]

#[path = "../bodies/plugin.rs"]
mod plugin;

libfuzzer_sys::fuzz_target!(|input: &[u8]| plugin::grpc_answer(input));

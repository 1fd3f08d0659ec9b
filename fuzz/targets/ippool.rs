//! IPPools, as the API server has them.

#![no_main]

#[path = "../bodies/controller.rs"]
mod controller;

libfuzzer_sys::fuzz_target!(|input: &[u8]| controller::ippool(input));

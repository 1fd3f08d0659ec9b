//! Network configurations, as a runtime passes them to the plugin.

#![no_main]

#[path = "../bodies/plugin.rs"]
mod plugin;

libfuzzer_sys::fuzz_target!(|input: &[u8]| plugin::network_configuration(input));

//! The whole daemon in this process, against an API server in memory, through its socket.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod api_server_away;
mod both_kinds;
mod garbage;
mod go_store;
#[path = "../small_disk/mod.rs"]
mod small_disk;
mod stale_addresses;
mod start_and_stop;
mod static_addresses;
mod support;

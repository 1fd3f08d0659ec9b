//! The whole daemon in this process, against an API server in memory, through its socket.

mod api_server_away;
mod stale_addresses;
mod start_and_stop;
mod support;

//! The node daemon: hands out the addresses of this node's ranges, one per interface of a pod.
//!
//! * [`call`], [`reservation`], [`refusal`]: what is asked, what is held, and why something is refused.
//! * [`ledger`]: decisions, on what is held in memory. Pure.
//! * [`store`]: the same on stable storage, in SQLite.
//! * [`journal`]: DELs that got no answer, left in files by the plugin.
//! * [`writer`]: the one thread that changes ledger and store; everybody else holds a handle to it.
//! * [`service`]: gRPC on a unix socket.
//! * [`clock`], [`metrics`]: what the above share.

pub mod call;
pub mod clock;
pub mod metrics;
pub mod refusal;
pub mod reservation;
pub mod writer;

//! The node daemon: hands out the addresses of this node's ranges, one per interface of a pod.
//!
//! * [`call`], [`reservation`], [`refusal`]: what is asked, what is held, and why something is refused.
//! * [`ledger`]: decisions, on what is held in memory. Pure.
//! * [`store`]: the same on stable storage, in SQLite.
//! * [`garbage`]: what a CNI GC may release. Pure.
//! * [`journal`]: DELs that got no answer, left in files by the plugin.
//! * [`writer`]: the one thread that changes ledger and store; everybody else holds a handle to it.
//! * [`service`]: gRPC on a unix socket.
//! * [`clock`], [`metrics`]: what the above share.
//! * [`flags`], [`config`], [`bind_address`]: what the command line says.
//! * [`install`]: puts the plugin and its configuration file on the node.
//! * [`go_store`]: the store of the Go version. Pure.
//! * [`command`]: what `ipam-node store ...` does.
//! * [`daemon`]: how it starts, runs and stops; [`greeting`], [`health`]: whether it answers and could serve.
//! * [`watch`]: the API client; follows pools and pods.
//! * [`table`]: this node's pools, out of pool objects. Pure.
//! * [`cleaner`]: releases the addresses of pods that are gone without a DEL.

mod advice;
pub mod bind_address;
mod brief;
pub mod call;
pub mod cleaner;
pub mod clock;
pub mod command;
pub mod config;
pub mod daemon;
mod file_lock;
pub mod flags;
pub mod garbage;
pub mod go_store;
pub mod greeting;
pub mod health;
pub mod install;
pub mod journal;
pub mod ledger;
pub mod metrics;
pub mod refusal;
pub mod reservation;
pub mod service;
pub mod store;
pub mod table;
pub mod watch;
pub mod writer;

//! nv-ipam: the CNI IPAM plugin. It turns a call of a container runtime into one call of ipam-node.
//!
//! A runtime starts the plugin once for each interface and verb, so it is small and starts in a millisecond. What it
//! decides is in modules without IO: [`environment`], [`names`], [`spec`] and [`net_conf`] read a call, [`settings`] and
//! [`request`] make the request of it ([`garbage`] for a GC), [`answer`] and [`failure`] the result. [`load`], [`client`]
//! (which speaks [`grpc`]), [`clock`], [`journal`], [`netns`] and [`log`] touch the world; [`verbs`] puts them together.

pub mod answer;
pub mod client;
pub mod clock;
pub mod cni_args;
mod connection;
pub mod environment;
pub mod error;
pub mod failure;
pub mod garbage;
pub mod grpc;
pub mod journal;
pub mod json;
pub mod load;
pub mod log;
pub mod names;
pub mod net_conf;
pub mod netns;
pub mod plugin;
pub mod pools;
pub mod quoted;
pub mod request;
pub mod settings;
pub mod spec;
pub mod target;
pub mod verbs;
// The daemons' own, whose crate brings more than a plugin should carry.
#[path = "../../process/src/version.rs"]
pub mod version;

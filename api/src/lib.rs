//! The pools that users declare and the arithmetic behind them.
//!
//! Everything here is pure: types, rules and functions without IO, shared by the controller, which deals ranges, and the
//! node daemon, which hands out the addresses of its own.
//!
//! * [`ippool`], [`cidrpool`], [`common`]: the custom resources as they stand at the API server.
//! * [`interval`], [`range`], [`subnet`]: sets of addresses, independent of Kubernetes.
//! * [`layout`]: how an IPPool's subnet is cut into blocks, and a CIDRPool's network into prefixes.
//! * [`selector`]: which nodes a pool is for.
//! * [`ippool_config`], [`cidrpool_config`], [`validate`]: a spec, parsed, or what is wrong with it.
//! * [`cel`]: what of that the API server can say itself.
//! * [`warnings`]: what is legal and perhaps not meant.
//! * [`node_pool`]: what one node needs to know of a pool to hand out addresses.
//! * [`pool_key`]: how a pool is named in stores and messages.

pub mod cel;
pub mod cidrpool;
pub mod cidrpool_config;
pub mod common;
pub mod interval;
pub mod ippool;
pub mod ippool_config;
pub mod layout;
pub mod node_pool;
pub mod pool_key;
pub mod range;
pub mod selector;
mod spec_rules;
pub mod subnet;
pub mod validate;
pub mod warnings;

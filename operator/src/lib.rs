//! ipam-controller: deals each node a range of each pool.
//!
//! Decisions, pure:
//! * [`pool`]: what is planned for a pool of any kind; [`ippool`]: the plan for an IPPool; `misfit`: which of its entries no
//!   longer fit, and why.
//! * [`nodes`]: what a node is to a pool; [`findings`] and [`conditions`]: how a plan is told in conditions and events.
//! * [`cache`] and [`objects`]: what the watches have told; [`pace`]: how often a pool is planned.
//! * [`election::machine`]: what a candidate for the lease does next.
//! * [`webhook::review`]: whether a pool may be stored.
//!
//! The shell around them: [`run`] puts together [`watch`], [`worker`] with its [`tools`], [`status`], [`events`], [`election`] and [`metrics`];
//! beside it, [`webhook`] answers the API server.

pub mod cache;
pub mod call;
pub mod conditions;
pub mod election;
pub mod events;
pub mod findings;
pub mod flags;
pub mod ippool;
pub mod leadership;
pub mod metrics;
mod misfit;
pub mod nodes;
pub mod objects;
pub mod pace;
pub mod pool;
pub mod run;
pub mod status;
pub mod tools;
pub mod watch;
pub mod webhook;
pub mod worker;

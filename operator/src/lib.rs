//! ipam-controller: deals each node a range of each pool.
//!
//! Decisions, pure:
//! * [`pool`]: what is asked of a kind of pool, answered in [`ippool`] and [`cidrpool`]; `deal`: the plan for a pool of any
//!   kind; `members`: who it is for and who holds ranges of it; `misfit`: which of its entries no longer fit, and why.
//! * [`nodes`]: what a node is to a pool; [`findings`] and [`conditions`]: how a plan is told in conditions and events.
//! * [`cache`] and [`objects`]: what the watches have told; [`pace`]: how often a pool is planned.
//! * [`election::machine`]: what a candidate for the lease does next.
//! * [`webhook::review`]: whether a pool may be stored.
//!
//! The shell around them: [`run`] puts together [`watch`], a [`worker`] for each kind with its [`tools`], [`status`], [`events`], [`election`] and [`metrics`];
//! beside it, [`webhook`] answers the API server.

pub mod cache;
pub mod call;
pub mod cidrpool;
pub mod conditions;
mod deal;
pub mod election;
pub mod events;
pub mod findings;
pub mod flags;
pub mod ippool;
pub mod leadership;
mod members;
pub mod metrics;
mod misfit;
pub mod nodes;
pub mod objects;
pub mod pace;
pub mod pool;
pub mod run;
mod served;
pub mod status;
pub mod tools;
pub mod watch;
pub mod webhook;
pub mod worker;

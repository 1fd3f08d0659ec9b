//! What nv-ipam (the CNI plugin) and ipam-node (the daemon) say to each other: the gRPC interface of `node.proto`, and
//! the journal in which the plugin leaves a DEL for a daemon that does not answer. And what both say to people in the same
//! words.
//!
//! Nothing here does IO.

pub mod code;
pub mod journal;

/// Messages, client and server of the package `nvidia.ipam.node.v1`, generated from `node.proto`.
///
/// The features `client` and `server` choose what is generated besides the messages.
pub mod v1 {
    #![allow(missing_docs, unreachable_pub, clippy::pedantic)]
    include!(concat!(env!("OUT_DIR"), "/nvidia.ipam.node.v1.rs"));
}

//! Why a request is not served.

use std::net::IpAddr;

use api::pool_key::PoolKey;
use api::range::Range;
use tonic::{Code, Status};

use crate::store::Displaced;

/// Why a request is not served. The texts up to [`Refusal::NoReservation`] are those of the Go daemon, which people and
/// scripts know (contract B.3, B.4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request itself is at fault.
    #[error("{0}")]
    Invalid(String),
    /// The API server's pools, completely known, give this node no range of that pool.
    #[error("configuration for {} not found", named(.0))]
    UnknownPool(PoolKey),
    /// The container's interface holds an address of the pool already.
    #[error("allocation already exist in the {}", named(.0))]
    AlreadyAllocated(PoolKey),
    /// Every address of this node's range is reserved or excluded.
    #[error("no free addresses in the {}", named(.0))]
    NoFreeAddress(PoolKey),
    /// The address that was asked for is reserved.
    #[error("requested IP is already reserved in the {}", named(.0))]
    Taken(PoolKey),
    /// The gateway's address was asked for, and the pool has none.
    #[error("pool without gateway can't be used with allocate_default_gateway feature,{}", named(.0))]
    NoGateway(PoolKey),
    /// The index that was asked for is the gateway's.
    #[error("requested IP index \"{0}\" is the actual gateway, use allocate_default_gateway feature instead")]
    IndexIsGateway(i32),
    /// The index that was asked for is beyond this node's range.
    #[error("requested IP index \"{0}\" is outside of the given chunk")]
    IndexOutside(i32),
    /// A static address lies in no pool that the request names.
    #[error(
        "not all requested static IPs can be allocated from the ranges available on the node, ip {0} has no matching Pool"
    )]
    Unmatched(IpAddr),
    /// There is nothing to confirm: the container's interface holds no address of the pool.
    #[error("reservation for {} not found", named(.0))]
    NoReservation(PoolKey),
    /// A static address is another node's to hand out.
    #[error(
        "requested IP {ip} can't be allocated from {}: it is in the range of node {node}; ask for an address of this node's \
         range {range}, or exclude {ip} by the pool's spec.exclusions so that no node hands it out by itself, once no pod on \
         {node} holds it (`ipam-node store list` there)", named(.pool)
    )]
    OfOtherNode {
        /// The address.
        ip: IpAddr,
        /// The pool whose subnet it is in.
        pool: PoolKey,
        /// The node.
        node: Box<str>,
        /// What this node has of the pool.
        range: Range,
    },
    /// A static address is not this node's, and may be that of a node whose entry in the pool's status can't be read.
    #[error(
        "requested IP {ip} is outside of this node's range {range} of {}, and may be in the range of node {node}, whose entry \
         in the pool's status.allocations can't be read; correct that entry", named(.pool)
    )]
    PerhapsOfOtherNode {
        /// The address.
        ip: IpAddr,
        /// The pool whose subnet it is in.
        pool: PoolKey,
        /// The node.
        node: Box<str>,
        /// What this node has of the pool.
        range: Range,
    },
    /// A static address is not this node's, and whether it is another node's isn't known since the daemon's start.
    #[error(
        "requested IP {ip} is outside of this node's range {range} of {}, and which ranges other nodes have is not known yet: \
         the pool could not be read from the API server since the start of ipam-node", named(.pool)
    )]
    OutsideRange {
        /// The address.
        ip: IpAddr,
        /// The pool whose subnet it is in.
        pool: PoolKey,
        /// What this node has of the pool.
        range: Range,
    },
    /// This daemon has never heard of any pools from the API server.
    #[error(
        "pools are not known yet: they could not be read from the API server since this node's store was created"
    )]
    NoTable,
    /// The pool is not among those known from before the daemon's start, and the API server has not said since then which
    /// pools of its kind there are.
    #[error(
        "{} is not known yet: pools of this type could not be read from the API server since the start of ipam-node",
        named(.0)
    )]
    NotSynced(PoolKey),
    /// The caller is gone; nobody reads this.
    #[error("request has been canceled")]
    Canceled,
    /// The caller's deadline passed before the request was applied; it was not applied.
    #[error("deadline of the request passed while it waited, nothing was done")]
    DeadlinePassed,
    /// Too many requests wait already.
    #[error("ipam-node has too many requests waiting, try again")]
    Overloaded,
    /// The daemon ends, or its writer has ended.
    #[error("ipam-node is stopping")]
    Stopping,
    /// The disk has no room; releasing still works.
    #[error(
        "the store is out of disk space, so no address is handed out; make room on the file system of {store}: {cause}"
    )]
    StoreFull {
        /// Path of the store.
        store: String,
        /// What SQLite or the system said.
        cause: String,
    },
    /// Another program has the store locked, so nothing was begun.
    #[error(
        "another program (sqlite3?) has the store {store} locked, so nothing was done; let it finish or end it: {cause}"
    )]
    StoreLocked {
        /// Path of the store.
        store: String,
        /// What SQLite said.
        cause: String,
    },
    /// The store's path leads to another file now, so nothing was begun; the daemon ends.
    #[error(transparent)]
    StoreDisplaced(#[from] Displaced),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(String),
}

fn named(key: &PoolKey) -> String {
    format!("pool \"{}\", poolType \"{}\"", key.name(), key.kind())
}

impl Refusal {
    /// The gRPC code that the Go daemon answers in the same case.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid(_)
            | Self::NoGateway(_)
            | Self::IndexIsGateway(_)
            | Self::IndexOutside(_)
            | Self::Unmatched(_)
            | Self::OfOtherNode { .. } => Code::InvalidArgument,
            Self::UnknownPool(_) | Self::NoReservation(_) => Code::NotFound,
            Self::AlreadyAllocated(_) => Code::AlreadyExists,
            Self::NoFreeAddress(_) | Self::Taken(_) => Code::ResourceExhausted,
            Self::NoTable
            | Self::NotSynced(_)
            | Self::PerhapsOfOtherNode { .. }
            | Self::OutsideRange { .. }
            | Self::Overloaded
            | Self::Stopping
            | Self::StoreLocked { .. }
            | Self::StoreDisplaced(_) => Code::Unavailable,
            Self::Canceled => Code::Cancelled,
            Self::DeadlinePassed => Code::DeadlineExceeded,
            Self::StoreFull { .. } | Self::Store(_) => Code::Internal,
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        Status::new(refusal.code(), refusal.to_string())
    }
}

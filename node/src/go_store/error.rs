//! Why a file is no store of the Go ipam-node.

use std::net::IpAddr;

/// Why a file is no store of the Go ipam-node. Said of the file: "the store X ...".
#[derive(Debug, thiserror::Error)]
pub enum GoStoreError {
    /// Not JSON, not all of it, or not of this shape.
    #[error("is damaged or cut off ({0})")]
    Json(#[from] serde_json::Error),
    /// A later Go version wrote it.
    #[error("has format {0}, and this ipam-node knows format 1")]
    Version(i64),
    /// The Go daemon takes 0 for none.
    #[error("has no checksum")]
    NoChecksum,
    /// It isn't as it was written.
    #[error("doesn't match its checksum: {stated} is written in it, but what stands there makes {computed}")]
    Checksum {
        /// What stands in the file.
        stated: u32,
        /// What should stand there.
        computed: u32,
    },
    /// A pool stands under another name than its own.
    #[error("has a pool {name:?} under the name {key:?}")]
    Pool {
        /// Where it stands.
        key: String,
        /// What it says it is.
        name: String,
    },
    /// The address that a pool remembers is none.
    #[error("says of pool {pool:?} that {address:?} was reserved last, which is no address")]
    LastReserved {
        /// Key of the pool.
        pool: String,
        /// What stands there.
        address: String,
    },
    /// An entry that can't be.
    #[error("has an entry {entry:?} in pool {pool:?} that {problem}")]
    Entry {
        /// Key of the pool.
        pool: String,
        /// Name of the entry.
        entry: String,
        /// What is wrong with it.
        problem: EntryProblem,
    },
}

/// Why an entry can't stand in a pool. Said of the entry: "an entry that ...".
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    /// Nobody holds it.
    #[error("names no container")]
    NoContainer,
    /// Nothing holds it.
    #[error("names no interface")]
    NoInterface,
    /// What it is called is not made of what it says.
    #[error("is of container {container:?} and interface {interface:?}, and would be called otherwise")]
    OtherName {
        /// The container it says.
        container: String,
        /// The interface it says.
        interface: String,
    },
    /// Another entry is called so.
    #[error("stands there twice")]
    SameName,
    /// What should be the address is none.
    #[error("holds {0:?}, which is no address")]
    NoAddress(String),
    /// Another entry has the address.
    #[error("holds {address}, which entry {other:?} holds too")]
    SameAddress {
        /// The address.
        address: IpAddr,
        /// Name of the other entry.
        other: String,
    },
}

//! How a pool is named in stores and messages.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The kind of a pool object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PoolKind {
    /// An IPPool, whose ranges are blocks of one subnet.
    IpPool,
    /// A CIDRPool, whose ranges are prefixes.
    CidrPool,
}

impl PoolKind {
    /// As the CNI configuration and error messages spell it: `ippool` or `cidrpool`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IpPool => "ippool",
            Self::CidrPool => "cidrpool",
        }
    }
}

impl fmt::Display for PoolKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const CIDR_POOL_PREFIX: &str = "cidrpool/";

/// A pool's name and kind in one text, contract B.9: an IPPool's name alone, `cidrpool/<name>` for a CIDRPool. No name
/// of an object holds a slash, so the two never meet. Clones share the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PoolKey(Arc<str>);

impl PoolKey {
    /// The key of the pool `name`.
    #[must_use]
    pub fn new(kind: PoolKind, name: &str) -> Self {
        Self(match kind {
            PoolKind::IpPool => name.into(),
            PoolKind::CidrPool => format!("{CIDR_POOL_PREFIX}{name}").into(),
        })
    }

    /// The key that a store holds as `text`.
    #[must_use]
    pub fn from_text(text: String) -> Self {
        Self(text.into())
    }

    /// The text that stands in stores.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The kind of the pool.
    #[must_use]
    pub fn kind(&self) -> PoolKind {
        if self.0.starts_with(CIDR_POOL_PREFIX) {
            PoolKind::CidrPool
        } else {
            PoolKind::IpPool
        }
    }

    /// The name of the pool object.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.strip_prefix(CIDR_POOL_PREFIX).unwrap_or(&self.0)
    }
}

impl fmt::Display for PoolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_kind_and_name() {
        for (kind, text) in [(PoolKind::IpPool, "rail"), (PoolKind::CidrPool, "cidrpool/rail")] {
            let key = PoolKey::new(kind, "rail");
            assert_eq!((key.as_str(), key.kind(), key.name()), (text, kind, "rail"));
        }
    }
}

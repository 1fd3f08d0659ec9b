//! How well the API server's pools are known.

use api::pool_key::PoolKind;

/// What is known of the pools of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Knowledge {
    /// They have never been read.
    #[default]
    Nothing,
    /// The store kept them from an earlier run: what it lacks may exist.
    Persisted,
    /// A cache that knows all of them: what it lacks doesn't exist.
    Synced,
}

/// What is known of the pools, by kind.
///
/// The kinds are apart, because an API server can have one without the other: the Go version had no CIDRPool at first, and
/// neither its CRD nor its ClusterRole says anything of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    ippools: Knowledge,
    cidrpools: Knowledge,
}

impl Known {
    /// The same of both kinds.
    #[must_use]
    pub fn both(knowledge: Knowledge) -> Self {
        Self {
            ippools: knowledge,
            cidrpools: knowledge,
        }
    }

    /// What is known of one kind.
    #[must_use]
    pub fn of(&self, kind: PoolKind) -> Knowledge {
        match kind {
            PoolKind::IpPool => self.ippools,
            PoolKind::CidrPool => self.cidrpools,
        }
    }

    /// Whether a pool of this kind that isn't known doesn't exist.
    #[must_use]
    pub fn is_whole(&self, kind: PoolKind) -> bool {
        self.of(kind) == Knowledge::Synced
    }

    /// From now on a cache knows all pools of this kind.
    pub fn synced(&mut self, kind: PoolKind) {
        match kind {
            PoolKind::IpPool => self.ippools = Knowledge::Synced,
            PoolKind::CidrPool => self.cidrpools = Knowledge::Synced,
        }
    }

    /// Whether pools of any kind have ever been read.
    #[must_use]
    pub fn is_anything(&self) -> bool {
        *self != Self::both(Knowledge::Nothing)
    }
}

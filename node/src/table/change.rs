//! What a new table changes, for a reader of the log.

use std::fmt;

use api::node_pool::NodePool;
use api::pool_key::{PoolKey, PoolKind};

/// One thing that a new table changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The pool is new on this node, or handed out differently than before.
    Set(Box<NodePool>),
    /// This node has no range of the pool any more.
    Gone(PoolKey),
    /// The pool's object can't be followed.
    Trouble {
        /// The pool.
        key: PoolKey,
        /// Why not.
        reason: String,
        /// Whether it is handed out as before. If not, it isn't handed out.
        kept: bool,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(pool) => set(f, pool),
            Self::Gone(key) => write!(
                f,
                "pool {key}: this node has no range any more and hands out nothing of it"
            ),
            Self::Trouble {
                key,
                reason,
                kept: true,
            } => {
                write!(
                    f,
                    "pool {key}: {reason}; going on as before, until the pool is corrected"
                )
            }
            Self::Trouble {
                key,
                reason,
                kept: false,
            } => {
                write!(
                    f,
                    "pool {key}: {reason}; nothing is handed out of it until the pool is corrected"
                )
            }
        }
    }
}

fn set(f: &mut fmt::Formatter<'_>, pool: &NodePool) -> fmt::Result {
    write!(f, "pool {}: this node hands out ", pool.key)?;
    match pool.key.kind() {
        PoolKind::IpPool => write!(f, "{} of {}", pool.range, pool.subnet)?,
        PoolKind::CidrPool => write!(f, "its prefix {}", pool.subnet)?,
    }
    list(f, ", without ", &pool.exclusions)?;
    if let Some(gateway) = pool.gateway {
        write!(f, ", gateway {gateway}")?;
        if pool.default_gateway {
            f.write_str(", default route")?;
        }
        list(f, ", routes to ", &pool.routes)?;
    }
    Ok(())
}

fn list(f: &mut fmt::Formatter<'_>, what: &str, items: &[impl fmt::Display]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if i == 0 { what } else { ", " })?;
    }
    Ok(())
}

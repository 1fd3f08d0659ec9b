//! Writing the status of a pool as the controller has to, without having planned anything.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use tokio::time::Instant;

use super::POOL;
use super::pool_watch::PoolWatch;
use crate::bed::Bed;

/// A condition that is nobody's, so that a write changes something.
const CONDITION: &str = "Measured";

/// Writes the pool's status as it stands, but for a condition of our own, and returns how long that took: from the request
/// until watchers have it. (Reading it is not counted: the controller has it in memory.)
pub(super) async fn write(bed: &Bed, watch: &mut PoolWatch) -> Result<Duration> {
    let pools = bed.pools();
    let mut pool = pools.get(POOL).await?;
    let before = watch.seen();
    let status = pool.status.as_mut().context("a pool without status")?;
    status.conditions.retain(|condition| condition.type_ != CONDITION);
    status.conditions.push(Condition {
        type_: CONDITION.to_owned(),
        status: "True".to_owned(),
        reason: "Measured".to_owned(),
        message: format!("after {} events", before.events),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
        observed_generation: None,
    });
    let began = Instant::now();
    pools.replace_status(POOL, &PostParams::default(), &pool).await?;
    let seen = watch.wait(|seen| seen.events > before.events).await?;
    Ok(seen.at - began)
}

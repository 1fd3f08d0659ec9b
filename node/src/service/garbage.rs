//! CNI GC: of what the runtime doesn't list, releases what has no pod.

use std::sync::Arc;

use rpc::v1::CollectGarbageRequest;
use tonic::Status;

use super::Service;
use crate::cleaner::{judge, report};
use crate::garbage::GarbageCall;
use crate::reservation::Reservation;
use crate::writer::Caller;

/// Carries out the GC in `request`, and returns what it released. While pods can't be asked for it releases nothing, and is
/// to be tried again.
pub(super) async fn collect(
    service: &Service,
    request: CollectGarbageRequest,
    caller: Caller,
) -> Result<Vec<Arc<Reservation>>, Status> {
    let covered = service.writer.garbage(GarbageCall::parse(request)?).await?;
    if covered.is_empty() {
        return Ok(covered);
    }
    let evidence = service.pods.gather(&covered).await.map_err(|error| {
        Status::unavailable(format!(
            "{} address(es) are held by attachments that the runtime doesn't list, and stay reserved, as it isn't known \
             whether their pods are gone: {error}",
            covered.len()
        ))
    })?;
    let rows = judge::without_pod(&covered, &evidence);
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let released = service.writer.release(rows, caller).await?;
    service.metrics.garbage_releases.inc_by(released.len() as u64);
    for reservation in &released {
        report::released(
            reservation,
            "the runtime doesn't list this attachment of its network, and the pod is gone",
        );
    }
    Ok(released)
}

//! The webhook as HTTP: a path for each kind of pool, an AdmissionReview in, an AdmissionReview out.

use std::sync::Arc;
use std::time::Duration;

use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::conditions::{beginning, bounded};

use super::metrics::Metrics;
use super::review::{Context, review};
use super::reviewed::Reviewed;

/// The API server takes objects of 3 MiB; a request holds two, and who makes it.
const MAX_BODY: usize = 8 << 20;

/// So many requests are read and answered at a time: few come, and each may be large.
const REQUESTS: usize = 16;

/// So long a client may take to send what it wants judged: others wait for it.
pub(super) const BODY: Duration = Duration::from_secs(2);

/// So long a name in Kubernetes can be.
const NAME: usize = 253;

const JSON: &str = "application/json";

#[derive(Debug)]
struct Shared {
    context: Context,
    metrics: Metrics,
    turns: Semaphore,
}

pub(super) fn router(context: Context, metrics: Metrics) -> Router {
    Router::new()
        .route(&path::<IPPool>(), post(answer::<IPPool>))
        .route(&path::<CIDRPool>(), post(answer::<CIDRPool>))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Arc::new(Shared {
            context,
            metrics,
            turns: Semaphore::new(REQUESTS),
        }))
}

/// Contract B.11.
fn path<K: Reviewed>() -> String {
    format!("/validate-nv-ipam-nvidia-com-v1alpha1-{}", K::KIND)
}

async fn answer<K: Reviewed>(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    // It fails only if the semaphore was closed, which nobody does.
    let _turn = shared.turns.acquire().await;
    let headers = request.headers().clone();
    let response = match timeout(BODY, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => judged::<K>(&shared.context, &headers, &body),
        // Too large, or cut off.
        Ok(Err(rejection)) => rejection.into_response(),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the body didn't come in time\n").into_response(),
    };
    shared.metrics.answered(&path::<K>(), response.status().as_u16());
    response
}

fn judged<K: Reviewed>(context: &Context, headers: &HeaderMap, body: &[u8]) -> Response {
    if !is_json(headers) {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("expected {JSON}\n")).into_response();
    }
    let request = match read(body) {
        Ok(request) => request,
        Err(reason) => return (StatusCode::BAD_REQUEST, format!("{reason}\n")).into_response(),
    };
    let response = review::<K>(&request, context);
    log::<K>(&request, &response);
    match serde_json::to_vec(&response.into_review()) {
        Ok(json) => ([(CONTENT_TYPE, JSON)], json).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(JSON))
}

fn read(body: &[u8]) -> Result<AdmissionRequest<DynamicObject>, String> {
    let review: AdmissionReview<DynamicObject> =
        serde_json::from_slice(body).map_err(|error| format!("no AdmissionReview: {error}"))?;
    let version = kube::core::admission::META_API_VERSION_V1;
    if review.types.api_version != version {
        return Err(format!(
            "an AdmissionReview of {}, and not of {version}",
            review.types.api_version
        ));
    }
    review
        .try_into()
        .map_err(|_| "an AdmissionReview without a request".to_owned())
}

fn log<K: Reviewed>(request: &AdmissionRequest<DynamicObject>, response: &AdmissionResponse) {
    let operation = match request.operation {
        Operation::Create => "create",
        Operation::Update => "update",
        Operation::Delete => "delete",
        Operation::Connect => "connect",
    };
    // Anybody who reaches the port can send anything: it must not get out of its line, nor fill the log.
    let name = beginning(&request.name, NAME);
    let namespace = beginning(request.namespace.as_deref().unwrap_or_default(), NAME);
    let user = beginning(request.user_info.username.as_deref().unwrap_or_default(), NAME);
    if response.allowed {
        let warnings = response.warnings.as_ref().map_or(0, Vec::len);
        tracing::debug!(kind = %K::KIND, namespace, name, operation, user, warnings, "the webhook lets a pool pass");
    } else {
        let message = bounded(response.result.message.clone()).replace(char::is_control, " ");
        tracing::info!(
            kind = %K::KIND, namespace, name, operation, user,
            "the webhook refuses a pool: {message}"
        );
    }
}

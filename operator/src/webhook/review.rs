//! The judgement on one request: may this pool be stored?
//!
//! What was stored before a rule existed must stay manageable. So only a spec that is new is judged: an edit of labels,
//! annotations or finalizers passes whatever the spec is, and so does everything that happens to an object on its way out.

use api::validate::{Fault, FieldError, FieldErrors};
use kube::ResourceExt;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, Operation};
use kube::core::response::{StatusCause, StatusDetails, reason};
use kube::core::{DynamicObject, Status};

use super::other_pools::OtherPools;
use super::reviewed::Reviewed;

/// What a judgement depends on besides the request.
#[derive(Clone, Debug)]
pub struct Context {
    /// Namespace that pools are read from.
    pub pools_namespace: String,
    /// The other pools.
    pub other_pools: OtherPools,
}

/// The answer to `request`, which came to the path for pools of kind `K`. Total.
#[must_use]
pub fn review<K: Reviewed>(
    request: &AdmissionRequest<DynamicObject>,
    context: &Context,
) -> AdmissionResponse {
    let mut response = AdmissionResponse::from(request);
    let (group, kind) = (K::group(&()), K::kind(&()));
    if (request.kind.group.as_str(), request.kind.kind.as_str()) != (&*group, &*kind) {
        let message = format!(
            "this path judges {kind}.{group}, and not {:?} of {:?}; see the paths in the webhook configuration",
            request.kind.kind, request.kind.group
        );
        return refused(response, bad_request(&message));
    }
    let Some(object) = to_judge(request) else {
        return response;
    };
    let pool: K = match serde_json::to_value(object).and_then(serde_json::from_value) {
        Ok(pool) => pool,
        Err(error) => {
            let message = format!("{kind} {:?} can't be read: {error}", object.name_any());
            return refused(response, bad_request(&message));
        }
    };
    match pool.rules() {
        Err(errors) => refused(response, invalid(&group, &kind, &pool.name_any(), &errors)),
        Ok(rules) => {
            // Where there are many, clients may show the first only.
            let mut warnings = Vec::from_iter(misplaced(&pool, context));
            warnings.extend(pool.warnings(&rules));
            response.warnings = (!warnings.is_empty()).then_some(warnings);
            response
        }
    }
}

/// What is suspicious about where `pool` is: in a namespace that nobody reads, or in the way of other pools.
fn misplaced<K: Reviewed>(pool: &K, context: &Context) -> Option<String> {
    let namespace = &context.pools_namespace;
    if pool.namespace().is_some_and(|own| own != *namespace) {
        return Some(format!(
            "metadata.namespace: pools are read from {namespace} only, and this one is ignored"
        ));
    }
    let name = pool.name_any();
    context
        .other_pools
        .warning(K::KIND, &name, K::NETWORK_FIELD, &pool.network()?)
}

/// The object whose spec is new, if there is one.
fn to_judge(request: &AdmissionRequest<DynamicObject>) -> Option<&DynamicObject> {
    let object = request.object.as_ref()?;
    let judged = match request.operation {
        Operation::Create => true,
        Operation::Update => {
            let spec = |object: &DynamicObject| object.data.get("spec").cloned();
            request
                .old_object
                .as_ref()
                .is_none_or(|old| spec(old) != spec(object))
        }
        Operation::Delete | Operation::Connect => false,
    };
    let part = request.sub_resource.as_deref().unwrap_or_default();
    (judged && part.is_empty() && object.metadata.deletion_timestamp.is_none()).then_some(object)
}

fn refused(mut response: AdmissionResponse, status: Status) -> AdmissionResponse {
    response.allowed = false;
    response.result = status;
    response
}

/// What the API server itself says of an object that breaks the rules of its kind, so that clients show it the same way.
fn invalid(group: &str, kind: &str, name: &str, errors: &FieldErrors) -> Status {
    let causes = errors.0.iter().map(cause).collect();
    let details = StatusDetails {
        name: name.to_owned(),
        group: group.to_owned(),
        kind: kind.to_owned(),
        uid: String::new(),
        causes,
        retry_after_seconds: 0,
    };
    Status::failure(
        &format!("{kind}.{group} {name:?} is invalid: {errors}"),
        reason::INVALID,
    )
    .with_code(422)
    .with_details(details)
}

fn cause(error: &FieldError) -> StatusCause {
    let reason = match &error.fault {
        Fault::Invalid(..) | Fault::More(_) => "FieldValueInvalid",
        Fault::Required(_) => "FieldValueRequired",
        Fault::Forbidden(_) => "FieldValueForbidden",
    };
    StatusCause {
        reason: reason.to_owned(),
        message: error.fault.to_string(),
        field: error.field.clone(),
    }
}

fn bad_request(message: &str) -> Status {
    Status::failure(message, reason::BAD_REQUEST).with_code(400)
}

#[cfg(test)]
mod tests;

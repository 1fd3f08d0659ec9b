use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use api::pool_key::PoolKind;
use kube::core::admission::AdmissionReview;
use serde_json::{Value, json};

use super::*;

fn context() -> Context {
    Context {
        pools_namespace: "kube-system".to_owned(),
        other_pools: OtherPools::new(),
    }
}

fn object(kind: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": kind,
        "metadata": {"name": "pool1", "namespace": "kube-system"},
        "spec": spec,
    })
}

fn ippool(spec: &Value) -> Value {
    object("IPPool", spec)
}

fn valid() -> Value {
    ippool(&json!({"subnet": "10.0.0.0/16", "perNodeBlockSize": 8}))
}

fn invalid_spec() -> Value {
    json!({"subnet": "ten", "perNodeBlockSize": 0})
}

/// `object` as it is, with one field set.
fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[field] = value;
    object
}

fn request(operation: &str, object: &Value, old: &Value) -> Value {
    let kind = [object, old].map(|object| object["kind"].as_str());
    let kind = kind.into_iter().flatten().next().unwrap();
    json!({
        "uid": "7", "operation": operation, "userInfo": {}, "name": "pool1", "namespace": "kube-system",
        "kind": {"group": "nv-ipam.nvidia.com", "version": "v1alpha1", "kind": kind},
        "resource": {"group": "nv-ipam.nvidia.com", "version": "v1alpha1", "resource": "ignored"},
        "object": object, "oldObject": old,
    })
}

fn answer_in<K: Reviewed>(request: &Value, context: &Context) -> Value {
    let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
    let review: AdmissionReview<DynamicObject> = serde_json::from_value(body).unwrap();
    let answer = review_of::<K>(review, context);
    serde_json::to_value(answer).unwrap()
}

fn review_of<K: Reviewed>(
    body: AdmissionReview<DynamicObject>,
    context: &Context,
) -> AdmissionReview<DynamicObject> {
    let request: AdmissionRequest<DynamicObject> = body.try_into().unwrap();
    review::<K>(&request, context).into_review()
}

fn answer(request: &Value) -> Value {
    answer_in::<IPPool>(request, &context())["response"].clone()
}

fn allowed(request: &Value) -> bool {
    answer(request)["allowed"].as_bool().unwrap()
}

#[test]
fn a_valid_pool_passes_and_the_answer_names_the_request() {
    let answer = answer_in::<IPPool>(&request("CREATE", &valid(), &Value::Null), &context());
    assert_eq!(
        answer,
        json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": {"uid": "7", "allowed": true, "status": {}},
        })
    );
}

#[test]
fn an_invalid_pool_is_refused_as_the_api_server_refuses_with_every_rule_it_breaks() {
    let answer = answer(&request("CREATE", &ippool(&invalid_spec()), &Value::Null));
    assert_eq!(
        answer,
        json!({"uid": "7", "allowed": false, "status": {
            "status": "Failure", "code": 422, "reason": "Invalid",
            "message": "IPPool.nv-ipam.nvidia.com \"pool1\" is invalid: [spec.subnet: Invalid value: \"ten\": is invalid subnet, spec.perNodeBlockSize: Invalid value: 0: must be at least 1]",
            "details": {"name": "pool1", "group": "nv-ipam.nvidia.com", "kind": "IPPool", "causes": [
                {"reason": "FieldValueInvalid", "field": "spec.subnet", "message": "Invalid value: \"ten\": is invalid subnet"},
                {"reason": "FieldValueInvalid", "field": "spec.perNodeBlockSize", "message": "Invalid value: 0: must be at least 1"},
            ]},
        }})
    );
}

#[test]
fn the_kinds_of_faults_are_those_of_the_api_server() {
    let selector = json!({"nodeSelectorTerms": [{"matchExpressions": [
        {"key": "a", "operator": "In"}, {"key": "a", "operator": "Exists", "values": ["b"]}]}]});
    let pool = with(valid(), "/spec/nodeSelector", selector);
    let answer = answer(&request("CREATE", &pool, &Value::Null));
    let reasons = [
        "/status/details/causes/0/reason",
        "/status/details/causes/1/reason",
    ];
    assert_eq!(
        reasons.map(|reason| answer.pointer(reason).unwrap()),
        ["FieldValueRequired", "FieldValueForbidden"]
    );
}

#[test]
fn an_edit_to_an_invalid_spec_is_refused() {
    assert!(!allowed(&request("UPDATE", &ippool(&invalid_spec()), &valid())));
    assert!(allowed(&request("UPDATE", &valid(), &ippool(&invalid_spec()))));
}

#[test]
fn what_was_stored_before_the_rules_stays_manageable() {
    let stored = ippool(&invalid_spec());
    let labelled = with(stored.clone(), "/metadata/labels", json!({"a": "b"}));
    assert!(
        allowed(&request("UPDATE", &labelled, &stored)),
        "an edit beside the spec"
    );

    let still_invalid = with(stored.clone(), "/spec/perNodeBlockSize", json!(8));
    assert!(
        !allowed(&request("UPDATE", &still_invalid, &stored)),
        "an edit of the spec"
    );
    let leaving = with(
        still_invalid.clone(),
        "/metadata/deletionTimestamp",
        json!("2026-11-24T12:00:00Z"),
    );
    assert!(allowed(&request("UPDATE", &leaving, &stored)), "on its way out");

    let mut status = request("UPDATE", &still_invalid, &stored);
    status["subResource"] = json!("status");
    assert!(allowed(&status), "its status");
    assert!(allowed(&request("DELETE", &Value::Null, &stored)), "its end");
}

#[test]
fn an_edit_beside_the_spec_repeats_no_warning() {
    let suspicious = with(valid(), "/spec/subnet", json!("10.0.0.7/16"));
    let warned = answer(&request("UPDATE", &suspicious, &valid()));
    assert_eq!(
        warned["warnings"],
        json!(["spec.subnet: 10.0.0.7/16 has host bits set and is read as 10.0.0.0/16"])
    );
    let labelled = with(suspicious.clone(), "/metadata/labels", json!({"a": "b"}));
    assert!(
        answer(&request("UPDATE", &labelled, &suspicious))
            .get("warnings")
            .is_none()
    );
}

#[test]
fn what_cannot_be_read_is_refused_and_why() {
    let unreadable = with(valid(), "/spec/perNodeBlockSize", json!("many"));
    let answer = answer(&request("CREATE", &unreadable, &Value::Null));
    assert_eq!(
        (&answer["allowed"], &answer["status"]["code"]),
        (&json!(false), &json!(400))
    );
    let message = answer["status"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("IPPool \"pool1\" can't be read: ") && message.contains("\"many\""),
        "{message}"
    );
}

#[test]
fn a_kind_that_another_path_is_for_is_refused() {
    let pool = object(
        "CIDRPool",
        &json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 24}),
    );
    let request = request("CREATE", &pool, &Value::Null);
    let answer = answer(&request);
    assert_eq!(answer["allowed"], false);
    let message = answer["status"]["message"].as_str().unwrap();
    assert!(
        message.contains("judges IPPool.nv-ipam.nvidia.com, and not \"CIDRPool\" of "),
        "{message}"
    );
    assert_eq!(
        answer_in::<CIDRPool>(&request, &context())["response"]["allowed"],
        true
    );
}

#[test]
fn a_cidrpool_is_judged_by_its_own_rules() {
    let pool = object(
        "CIDRPool",
        &json!({"cidr": "10.0.0.1/16", "perNodeNetworkPrefix": 24}),
    );
    let answer = answer_in::<CIDRPool>(&request("CREATE", &pool, &Value::Null), &context());
    assert_eq!(
        answer["response"]["status"]["message"],
        "CIDRPool.nv-ipam.nvidia.com \"pool1\" is invalid: spec.cidr: Invalid value: \"10.0.0.1/16\": network prefix has host bits set"
    );
}

#[test]
fn whoever_makes_a_pool_is_told_what_it_overlaps_and_that_nobody_reads_it() {
    let context = context();
    let net = "10.0.3.0/24".parse().unwrap();
    context.other_pools.set(PoolKind::CidrPool, "rail", Some(net));
    let suspicious = with(valid(), "/spec/subnet", json!("10.0.0.7/16"));
    let overlapping = answer_in::<IPPool>(&request("CREATE", &suspicious, &Value::Null), &context);
    assert_eq!(
        overlapping["response"]["warnings"],
        json!([
            "spec.subnet: 10.0.0.0/16 overlaps cidrpool/rail (10.0.3.0/24): where their networks meet, two pods can have one address",
            "spec.subnet: 10.0.0.7/16 has host bits set and is read as 10.0.0.0/16",
        ])
    );
    let elsewhere = with(valid(), "/metadata/namespace", json!("default"));
    let ignored = answer_in::<IPPool>(&request("CREATE", &elsewhere, &Value::Null), &context);
    assert_eq!(
        ignored["response"]["warnings"],
        json!(["metadata.namespace: pools are read from kube-system only, and this one is ignored"])
    );
}

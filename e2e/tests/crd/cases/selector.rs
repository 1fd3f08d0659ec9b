//! Node selectors, contract B.12.I.8; those of CIDRPools have the same rules. The parsers, as the Go version,
//! say `spec.nodeSelectorTerms`; the API server says where it really is.

use serde_json::{Value, json};

use super::ApiServer::{Same, Says};
use super::{ApiServer, Case, cidrpool, ippool};

pub(super) fn cases() -> Vec<Case> {
    [valid(), expressions(), fields()].concat()
}

fn terms(terms: &Value) -> Value {
    json!({ "nodeSelector": { "nodeSelectorTerms": terms } })
}

/// One requirement on labels.
fn expression(
    name: &'static str,
    requirement: &Value,
    parser: &'static [&'static str],
    says: &'static [&'static str],
) -> Case {
    let fields = terms(&json!([{ "matchExpressions": [requirement] }]));
    ippool(name, fields, parser, Says(says))
}

/// One requirement on fields.
fn field(
    name: &'static str,
    requirement: &Value,
    parser: &'static [&'static str],
    says: &'static [&'static str],
) -> Case {
    let fields = terms(&json!([{ "matchFields": [requirement] }]));
    ippool(name, fields, parser, Says(says))
}

fn valid() -> Vec<Case> {
    let all = json!([
        { "matchExpressions": [
            { "key": "kubernetes.io/role", "operator": "In", "values": ["worker", "storage"] },
            { "key": "a_B.c-9", "operator": "NotIn", "values": [""] },
            { "key": "a", "operator": "Exists" },
            { "key": "node-role.kubernetes.io/control-plane", "operator": "DoesNotExist", "values": [] },
            { "key": "n", "operator": "Gt", "values": ["3"] },
            { "key": "n", "operator": "Lt", "values": ["30"] },
        ] },
        { "matchFields": [
            { "key": "metadata.name", "operator": "In", "values": ["host-a.example"] },
            { "key": "metadata.name", "operator": "NotIn", "values": ["host-b"] },
        ] },
        {},
    ]);
    let none: ApiServer = Same;
    vec![
        ippool("ip-selector-of-every-kind", terms(&all), &[], none),
        cidrpool("cidr-selector-of-every-kind", terms(&all), &[], none),
    ]
}

fn expressions() -> Vec<Case> {
    vec![
        ippool(
            "ip-selector-no-term",
            terms(&json!([])),
            &["spec.nodeSelectorTerms: Required value: must have at least one node selector term"],
            Says(&[
                "spec.nodeSelector.nodeSelectorTerms: Required value: must have at least one node selector term",
            ]),
        ),
        cidrpool(
            "cidr-selector-no-term",
            terms(&json!([])),
            &["spec.nodeSelectorTerms: Required value: must have at least one node selector term"],
            Says(&[
                "spec.nodeSelector.nodeSelectorTerms: Required value: must have at least one node selector term",
            ]),
        ),
        expression(
            "ip-selector-in-nothing",
            &json!({ "key": "a", "operator": "In" }),
            &[
                "spec.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            ],
            &[
                "spec.nodeSelector.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is \
                 'In' or 'NotIn'",
            ],
        ),
        expression(
            "ip-selector-exists-something",
            &json!({ "key": "a", "operator": "Exists", "values": ["b"] }),
            &[
                "spec.nodeSelectorTerms[0].matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or \
                 'DoesNotExist'",
            ],
            &[
                "spec.nodeSelector.nodeSelectorTerms[0].matchExpressions[0].values: Forbidden: may not be specified when `operator` is \
                 'Exists' or 'DoesNotExist'",
            ],
        ),
        expression(
            "ip-selector-greater-than-two",
            &json!({ "key": "a", "operator": "Gt", "values": ["1", "2"] }),
            &[
                "spec.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified single value when `operator` is \
                 'Lt' or 'Gt'",
            ],
            &[
                "spec.nodeSelector.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified single value when \
                 `operator` is 'Lt' or 'Gt'",
            ],
        ),
        expression(
            "ip-selector-operator",
            &json!({ "key": "a", "operator": "Near", "values": ["b"] }),
            &[
                r#"spec.nodeSelectorTerms[0].matchExpressions[0].operator: Invalid value: "Near": not a valid selector operator"#,
            ],
            &[
                "spec.nodeSelector.nodeSelectorTerms[0].matchExpressions[0].operator: Invalid value: not a valid selector operator",
            ],
        ),
        expression(
            "ip-selector-key",
            &json!({ "key": "-a", "operator": "Exists" }),
            &[
                r#"spec.nodeSelectorTerms[0].matchExpressions[0].key: Invalid value: "-a": must be a label name: an optional DNS prefix and '/', then at most 63 alphanumeric characters, '-', '_' or '.', alphanumeric at both ends"#,
            ],
            &[
                r#"spec.nodeSelector.nodeSelectorTerms[0].matchExpressions[0].key: Invalid value: "-a": spec.nodeSelector.nodeSelectorTerms[0].matchExpressions[0].key in body should match '^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'"#,
            ],
        ),
    ]
}

fn fields() -> Vec<Case> {
    vec![
        field(
            "ip-selector-field-key",
            &json!({ "key": "metadata.uid", "operator": "In", "values": ["a"] }),
            &[
                r#"spec.nodeSelectorTerms[0].matchFields[0].key: Invalid value: "metadata.uid": not a valid field selector key"#,
            ],
            &[
                "spec.nodeSelector.nodeSelectorTerms[0].matchFields[0].key: Invalid value: not a valid field selector key",
            ],
        ),
        field(
            "ip-selector-field-operator",
            &json!({ "key": "metadata.name", "operator": "Exists" }),
            &[
                r#"spec.nodeSelectorTerms[0].matchFields[0].operator: Invalid value: "Exists": not a valid selector operator"#,
            ],
            &[
                "spec.nodeSelector.nodeSelectorTerms[0].matchFields[0].operator: Invalid value: not a valid selector operator",
            ],
        ),
        field(
            "ip-selector-field-two-names",
            &json!({ "key": "metadata.name", "operator": "In", "values": ["a", "b"] }),
            &[
                "spec.nodeSelectorTerms[0].matchFields[0].values: Required value: must be only one value when `operator` is 'In' or \
                 'NotIn' for node field selector",
            ],
            &[
                "spec.nodeSelector.nodeSelectorTerms[0].matchFields[0].values: Required value: must be only one value when `operator` is \
                 'In' or 'NotIn' for node field selector",
            ],
        ),
        field(
            "ip-selector-field-name",
            &json!({ "key": "metadata.name", "operator": "In", "values": ["A"] }),
            &[
                r#"spec.nodeSelectorTerms[0].matchFields[0].values[0]: Invalid value: "A": must be a node name (lower-case RFC 1123 subdomain)"#,
            ],
            &[
                r#"spec.nodeSelector.nodeSelectorTerms[0].matchFields[0].values[0]: Invalid value: "A": spec.nodeSelector.nodeSelectorTerms[0].matchFields[0].values[0] in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'"#,
            ],
        ),
    ]
}

//! Rules of a node selector, contract B.12.I.8. The API server says them of `spec.nodeSelector`, where the
//! parsers, as the Go version, leave that word out.

use super::{Limit, NODE_NAME, Place, Reason, Rule};

const EXPRESSION: Place = "spec.nodeSelector.nodeSelectorTerms[].matchExpressions[]";
const FIELD: Place = "spec.nodeSelector.nodeSelectorTerms[].matchFields[]";

/// What plain OpenAPI can say at no cost; as CEL rules these would cost more than there is.
pub(super) const LIMITS: [(Place, Limit); 4] = [
    // A DNS subdomain, a slash, 63 characters.
    (
        "spec.nodeSelector.nodeSelectorTerms[].matchExpressions[].key",
        Limit::MaxLength(317),
    ),
    (
        "spec.nodeSelector.nodeSelectorTerms[].matchExpressions[].key",
        Limit::Pattern(
            r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        ),
    ),
    (
        "spec.nodeSelector.nodeSelectorTerms[].matchFields[].values[]",
        NODE_NAME,
    ),
    (
        "spec.nodeSelector.nodeSelectorTerms[].matchFields[].values[]",
        Limit::Pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
    ),
];

pub(super) fn rules() -> Vec<(Place, Rule)> {
    vec![
        (
            "spec.nodeSelector.nodeSelectorTerms",
            Rule::new("self.size() > 0", "must have at least one node selector term").because(Reason::Required),
        ),
        (
            EXPRESSION,
            Rule::new(
                "self.operator in ['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt']",
                "not a valid selector operator",
            )
            .at(".operator"),
        ),
        (
            EXPRESSION,
            Rule::new(
                "!(self.operator in ['In', 'NotIn']) || (has(self.values) && self.values.size() > 0)",
                "must be specified when `operator` is 'In' or 'NotIn'",
            )
            .at(".values")
            .because(Reason::Required),
        ),
        (
            EXPRESSION,
            Rule::new(
                "!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || self.values.size() == 0",
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )
            .at(".values")
            .because(Reason::Forbidden),
        ),
        (
            EXPRESSION,
            Rule::new(
                "!(self.operator in ['Gt', 'Lt']) || (has(self.values) && self.values.size() == 1)",
                "must be specified single value when `operator` is 'Lt' or 'Gt'",
            )
            .at(".values")
            .because(Reason::Required),
        ),
        (
            FIELD,
            Rule::new("self.operator in ['In', 'NotIn']", "not a valid selector operator").at(".operator"),
        ),
        (
            FIELD,
            Rule::new(
                "!(self.operator in ['In', 'NotIn']) || (has(self.values) && self.values.size() == 1)",
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
            )
            .at(".values")
            .because(Reason::Required),
        ),
        (
            FIELD,
            Rule::new("self.key == 'metadata.name'", "not a valid field selector key").at(".key"),
        ),
    ]
}

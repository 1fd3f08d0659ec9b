//! Which nodes a pool is for: the semantics of a Kubernetes `NodeSelector`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm};

/// All that a selector can see of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeLabels {
    /// Name of the node.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A selector that can't be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node selector requirement on {key:?}: {reason}")]
pub struct SelectorError {
    key: String,
    reason: String,
}

/// Whether `selector` matches `node`. No selector matches every node; terms are ORed; a term without requirements
/// matches no node. A term that can't be evaluated is an error only if no other term matches.
pub fn matches(selector: Option<&NodeSelector>, node: &NodeLabels) -> Result<bool, SelectorError> {
    let Some(selector) = selector else { return Ok(true) };
    let mut error = None;
    for term in &selector.node_selector_terms {
        match term_matches(term, node) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(e) => error = error.or(Some(e)),
        }
    }
    error.map_or(Ok(false), Err)
}

fn term_matches(term: &NodeSelectorTerm, node: &NodeLabels) -> Result<bool, SelectorError> {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let mut all = !expressions.is_empty() || !fields.is_empty();
    // Every requirement is looked at, so that a broken one shows whether or not the others match.
    for requirement in expressions {
        all &= label_matches(requirement, node.labels.get(&requirement.key).map(String::as_str))?;
    }
    for requirement in fields {
        all &= field_matches(requirement, &node.name)?;
    }
    Ok(all)
}

fn error(requirement: &NodeSelectorRequirement, reason: impl Into<String>) -> SelectorError {
    SelectorError {
        key: requirement.key.clone(),
        reason: reason.into(),
    }
}

fn label_matches(requirement: &NodeSelectorRequirement, label: Option<&str>) -> Result<bool, SelectorError> {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = || label.is_some_and(|label| values.iter().any(|v| v == label));
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => Err(error(requirement, "values are missing")),
        "In" => Ok(listed()),
        "NotIn" => Ok(!listed()),
        "Exists" | "DoesNotExist" if !values.is_empty() => Err(error(requirement, "values must be empty")),
        "Exists" => Ok(label.is_some()),
        "DoesNotExist" => Ok(label.is_none()),
        operator @ ("Gt" | "Lt") => {
            let [bound] = values else {
                return Err(error(requirement, "exactly one value is needed"));
            };
            let bound: i64 = bound
                .parse()
                .map_err(|_| error(requirement, format!("{bound:?} is not an integer")))?;
            // A label that is no number is neither greater nor smaller.
            let label: Option<i64> = label.and_then(|l| l.parse().ok());
            Ok(label.is_some_and(|l| if operator == "Gt" { l > bound } else { l < bound }))
        }
        operator => Err(error(requirement, format!("unknown operator {operator:?}"))),
    }
}

fn field_matches(requirement: &NodeSelectorRequirement, name: &str) -> Result<bool, SelectorError> {
    if requirement.key != "metadata.name" {
        return Err(error(requirement, "only the field metadata.name can be selected"));
    }
    let [value] = requirement.values.as_deref().unwrap_or_default() else {
        return Err(error(requirement, "exactly one value is needed"));
    };
    match requirement.operator.as_str() {
        "In" => Ok(value == name),
        "NotIn" => Ok(value != name),
        operator => Err(error(
            requirement,
            format!("operator {operator:?} can't be used on a field"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(labels: &[(&str, &str)]) -> NodeLabels {
        NodeLabels {
            name: "host-a".to_owned(),
            labels: labels
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        }
    }

    fn requirement(key: &str, operator: &str, values: &[&str]) -> NodeSelectorRequirement {
        NodeSelectorRequirement {
            key: key.to_owned(),
            operator: operator.to_owned(),
            values: (!values.is_empty()).then(|| values.iter().map(|v| (*v).to_owned()).collect()),
        }
    }

    fn expressions(requirements: &[NodeSelectorRequirement]) -> NodeSelectorTerm {
        NodeSelectorTerm {
            match_expressions: Some(requirements.to_vec()),
            match_fields: None,
        }
    }

    fn fields(requirements: &[NodeSelectorRequirement]) -> NodeSelectorTerm {
        NodeSelectorTerm {
            match_expressions: None,
            match_fields: Some(requirements.to_vec()),
        }
    }

    fn selected(terms: &[NodeSelectorTerm], labels: &[(&str, &str)]) -> Result<bool, SelectorError> {
        matches(
            Some(&NodeSelector {
                node_selector_terms: terms.to_vec(),
            }),
            &node(labels),
        )
    }

    #[test]
    fn no_selector_matches_all_and_an_empty_one_none() {
        assert_eq!(matches(None, &node(&[])), Ok(true));
        assert_eq!(selected(&[], &[]), Ok(false));
        assert_eq!(selected(&[NodeSelectorTerm::default()], &[("a", "b")]), Ok(false));
    }

    #[test]
    fn every_operator_means_what_kubernetes_means() {
        let cases = [
            ("In", &["a", "b"][..], Some("b"), true),
            ("In", &["a"], Some("b"), false),
            ("In", &["a"], None, false),
            ("NotIn", &["a"], Some("b"), true),
            ("NotIn", &["a"], Some("a"), false),
            ("NotIn", &["a"], None, true),
            ("Exists", &[], Some(""), true),
            ("Exists", &[], None, false),
            ("DoesNotExist", &[], None, true),
            ("DoesNotExist", &[], Some("x"), false),
            ("Gt", &["5"], Some("6"), true),
            ("Gt", &["5"], Some("5"), false),
            ("Gt", &["5"], Some("many"), false),
            ("Gt", &["5"], None, false),
            ("Lt", &["5"], Some("-1"), true),
            ("Lt", &["5"], Some("5"), false),
        ];
        for (operator, values, label, expected) in cases {
            let labels: Vec<_> = label.map(|l| ("k", l)).into_iter().collect();
            let term = expressions(&[requirement("k", operator, values)]);
            assert_eq!(
                selected(&[term], &labels),
                Ok(expected),
                "{operator} {values:?} on {label:?}"
            );
        }
    }

    #[test]
    fn terms_are_ored_and_requirements_anded() {
        let both = expressions(&[requirement("a", "Exists", &[]), requirement("b", "Exists", &[])]);
        let other = expressions(&[requirement("c", "Exists", &[])]);
        assert_eq!(selected(&[both.clone(), other.clone()], &[("a", "")]), Ok(false));
        assert_eq!(
            selected(&[both.clone(), other.clone()], &[("a", ""), ("b", "")]),
            Ok(true)
        );
        assert_eq!(selected(&[both, other], &[("c", "")]), Ok(true));
    }

    /// Contract B.8.1.
    #[test]
    fn without_a_selector_every_node_is_selected_and_without_requirements_none() {
        assert_eq!(matches(None, &node(&[])), Ok(true));
        assert_eq!(selected(&[expressions(&[])], &[]), Ok(false));
    }

    #[test]
    fn labels_and_name_must_both_match() {
        let term = |name: &str| NodeSelectorTerm {
            match_fields: Some(vec![requirement("metadata.name", "In", &[name])]),
            ..expressions(&[requirement("a", "Exists", &[])])
        };
        assert_eq!(selected(&[term("host-a")], &[("a", "")]), Ok(true));
        assert_eq!(selected(&[term("host-b")], &[("a", "")]), Ok(false));
        assert_eq!(selected(&[term("host-a")], &[]), Ok(false));
    }

    #[test]
    fn a_node_can_be_named() {
        assert_eq!(
            selected(&[fields(&[requirement("metadata.name", "In", &["host-a"])])], &[]),
            Ok(true)
        );
        assert_eq!(
            selected(
                &[fields(&[requirement("metadata.name", "NotIn", &["host-a"])])],
                &[]
            ),
            Ok(false)
        );
        assert!(selected(&[fields(&[requirement("metadata.uid", "In", &["x"])])], &[]).is_err());
        assert!(selected(&[fields(&[requirement("metadata.name", "In", &["x", "y"])])], &[]).is_err());
    }

    #[test]
    fn a_broken_term_is_an_error_only_if_no_other_matches() {
        let broken = expressions(&[requirement("k", "Gt", &["many"])]);
        let good = expressions(&[requirement("k", "Exists", &[])]);
        assert!(selected(&[broken.clone(), good.clone()], &[]).is_err());
        assert_eq!(selected(&[broken, good], &[("k", "1")]), Ok(true));
        assert!(selected(&[expressions(&[requirement("k", "Near", &["1"])])], &[]).is_err());
        assert!(selected(&[expressions(&[requirement("k", "In", &[])])], &[]).is_err());
        assert!(selected(&[expressions(&[requirement("k", "Exists", &["v"])])], &[]).is_err());
    }
}

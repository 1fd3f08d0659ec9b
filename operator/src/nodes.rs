//! The nodes of the cluster as a selector sees them, and which pools a change of one concerns.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::selector::{self, NodeLabels, SelectorError};
use k8s_openapi::api::core::v1::NodeSelector;

/// Every node of the cluster by name, in the order in which ranges are dealt. Those who look after different kinds of pools
/// share what is known of each.
pub type Nodes = BTreeMap<String, Arc<NodeLabels>>;

/// What a node is to a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is no such node.
    Gone,
    /// The pool's selector doesn't match it.
    NotSelected,
    /// The pool is for it.
    Selected,
    /// The selector can't be evaluated on it. It is dealt no range, and keeps what it has.
    Unknown(SelectorError),
}

/// What `node` is to a pool with this selector.
#[must_use]
pub fn standing(selector: Option<&NodeSelector>, node: Option<&NodeLabels>) -> Standing {
    let Some(node) = node else {
        return Standing::Gone;
    };
    match selector::matches(selector, node) {
        Ok(true) => Standing::Selected,
        Ok(false) => Standing::NotSelected,
        Err(error) => Standing::Unknown(error),
    }
}

/// Whether a node that was `before` and is `after` now changes what is planned for a pool with this selector. `holds` says
/// whether the node has an entry in the pool's status; it is asked only if that matters.
pub fn wakes(
    selector: Option<&NodeSelector>,
    before: Option<&NodeLabels>,
    after: Option<&NodeLabels>,
    holds: impl FnOnce() -> bool,
) -> bool {
    let (before, after) = (standing(selector, before), standing(selector, after));
    // A node that the pool isn't for and that holds nothing of it may come and go unnoticed.
    before != after && (before == Standing::Selected || after == Standing::Selected || holds())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(role: &str) -> NodeLabels {
        NodeLabels {
            name: "host-a".to_owned(),
            labels: [("role".to_owned(), role.to_owned())].into(),
        }
    }

    fn workers() -> NodeSelector {
        serde_json::from_value(json!({"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "role", "operator": "In", "values": ["worker"]}]}]}))
        .unwrap()
    }

    #[test]
    fn a_node_wakes_only_pools_whose_members_it_changes() {
        let (worker, other) = (node("worker"), node("other"));
        let mut renamed = worker.clone();
        renamed.labels.insert("zone".to_owned(), "a".to_owned());
        let cases = [
            (None, Some(&worker), true),
            (Some(&worker), None, true),
            (Some(&other), Some(&worker), true),
            (Some(&worker), Some(&other), true),
            (Some(&worker), Some(&renamed), false),
            (None, Some(&other), false),
            (Some(&other), None, false),
        ];
        for (before, after, expected) in cases {
            assert_eq!(
                wakes(Some(&workers()), before, after, || false),
                expected,
                "{before:?} to {after:?}"
            );
        }
    }

    #[test]
    fn a_node_that_holds_a_range_is_noticed_when_it_goes() {
        let other = node("other");
        assert!(wakes(Some(&workers()), Some(&other), None, || true));
        assert!(!wakes(Some(&workers()), Some(&other), Some(&other), || true));
    }
}

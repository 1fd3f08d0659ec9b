//! Who a pool is for, and who holds ranges of it: nodes and entries side by side.

use api::selector::SelectorError;
use k8s_openapi::api::core::v1::NodeSelector;

use crate::nodes::{Nodes, Standing, standing};
use crate::pool::Entry;

/// What one look at all nodes and all entries tells.
#[derive(Debug, PartialEq)]
pub(crate) struct Members<'a> {
    /// Selected nodes without an entry, in name order.
    pub(crate) needy: Vec<&'a str>,
    /// What the node of each entry is, in the order of the entries.
    pub(crate) holders: Vec<Holder>,
    /// Nodes on which the selector can't be evaluated: how many, and why on the first.
    pub(crate) unjudged: Option<(usize, String, SelectorError)>,
}

/// What the node of an entry is to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// There is no such node.
    Gone,
    /// The selector doesn't match it.
    NotSelected,
    /// It is to have a range, or the selector can't say.
    Member,
    /// An entry before this one is of the same node, and counts instead.
    Second,
}

impl<'a> Members<'a> {
    /// `entries` must be sorted by node, as `nodes` are: so each of both is looked at once.
    pub(crate) fn of(entries: &[impl Entry], selector: Option<&NodeSelector>, nodes: &'a Nodes) -> Self {
        let mut members = Self {
            needy: Vec::new(),
            holders: Vec::with_capacity(entries.len()),
            unjudged: None,
        };
        let mut rest = entries.iter().map(Entry::node).peekable();
        for (name, node) in nodes {
            while let Some(gone) = rest.next_if(|&holder| holder < name.as_str()) {
                members.hold(Holder::Gone, gone, &mut rest);
            }
            let holds = rest.next_if(|&holder| holder == name);
            let holder = match standing(selector, Some(node)) {
                Standing::Selected => {
                    if holds.is_none() {
                        members.needy.push(name);
                    }
                    Holder::Member
                }
                Standing::Unknown(error) => {
                    members.unjudged.get_or_insert_with(|| (0, name.clone(), error)).0 += 1;
                    Holder::Member
                }
                Standing::NotSelected => Holder::NotSelected,
                Standing::Gone => Holder::Gone,
            };
            if let Some(node) = holds {
                members.hold(holder, node, &mut rest);
            }
        }
        while let Some(gone) = rest.next() {
            members.hold(Holder::Gone, gone, &mut rest);
        }
        members
    }

    /// The entry of `node` that was just taken off `rest`, and all others of that node, which follow it.
    fn hold<'e>(
        &mut self,
        holder: Holder,
        node: &str,
        rest: &mut std::iter::Peekable<impl Iterator<Item = &'e str>>,
    ) {
        self.holders.push(holder);
        while rest.next_if(|&next| next == node).is_some() {
            self.holders.push(Holder::Second);
        }
    }
}

#[cfg(test)]
mod tests {
    use api::ippool::Allocation;
    use api::selector::NodeLabels;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn entry(node: &str) -> Allocation {
        Allocation {
            node_name: node.to_owned(),
            start_ip: String::new(),
            end_ip: String::new(),
        }
    }

    /// `size` is a number for some and none for others, and the selector wants one above 5.
    fn node(name: &str, size: &str) -> (String, std::sync::Arc<NodeLabels>) {
        let labels = NodeLabels {
            name: name.to_owned(),
            labels: [("size".to_owned(), size.to_owned())].into(),
        };
        (name.to_owned(), labels.into())
    }

    proptest! {
        #[test]
        fn every_node_and_every_entry_is_judged_as_if_it_were_looked_up(
            mut holders in prop::collection::vec("[ab]{1,2}", 0..8),
            nodes in prop::collection::btree_map("[ab]{1,2}", "[0-9]", 0..8),
            broken in any::<bool>(),
        ) {
            holders.sort();
            let entries: Vec<Allocation> = holders.iter().map(|name| entry(name)).collect();
            let nodes: Nodes = nodes.iter().map(|(name, size)| node(name, size)).collect();
            let bound = if broken { "many" } else { "5" };
            let selector: NodeSelector = serde_json::from_value(json!({"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "size", "operator": "Gt", "values": [bound]}]}]}))
            .unwrap();

            let members = Members::of(&entries, Some(&selector), &nodes);

            let size = |name: &str| nodes.get(name).map(|node| node.labels["size"].parse::<u8>().unwrap());
            let selected = |name: &str| !broken && size(name).is_some_and(|size| size > 5);
            let needy: Vec<&str> = nodes
                .keys()
                .map(String::as_str)
                .filter(|name| selected(name) && !holders.iter().any(|holder| holder == name))
                .collect();
            prop_assert_eq!(members.needy, needy);
            let expected: Vec<Holder> = (0..holders.len())
                .map(|i| {
                    let name = &holders[i];
                    if holders[..i].contains(name) {
                        Holder::Second
                    } else if size(name).is_none() {
                        Holder::Gone
                    } else if broken || selected(name) {
                        Holder::Member
                    } else {
                        Holder::NotSelected
                    }
                })
                .collect();
            prop_assert_eq!(members.holders, expected);
            let unjudged = members.unjudged.map(|(count, first, _)| (count, first));
            let first = nodes.keys().next().filter(|_| broken);
            prop_assert_eq!(unjudged, first.map(|first| (nodes.len(), first.clone())));
        }
    }
}

//! A pool and the nodes around it, and what can happen to them.

use std::collections::BTreeMap;

use operator::nodes::Nodes;
use operator::pool::Entry;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::{allocations, node, pool_of, with_entries};
use crate::model::Modelled;

pub(crate) const NODES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// What can happen to a cluster.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Node(&'static str, &'static str),
    NodeGone(&'static str),
    Spec(Value),
    InvalidSpec,
    /// Somebody edits this entry so that it says no range.
    Damage(usize, usize),
    Repair,
}

pub(crate) fn happening<K: Modelled>() -> impl Strategy<Value = Happening> {
    let name = || prop::sample::select(&NODES[..]);
    prop_oneof![
        6 => (name(), prop::sample::select(&["worker", "infra"][..])).prop_map(|(n, role)| Happening::Node(n, role)),
        2 => name().prop_map(Happening::NodeGone),
        2 => K::specs().prop_map(Happening::Spec),
        1 => Just(Happening::InvalidSpec),
        1 => (0_usize..6, 0_usize..12).prop_map(|(i, how)| Happening::Damage(i, how)),
        1 => Just(Happening::Repair),
    ]
}

pub(crate) struct Cluster<K: Modelled> {
    pub(crate) nodes: Nodes,
    pub(crate) pool: K,
    pub(crate) spec: Value,
    pub(crate) spec_is_valid: bool,
    /// Entries as they were before they were damaged, by node: the daemons go on with them.
    pub(crate) undamaged: BTreeMap<String, K::Entry>,
}

impl<K: Modelled> Cluster<K> {
    pub(crate) fn new(spec: &Value) -> Self {
        Self {
            nodes: Nodes::new(),
            pool: pool_of(spec),
            spec: spec.clone(),
            spec_is_valid: true,
            undamaged: BTreeMap::new(),
        }
    }

    pub(crate) fn happen(&mut self, happening: &Happening) {
        match happening {
            Happening::Node(name, role) => {
                self.nodes.insert((*name).to_owned(), node(name, role).into());
            }
            Happening::NodeGone(name) => {
                self.nodes.remove(*name);
            }
            Happening::Spec(spec) => {
                self.spec_is_valid = true;
                self.edit(spec.clone());
            }
            Happening::InvalidSpec => {
                let mut spec = self.spec.clone();
                spec[K::NETWORK] = json!("nonsense");
                self.spec_is_valid = false;
                self.edit(spec);
            }
            Happening::Damage(i, how) => {
                let mut entries = allocations(&self.pool).to_vec();
                if let Some(entry) = entries.get_mut(*i) {
                    let node = entry.node().to_owned();
                    let undamaged = self.undamaged.entry(node).or_insert_with(|| entry.clone());
                    *entry = K::damaged(undamaged.clone(), *how);
                    self.set_entries(&entries);
                }
            }
            Happening::Repair => {
                let mut undamaged = std::mem::take(&mut self.undamaged);
                let mut entries = allocations(&self.pool).to_vec();
                for entry in &mut entries {
                    if let Some(undamaged) = undamaged.remove(entry.node()) {
                        *entry = undamaged;
                    }
                }
                self.set_entries(&entries);
            }
        }
    }

    fn edit(&mut self, spec: Value) {
        let entries = allocations(&self.pool).to_vec();
        self.pool = pool_of(&spec);
        self.spec = spec;
        self.set_entries(&entries);
    }

    fn set_entries(&mut self, entries: &[K::Entry]) {
        self.pool = with_entries(self.pool.clone(), entries);
    }

    pub(crate) fn selected(&self) -> Vec<&str> {
        let all = self.spec["nodeSelector"].is_null();
        self.nodes
            .values()
            .filter(|node| all || node.labels["kubernetes.io/role"] == "worker")
            .map(|node| node.name.as_str())
            .collect()
    }
}

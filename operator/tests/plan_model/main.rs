//! The plan for a pool against a model that goes range by range, and the invariants under any sequence of events.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod cidrpool;
mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod ippool;
mod model;
mod span;

use std::collections::BTreeMap;

use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use cluster::{Cluster, Happening, happening};
use common::{allocations, plan, planned};
use model::{Modelled, model};
use operator::pool::Entry;
use proptest::prelude::*;
use serde_json::Value;

/// How often each entry is there.
fn counted<E: Entry>(entries: &[E]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in entries {
        *counts.entry(format!("{entry:?}")).or_default() += 1;
    }
    counts
}

fn added<'a, E: Entry>(before: &[E], after: &'a [E]) -> Vec<&'a E> {
    after.iter().filter(|entry| !before.contains(entry)).collect()
}

/// Whatever happens, nobody loses what they hold, and nobody gets what another holds; and each plan is the model's.
fn nobody_gets_what_another_holds<K: Modelled>(
    first: &Value,
    happenings: &[(Happening, bool)],
) -> Result<(), TestCaseError> {
    let mut cluster = Cluster::<K>::new(first);
    for (happening, controller_runs) in happenings {
        cluster.happen(happening);
        if !controller_runs {
            continue;
        }
        let before = cluster.pool.clone();
        cluster.pool = planned(&before, &cluster.nodes);
        let (held, now) = (allocations(&before), allocations(&cluster.pool));
        let now_count = counted(now);
        for (entry, count) in &counted(held) {
            prop_assert!(now_count.get(entry) >= Some(count), "{entry} is gone");
        }
        let new = added(held, now);
        prop_assert_eq!(held.len() + new.len(), now.len());
        for (i, fresh) in new.iter().enumerate() {
            let range = K::span(fresh).unwrap();
            let others = held
                .iter()
                .chain(new[..i].iter().copied())
                .chain(cluster.undamaged.values());
            for other in others {
                prop_assert!(
                    K::span(other).is_none_or(|other| !range.intersects(other)),
                    "{fresh:?} and {other:?}"
                );
            }
        }
        prop_assert!(now.is_sorted_by(|a, b| a.node() <= b.node()));
        prop_assert_eq!(
            plan(&cluster.pool, &cluster.nodes, None).status,
            None,
            "a second plan does nothing"
        );
        let selected = if cluster.spec_is_valid {
            cluster.selected()
        } else {
            Vec::new()
        };
        prop_assert_eq!(now, model::<K>(&cluster.spec, held, &selected));
    }
    Ok(())
}

/// A controller that died half way, in whatever way it wrote what it did, changes nothing of the end.
fn dying_half_way_changes_nothing<K: Modelled>(
    spec: &Value,
    early: &[Happening],
    late: &[Happening],
) -> Result<(), TestCaseError> {
    let mut cluster = Cluster::<K>::new(spec);
    for happening in early {
        cluster.happen(happening);
    }
    cluster.pool = planned(&cluster.pool, &cluster.nodes);
    for happening in late {
        cluster.happen(happening);
    }
    let whole = planned(&cluster.pool, &cluster.nodes);
    let held = allocations(&cluster.pool);
    let dealt = added(held, allocations(&whole));
    for done in 0..=dealt.len() {
        let entries: Vec<K::Entry> = held
            .iter()
            .chain(dealt[..done].iter().copied())
            .cloned()
            .collect();
        let half_way = common::with_entries(cluster.pool.clone(), &entries);
        let end = planned(&half_way, &cluster.nodes);
        prop_assert_eq!(
            allocations(&end),
            allocations(&whole),
            "after {} of {}",
            done,
            dealt.len()
        );
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_happens_nobody_gets_the_block_of_another(
        first in IPPool::specs(),
        happenings in prop::collection::vec((happening::<IPPool>(), any::<bool>()), 1..25),
    ) {
        nobody_gets_what_another_holds::<IPPool>(&first, &happenings)?;
    }

    #[test]
    fn whatever_happens_nobody_gets_the_prefix_of_another(
        first in CIDRPool::specs(),
        happenings in prop::collection::vec((happening::<CIDRPool>(), any::<bool>()), 1..25),
    ) {
        nobody_gets_what_another_holds::<CIDRPool>(&first, &happenings)?;
    }

    #[test]
    fn a_controller_that_died_half_way_changes_nothing_of_the_end_of_an_ippool(
        spec in IPPool::specs(),
        early in prop::collection::vec(happening::<IPPool>(), 0..8),
        late in prop::collection::vec(happening::<IPPool>(), 0..8),
    ) {
        dying_half_way_changes_nothing::<IPPool>(&spec, &early, &late)?;
    }

    #[test]
    fn a_controller_that_died_half_way_changes_nothing_of_the_end_of_a_cidrpool(
        spec in CIDRPool::specs(),
        early in prop::collection::vec(happening::<CIDRPool>(), 0..8),
        late in prop::collection::vec(happening::<CIDRPool>(), 0..8),
    ) {
        dying_half_way_changes_nothing::<CIDRPool>(&spec, &early, &late)?;
    }
}

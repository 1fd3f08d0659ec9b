//! The ledger against a model that is too slow and too simple to be wrong.

mod any;
mod model;

use std::collections::BTreeMap;

use api::node_pool::NodePool;
use api::range::Range;
use proptest::prelude::*;
use tonic::Code;

use super::testing::{Writerless, add, key, neighbours, owner, pool};
use crate::call::{AllocateCall, ReleaseCall};
use crate::reservation::{Grant, RowId};
use crate::table::{Knowledge, Known, Table};
use any::{any_known, any_pool, any_step};
use model::{Configured, Model};

#[derive(Clone, Debug)]
enum Step {
    Add(AllocateCall),
    Del(ReleaseCall),
    ReleaseRow(i64),
    Table(Vec<Configured>, Known),
}

fn add_to(subject: &mut Writerless, call: &AllocateCall) -> Result<Vec<Grant>, Code> {
    subject.add(call).map_err(|refusal| refusal.code())
}

/// The table of these pools.
fn table_of(pools: &[Configured], known: Known) -> Table {
    let mut table = Table::of(pools.iter().map(|pool| pool.config.clone()), Knowledge::Nothing);
    table.known = known;
    for Configured { config, others } in pools {
        // Of two pools of one name the last one counts.
        table.neighbours.remove(&config.key);
        if let Some(others) = others {
            let others = neighbours(&others.ranges, &others.excluded);
            table.neighbours.insert(config.key.clone(), others);
        }
    }
    table
}

fn follow(start: Vec<Configured>, known: Known, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    let mut subject = Writerless::default();
    for step in std::iter::once(Step::Table(start, known)).chain(steps) {
        match step {
            Step::Add(call) => prop_assert_eq!(add_to(&mut subject, &call), model.add(&call), "{:?}", call),
            Step::Del(call) => {
                subject.del(&call);
                model.del(&call);
            }
            Step::ReleaseRow(id) => {
                subject.ledger.remove(RowId(id));
                model.held.retain(|h| h.id != id);
            }
            Step::Table(table, known) => {
                subject.ledger.set_table(table_of(&table, known));
                model.set_table(&table, known);
            }
        }
        let held: Vec<_> = subject
            .ledger
            .reservations()
            .map(|r| (r.id.0, r.pool.as_str(), r.address))
            .collect();
        let expected: Vec<_> = model.held.iter().map(|h| (h.id, &*h.pool, h.address)).collect();
        prop_assert_eq!(held, expected);
        let outside: Vec<_> = subject
            .ledger
            .outside()
            .map(|(r, place)| (r.id.0, place))
            .collect();
        prop_assert_eq!(outside, model.outside());
        let counts: BTreeMap<_, _> = subject
            .ledger
            .counts()
            .map(|(key, counts)| (key.to_string(), counts))
            .collect();
        for (name, pool) in &model.table {
            prop_assert_eq!(counts[name], model.counts(&pool.config), "{}", name);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn the_ledger_does_what_the_model_does(
        start in prop::collection::vec(any_pool(), 1..4),
        known in any_known(),
        steps in prop::collection::vec(any_step(), 0..40),
    ) {
        follow(start, known, steps)?;
    }

    #[test]
    fn a_range_of_2_to_the_62_costs_no_more(containers in prop::collection::vec((0..12_u8, any::<bool>()), 0..60)) {
        let config = NodePool {
            exclusions: vec![Range::new("fd00::3".parse().unwrap(), "fd00::103".parse().unwrap()).unwrap()],
            ..pool("a", "fd00::", "fd00::3fff:ffff:ffff:ffff")
        };
        let mut model = Model::default();
        let mut subject = Writerless::default();
        let table = [Configured { config, others: None }];
        subject.ledger.set_table(table_of(&table, Known::both(Knowledge::Synced)));
        model.set_table(&table, Known::both(Knowledge::Synced));
        for (container, del) in containers {
            let name = format!("c{container}");
            if del {
                let call = ReleaseCall { pools: vec![key("a")], network: String::new(), owner: owner(&name) };
                subject.del(&call);
                model.del(&call);
            } else {
                prop_assert_eq!(add_to(&mut subject, &add(&name, &["a"])), model.add(&add(&name, &["a"])));
            }
        }
        let (_, counts) = subject.ledger.counts().next().unwrap();
        prop_assert_eq!(counts.free + counts.excluded + counts.used, 1 << 62);
    }
}

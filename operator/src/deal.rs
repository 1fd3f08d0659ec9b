//! The plan for a pool, contract B.8: what stands is kept, and each selected node without an entry is dealt a range.

use std::collections::HashSet;

use api::interval::IntervalSet;
use api::range::Range;
use api::selector::SelectorError;

use crate::findings::Findings;
use crate::misfit;
use crate::nodes::{Standing, standing};
use crate::pool::{Entry, Plan, Pool, Rules, World};

/// See [`Pool::plan`].
pub(crate) fn plan<K: Pool>(pool: &K, world: &World<'_>) -> Plan<K::Status> {
    let mut entries = pool.entries().to_vec();
    // Before anything is said of them: what is said names them in their order, and is to be the same the next time.
    sort(&mut entries);
    let needy = needy(pool, world);
    let mut without_range = needy.nodes.len();
    let findings = match pool.rules() {
        Err(errors) => Findings::Invalid(errors.to_string()),
        Ok(rules) => {
            let stale = misfit::misfits(pool, &entries, &rules, world.nodes);
            match held(&entries) {
                Err(entries) => Findings::Unreadable { entries, stale },
                Ok(held) => {
                    let left = deal(&mut entries, &held, &needy.nodes, &rules);
                    without_range = left.len();
                    Findings::Valid {
                        without_range: left,
                        stale,
                    }
                }
            }
        }
    };
    sort(&mut entries);
    let mut conditions = pool.conditions().to_vec();
    let (notices, said) = findings.notices(world.said, &conditions, K::WORDS);
    findings.write(&mut conditions, K::WORDS, pool.meta().generation, &world.now);
    let stands = entries == pool.entries() && (!world.conditions_kept || conditions == pool.conditions());
    Plan {
        status: (!stands).then(|| K::status_of(entries, conditions)),
        notices,
        said,
        without_range,
        stale: match findings {
            Findings::Valid { stale, .. } | Findings::Unreadable { stale, .. } => Some(stale.len()),
            Findings::Invalid(_) => None,
        },
        unjudged: needy.unjudged,
    }
}

/// Stable, and by the bytes of the name as Go sorts.
fn sort(entries: &mut [impl Entry]) {
    entries.sort_by(|a, b| a.node().cmp(b.node()));
}

/// Nodes that are to get a range, in name order.
struct Needy<'a> {
    nodes: Vec<&'a str>,
    unjudged: Option<(usize, String, SelectorError)>,
}

fn needy<'a>(pool: &impl Pool, world: &World<'a>) -> Needy<'a> {
    let served: HashSet<&str> = pool.entries().iter().map(Entry::node).collect();
    let mut needy = Needy {
        nodes: Vec::new(),
        unjudged: None,
    };
    for (name, node) in world.nodes {
        match standing(pool.selector(), Some(node)) {
            Standing::Selected if !served.contains(name.as_str()) => needy.nodes.push(name),
            Standing::Unknown(error) => {
                needy.unjudged.get_or_insert_with(|| (0, name.clone(), error)).0 += 1;
            }
            Standing::Selected | Standing::NotSelected | Standing::Gone => {}
        }
    }
    needy
}

/// The ranges that entries hold. `Err` names the entries that say none, because somebody edited them: their nodes go on with
/// what they said before (`api::node_pool::view`), and that can't be known here.
fn held(entries: &[impl Entry]) -> Result<Vec<Range>, Vec<String>> {
    let mut ranges = Vec::with_capacity(entries.len());
    let mut unreadable = Vec::new();
    for entry in entries {
        match entry.range() {
            Some(range) => ranges.push(range),
            None => unreadable.push(format!("{} ({})", entry.node(), entry.text())),
        }
    }
    if unreadable.is_empty() {
        Ok(ranges)
    } else {
        Err(unreadable)
    }
}

/// Gives each of `nodes` the range that is kept for it, if nobody holds any of it; or, if none is, the lowest free one.
/// Returns the nodes that were left without.
fn deal<E: Entry>(
    entries: &mut Vec<E>,
    held: &[Range],
    nodes: &[&str],
    rules: &impl Rules<E>,
) -> Vec<String> {
    let of_family = held.iter().filter(|range| range.family() == rules.family());
    let held: IntervalSet = of_family.map(Range::numbers).collect();
    let mut taken = held.clone();
    for range in rules.kept() {
        let (first, last) = range.numbers();
        taken.insert(first, last);
    }
    let mut free = rules.free(&taken);
    let mut left = Vec::new();
    for node in nodes {
        let range = match rules.kept_for(node) {
            Some(own) => {
                let (first, last) = own.numbers();
                (!held.intersects(first, last)).then_some(own)
            }
            None => free.next(),
        };
        match range.and_then(|range| rules.entry(node, &range)) {
            Some(entry) => entries.push(entry),
            None => left.push((*node).to_owned()),
        }
    }
    left
}

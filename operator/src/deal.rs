//! The plan for a pool, contract B.8: what stands is kept, and each selected node without an entry is dealt a range.

use std::borrow::Cow;

use api::interval::IntervalSet;
use api::range::Range;

use crate::findings::Findings;
use crate::members::Members;
use crate::misfit;
use crate::pool::{Entry, Plan, Pool, Rules, World};

/// See [`Pool::plan`].
pub(crate) fn plan<K: Pool>(pool: &K, world: &World<'_>) -> Plan<K::Status> {
    // Borrowed as long as they are right as they stand: there may be a hundred thousand.
    let mut entries = Cow::Borrowed(pool.entries());
    // Before anything is said of them: what is said names them in their order, and is to be the same the next time.
    sort(&mut entries);
    let members = Members::of(&entries, pool.selector(), world.nodes);
    let mut without_range = members.needy.len();
    let findings = match pool.rules() {
        Err(errors) => Findings::Invalid(errors.to_string()),
        Ok(rules) => {
            let ranges: Vec<_> = entries.iter().map(Entry::range).collect();
            let stale = misfit::misfits::<K>(&entries, &ranges, &members.holders, &rules);
            match held(&entries, &ranges) {
                Err(entries) => Findings::Unreadable { entries, stale },
                Ok(held) => {
                    let (dealt, left) = deal(&held, &members.needy, &rules);
                    if !dealt.is_empty() {
                        entries.to_mut().extend(dealt);
                    }
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
    let changed = match entries {
        Cow::Owned(_) => true,
        Cow::Borrowed(_) => world.conditions_kept && conditions != pool.conditions(),
    };
    Plan {
        status: changed.then(|| K::status_of(entries.into_owned(), conditions)),
        notices,
        said,
        without_range,
        stale: match findings {
            Findings::Valid { stale, .. } | Findings::Unreadable { stale, .. } => Some(stale.len()),
            Findings::Invalid(_) => None,
        },
        unjudged: members.unjudged,
    }
}

/// Stable, and by the bytes of the name as Go sorts. What is sorted already stays as it is.
fn sort<E: Entry>(entries: &mut Cow<'_, [E]>) {
    if !entries.is_sorted_by(|a, b| a.node() <= b.node()) {
        entries.to_mut().sort_by(|a, b| a.node().cmp(b.node()));
    }
}

/// The ranges that entries hold. `Err` names the entries that say none, because somebody edited them: their nodes go on with
/// what they said before (`api::node_pool::view`), and that can't be known here.
fn held(entries: &[impl Entry], ranges: &[Option<Range>]) -> Result<Vec<Range>, Vec<String>> {
    let unreadable: Vec<String> = entries
        .iter()
        .zip(ranges)
        .filter(|(_, range)| range.is_none())
        .map(|(entry, _)| format!("{} ({})", entry.node(), entry.text()))
        .collect();
    if unreadable.is_empty() {
        Ok(ranges.iter().copied().flatten().collect())
    } else {
        Err(unreadable)
    }
}

/// Gives each of `nodes` the range that is kept for it, if nobody holds any of it; or, if none is, the lowest free one.
/// Returns the entries to add, and the nodes that were left without.
fn deal<E: Entry>(held: &[Range], nodes: &[&str], rules: &impl Rules<E>) -> (Vec<E>, Vec<String>) {
    if nodes.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let of_family = held.iter().filter(|range| range.family() == rules.family());
    let held: IntervalSet = of_family.map(Range::numbers).collect();
    let mut taken = held.clone();
    for range in rules.kept() {
        let (first, last) = range.numbers();
        taken.insert(first, last);
    }
    let mut free = rules.free(&taken);
    let (mut dealt, mut left) = (Vec::new(), Vec::new());
    for node in nodes {
        let range = match rules.kept_for(node) {
            Some(own) => {
                let (first, last) = own.numbers();
                (!held.intersects(first, last)).then_some(own)
            }
            None => free.next(),
        };
        match range.and_then(|range| rules.entry(node, &range)) {
            Some(entry) => dealt.push(entry),
            None => left.push((*node).to_owned()),
        }
    }
    (dealt, left)
}

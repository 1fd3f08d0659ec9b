//! Which entries of a status no longer fit, and why. They stand nevertheless: pods may be using them.

use api::range::Range;

use crate::members::Holder;
use crate::pool::{Entry, Pool, Rules};

/// Each of the `entries` that doesn't fit, in their order: name of its node, and why. `ranges` are theirs, and `holders`
/// their nodes. If there are several reasons, the first that is looked for here is told.
pub(crate) fn misfits<K: Pool>(
    entries: &[K::Entry],
    ranges: &[Option<Range>],
    holders: &[Holder],
    rules: &K::Rules,
) -> Vec<(String, String)> {
    let intersecting = intersecting(ranges);
    let mut found = Vec::new();
    for (((entry, range), holder), intersects) in entries.iter().zip(ranges).zip(holders).zip(intersecting) {
        let reason = match (range, intersects, holder) {
            (None, ..) => Some(K::WORDS.no_range.to_owned()),
            (Some(_), Some(other), _) => {
                let other = entries[other].node();
                Some(format!("shares addresses with the entry of {other}"))
            }
            (Some(_), None, Holder::Second) => Some("a second entry of this node".to_owned()),
            (Some(_), None, Holder::Gone) => Some("node is gone".to_owned()),
            (Some(_), None, Holder::NotSelected) => Some("node is no longer selected".to_owned()),
            (Some(range), None, Holder::Member) => rules.misfit(entry, range),
        };
        found.extend(reason.map(|reason| (entry.node().to_owned(), reason)));
    }
    found
}

/// For each range one that it intersects, by index.
fn intersecting(ranges: &[Option<Range>]) -> Vec<Option<usize>> {
    let mut found = vec![None; ranges.len()];
    let mut ordered: Vec<(Range, usize)> = ranges
        .iter()
        .enumerate()
        .filter_map(|(i, range)| range.map(|range| (range, i)))
        .collect();
    // By family, then by first address: whatever a range intersects before it also reaches the range that reaches furthest.
    ordered.sort_unstable();
    let mut furthest: Option<(Range, usize)> = None;
    for (range, i) in ordered {
        if let Some((before, j)) = furthest
            && before.intersection(&range).is_some()
        {
            found[i] = Some(j);
            found[j].get_or_insert(i);
        }
        let reaches_further = furthest.is_none_or(|(before, _)| {
            before.family() != range.family() || before.numbers().1 < range.numbers().1
        });
        if reaches_further {
            furthest = Some((range, i));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use api::range::Family;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exactly_the_ranges_that_intersect_another_are_told_of_one(
            spans in prop::collection::vec((any::<bool>(), 0_u128..60, 0_u128..9), 0..12),
        ) {
            let ranges: Vec<Option<Range>> = spans
                .iter()
                .map(|(v6, first, size)| {
                    let family = if *v6 { Family::V6 } else { Family::V4 };
                    Range::from_numbers(family, *first, first + size)
                })
                .collect();
            for (i, other) in intersecting(&ranges).into_iter().enumerate() {
                let intersects = |j: usize| i != j && ranges[i].unwrap().intersection(&ranges[j].unwrap()).is_some();
                match other {
                    Some(j) => prop_assert!(intersects(j)),
                    None => prop_assert!(!(0..ranges.len()).any(intersects)),
                }
            }
        }
    }
}

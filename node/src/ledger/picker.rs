//! Which free address is next.

use api::interval::IntervalSet;
use api::range::Range;

/// The address to hand out next, as a number: the first free one after `last`, the one given before, wrapping from the
/// end of `range` to its start (contract B.6). A `last` outside of the range, or none, starts at the range's start.
///
/// `free` must be a part of `range`. The cost grows with the logarithm of its number of intervals.
#[must_use]
pub(super) fn next(free: &IntervalSet, range: &Range, last: Option<u128>) -> Option<u128> {
    let (start, end) = range.numbers();
    let after = match last {
        Some(last) if (start..end).contains(&last) => last + 1,
        _ => start,
    };
    free.at_or_after(after).or_else(|| free.at_or_after(start))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use api::range::Family;
    use proptest::prelude::*;

    use super::*;

    /// Walks address by address, as one would explain it.
    fn walk(free: &BTreeSet<u128>, start: u128, end: u128, last: Option<u128>) -> Option<u128> {
        let mut candidate = last.filter(|l| (start..=end).contains(l)).unwrap_or(end);
        for _ in start..=end {
            candidate = if candidate == end { start } else { candidate + 1 };
            if free.contains(&candidate) {
                return Some(candidate);
            }
        }
        None
    }

    const TOPS: [(Family, u128); 3] = [
        (Family::V4, u32::MAX as u128),
        (Family::V6, u128::MAX),
        (Family::V6, 1 << 100),
    ];

    proptest! {
        #[test]
        fn it_walks_like_one_who_tries_every_address(
            (family, top) in prop::sample::select(&TOPS[..]),
            size in 1..20_u128,
            taken in prop::collection::vec(0..20_u128, 0..20),
            last in prop::option::of(0..40_u128),
        ) {
            let (start, end) = (top - size + 1, top);
            let free: BTreeSet<u128> = (start..=end).filter(|n| !taken.contains(&(n - start))).collect();
            let set: IntervalSet = free.iter().map(|&n| (n, n)).collect();
            let last = last.and_then(|offset| (start - 10).checked_add(offset));
            let range = Range::from_numbers(family, start, end).unwrap();
            prop_assert_eq!(next(&set, &range, last), walk(&free, start, end, last));
        }
    }
}

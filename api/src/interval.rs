//! Sets of integers as disjoint intervals.
//!
//! Addresses are integers here (see [`Range`](crate::range::Range)): work on a set is bounded by the number of its
//! intervals, never by the number of addresses, so a /48 costs no more than a /30.

use std::collections::BTreeMap;

/// A set of `u128`, kept as the fewest possible disjoint intervals: neighbours are merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntervalSet {
    /// First to last, inclusive. Between two intervals lies at least one integer that is in neither.
    intervals: BTreeMap<u128, u128>,
    /// How many members there are, modulo 2^128: asked after each change of a pool, however many intervals it has.
    len: u128,
}

impl IntervalSet {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds every integer from `first` to `last`, inclusive. Does nothing if `first > last`.
    pub fn insert(&mut self, first: u128, last: u128) {
        if first > last {
            return;
        }
        let (mut first, mut last) = (first, last);
        if let Some((&f, &l)) = self.intervals.range(..first).next_back()
            && (l >= first || l.checked_add(1) == Some(first))
        {
            first = f;
            last = last.max(l);
        }
        let reach = last.saturating_add(1);
        let absorbed: Vec<(u128, u128)> = self
            .intervals
            .range(first..=reach)
            .map(|(&f, &l)| (f, l))
            .collect();
        for (f, l) in absorbed {
            self.take(f);
            last = last.max(l);
        }
        self.put(first, last);
    }

    /// Removes every integer from `first` to `last`, inclusive.
    pub fn remove(&mut self, first: u128, last: u128) {
        if first > last {
            return;
        }
        if let Some((&f, &l)) = self.intervals.range(..first).next_back()
            && l >= first
        {
            self.put(f, first - 1);
            if l > last {
                self.put(last + 1, l);
            }
        }
        let touched: Vec<(u128, u128)> = self
            .intervals
            .range(first..=last)
            .map(|(&f, &l)| (f, l))
            .collect();
        for (f, l) in touched {
            self.take(f);
            if l > last {
                self.put(last + 1, l);
            }
        }
    }

    /// Makes the interval that begins at `first` end at `last`.
    fn put(&mut self, first: u128, last: u128) {
        self.take(first);
        self.intervals.insert(first, last);
        self.len = self.len.wrapping_add(size(first, last));
    }

    /// Removes the interval that begins at `first`, if there is one.
    fn take(&mut self, first: u128) {
        if let Some(last) = self.intervals.remove(&first) {
            self.len = self.len.wrapping_sub(size(first, last));
        }
    }

    /// Whether `n` is in the set.
    #[must_use]
    pub fn contains(&self, n: u128) -> bool {
        self.covers(n, n)
    }

    /// Whether every integer from `first` to `last` is in the set.
    #[must_use]
    pub fn covers(&self, first: u128, last: u128) -> bool {
        self.interval_at(first).is_some_and(|(_, l)| l >= last)
    }

    /// Whether any integer from `first` to `last` is in the set.
    #[must_use]
    pub fn intersects(&self, first: u128, last: u128) -> bool {
        self.intervals
            .range(..=last)
            .next_back()
            .is_some_and(|(_, &l)| l >= first)
    }

    /// The interval that holds `n`, as first and last.
    #[must_use]
    pub fn interval_at(&self, n: u128) -> Option<(u128, u128)> {
        let (&f, &l) = self.intervals.range(..=n).next_back()?;
        (l >= n).then_some((f, l))
    }

    /// The smallest member that is at least `n`.
    #[must_use]
    pub fn at_or_after(&self, n: u128) -> Option<u128> {
        if self.contains(n) {
            Some(n)
        } else {
            self.intervals.range(n..).next().map(|(&f, _)| f)
        }
    }

    /// The last member of the lowest interval that shares a member with `first` to `last`.
    pub(crate) fn end_of_first_in(&self, first: u128, last: u128) -> Option<u128> {
        let member = self.at_or_after(first).filter(|n| *n <= last)?;
        self.interval_at(member).map(|(_, end)| end)
    }

    /// What the set has of the integers from `first` to `last`, as intervals in ascending order.
    pub(crate) fn within(&self, first: u128, last: u128) -> impl Iterator<Item = (u128, u128)> + '_ {
        let reaches_in = self.intervals.range(..first).next_back();
        reaches_in
            .filter(|(_, l)| **l >= first)
            .into_iter()
            .chain(
                (first <= last)
                    .then(|| self.intervals.range(first..=last))
                    .into_iter()
                    .flatten(),
            )
            .map(move |(&f, &l)| (f.max(first), l.min(last)))
    }

    /// The intervals in ascending order, as first and last.
    pub fn iter(&self) -> impl Iterator<Item = (u128, u128)> + '_ {
        self.intervals.iter().map(|(&f, &l)| (f, l))
    }

    /// How many integers are in the set, saturating at [`u128::MAX`].
    #[must_use]
    pub fn len(&self) -> u128 {
        if self.len == 0 && !self.is_empty() {
            return u128::MAX;
        }
        self.len
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }
}

/// How many integers there are from `first` to `last`, modulo 2^128.
fn size(first: u128, last: u128) -> u128 {
    (last - first).wrapping_add(1)
}

impl FromIterator<(u128, u128)> for IntervalSet {
    /// The union of the intervals, which may overlap and come in any order.
    fn from_iter<I: IntoIterator<Item = (u128, u128)>>(intervals: I) -> Self {
        let mut set = Self::new();
        for (first, last) in intervals {
            set.insert(first, last);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const SPAN: u128 = 40;

    /// The top of the number range is where arithmetic goes wrong, so half of the cases are shifted up to it.
    fn check(ops: &[(bool, u128, u128)], base: u128) -> Result<(), TestCaseError> {
        let mut set = IntervalSet::new();
        let mut model = BTreeSet::new();
        for &(add, a, b) in ops {
            let (first, last) = (a.min(b), a.max(b));
            if add {
                set.insert(base + first, base + last);
                model.extend(first..=last);
            } else {
                set.remove(base + first, base + last);
                model.retain(|n| !(first..=last).contains(n));
            }
        }
        prop_assert_eq!(set.len(), model.len() as u128);
        prop_assert_eq!(set.is_empty(), model.is_empty());
        for n in 0..SPAN {
            prop_assert_eq!(set.contains(base + n), model.contains(&n));
            prop_assert_eq!(
                set.at_or_after(base + n),
                model.range(n..).next().map(|m| base + m)
            );
            for m in n..SPAN {
                let within: Vec<u128> = set.within(base + n, base + m).flat_map(|(f, l)| f..=l).collect();
                let expected: Vec<u128> = model.range(n..=m).map(|i| base + i).collect();
                prop_assert_eq!(within, expected);
                prop_assert_eq!(
                    set.covers(base + n, base + m),
                    (n..=m).all(|i| model.contains(&i))
                );
                prop_assert_eq!(
                    set.intersects(base + n, base + m),
                    (n..=m).any(|i| model.contains(&i))
                );
            }
        }
        let intervals: Vec<_> = set.iter().collect();
        prop_assert!(intervals.iter().all(|(f, l)| f <= l));
        prop_assert!(
            intervals.windows(2).all(|w| w[0].1 + 1 < w[1].0),
            "not merged: {:?}",
            intervals
        );
        Ok(())
    }

    proptest! {
        #[test]
        fn it_is_a_set(
            ops in prop::collection::vec((any::<bool>(), 0..SPAN, 0..SPAN), 0..12),
            top in any::<bool>(),
        ) {
            check(&ops, if top { u128::MAX - (SPAN - 1) } else { 0 })?;
        }
    }

    #[test]
    fn the_whole_number_range_fits() {
        let mut set: IntervalSet = [(0, u128::MAX)].into_iter().collect();
        assert_eq!(set.len(), u128::MAX);
        set.remove(5, 5);
        assert_eq!(set.iter().collect::<Vec<_>>(), [(0, 4), (6, u128::MAX)]);
        assert_eq!(set.len(), u128::MAX);
        set.insert(5, 5);
        assert_eq!(set.iter().collect::<Vec<_>>(), [(0, u128::MAX)]);
    }
}

//! How an IPPool's subnet is cut into blocks and a CIDRPool's network into prefixes, contract B.8.

use std::net::IpAddr;

use crate::interval::IntervalSet;
use crate::range::{Family, Range, number};
use crate::subnet::Subnet;

/// A grid of ranges of equal size, one after the other. The last, partial one is not used.
///
/// An IPPool's grid are its blocks, from the first usable address on; a CIDRPool's are its prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    whole: Range,
    block_size: u128,
    /// How many addresses at the end of each block are never handed out: the broadcast address of an IPv4 prefix.
    tail: u128,
}

impl Layout {
    /// The blocks of `block_size` addresses in `subnet`. `None` if not even one block fits, or its size is 0.
    #[must_use]
    pub fn blocks_of(subnet: Subnet, block_size: u128) -> Option<Self> {
        let whole = subnet.usable();
        (block_size > 0 && block_size <= whole.size()).then_some(Self {
            whole,
            block_size,
            tail: 0,
        })
    }

    /// The prefixes of this length in `cidr`. `None` if there are none: `length` is 0, shorter than that of `cidr`, or
    /// longer than an address.
    #[must_use]
    pub fn prefixes(cidr: Subnet, length: u8) -> Option<Self> {
        if length == 0 || length < cidr.prefix_len() {
            return None;
        }
        let host_bits = cidr.family().bits().checked_sub(length)?;
        Some(Self {
            whole: cidr.addresses(),
            block_size: 1 << host_bits,
            tail: u128::from(cidr.family() == Family::V4 && host_bits > 1),
        })
    }

    /// How many blocks there are; at least one. Saturates at [`u128::MAX`].
    #[must_use]
    pub fn blocks(&self) -> u128 {
        let (first, last) = self.whole.numbers();
        let (whole, rest) = ((last - first) / self.block_size, (last - first) % self.block_size);
        if rest == self.block_size - 1 {
            whole.saturating_add(1)
        } else {
            whole
        }
    }

    /// Addresses in a block.
    #[must_use]
    pub fn block_size(&self) -> u128 {
        self.block_size
    }

    /// The block with this ordinal, counted from 0.
    #[must_use]
    pub fn block(&self, ordinal: u128) -> Option<Range> {
        (ordinal < self.blocks()).then(|| self.place(ordinal))
    }

    /// The block with this ordinal, which must be less than [`Layout::blocks`].
    fn place(&self, ordinal: u128) -> Range {
        let first = self.whole.numbers().0 + ordinal * self.block_size;
        Range::ordered(self.whole.family(), first, first + (self.block_size - 1))
    }

    /// The ordinal of the block that is exactly `range`.
    #[must_use]
    pub fn ordinal_of(&self, range: &Range) -> Option<u128> {
        let (first, last) = range.numbers();
        let ordinal = self.ordinal_at(first)?;
        let start = self.whole.numbers().0 + ordinal * self.block_size;
        let is_block = first == start && last - first == self.block_size - 1;
        (is_block && self.whole.contains_range(range)).then_some(ordinal)
    }

    /// The ordinal of the place that `n` lies in, whether or not there is a block of that ordinal.
    fn ordinal_at(&self, n: u128) -> Option<u128> {
        Some(n.checked_sub(self.whole.numbers().0)? / self.block_size)
    }

    /// Whether `exclusions` leave nothing of `block` that could be handed out. The broadcast address of an IPv4 prefix
    /// need not be excluded for that, its network address must be (contract B.7).
    #[must_use]
    pub fn is_excluded(&self, block: &Range, exclusions: &Exclusions) -> bool {
        let (first, last) = self.judged(block);
        exclusions.cover(first, last)
    }

    fn judged(&self, block: &Range) -> (u128, u128) {
        let (first, last) = block.numbers();
        (first, last - self.tail.min(last - first))
    }

    /// The blocks that can be dealt, lowest first: those that hold no address of `taken`, that `exclusions` leave at
    /// least one address of, and that are not just the gateway.
    ///
    /// Each step costs as much as there are intervals in the way, never as much as there are addresses or blocks.
    pub fn free_blocks<'a>(
        &'a self,
        taken: &'a IntervalSet,
        exclusions: &'a Exclusions,
        gateway: Option<IpAddr>,
    ) -> impl Iterator<Item = Range> + 'a {
        let (mut next, blocks) = (Some(0), self.blocks());
        std::iter::from_fn(move || {
            // If no block has anything left by its indexes, there is nothing to look for.
            if exclusions.indexes.covers(0, self.block_size - 1 - self.tail) {
                return None;
            }
            loop {
                let ordinal = next.filter(|&ordinal| ordinal < blocks)?;
                let block = self.place(ordinal);
                let (first, last) = block.numbers();
                let following = ordinal.checked_add(1);
                // Where the search goes on if this block can't be had: behind what stands in the way. A block that a
                // taken interval ends in is taken too; one that an exclusion ends in may have something left.
                if let Some(end) = taken.end_of_first_in(first, last) {
                    next = self.ordinal_at(end)?.checked_add(1);
                } else if let Some((_, end)) = exclusions
                    .addresses
                    .interval_at(first)
                    .filter(|(_, end)| *end >= self.judged(&block).1)
                {
                    next = Some(self.ordinal_at(end.checked_add(1)?)?.max(following?));
                } else if self.is_excluded(&block, exclusions)
                    || gateway.is_some_and(|g| block.size() == 1 && block.contains(g))
                {
                    next = following;
                } else {
                    next = following;
                    return Some(block);
                }
            }
        })
    }
}

/// What a pool excludes: single addresses, and indexes of every block. Overlapping entries are merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exclusions {
    addresses: IntervalSet,
    indexes: IntervalSet,
}

impl Exclusions {
    /// The union of `ranges`, and of `indexes` (first to last) of each block.
    #[must_use]
    pub fn new(
        ranges: impl IntoIterator<Item = Range>,
        indexes: impl IntoIterator<Item = (u128, u128)>,
    ) -> Self {
        Self {
            addresses: ranges.into_iter().map(|r| r.numbers()).collect(),
            indexes: indexes.into_iter().collect(),
        }
    }

    /// The same indexes, and `ranges` instead of the addresses.
    pub(crate) fn with_ranges(&self, ranges: impl IntoIterator<Item = Range>) -> Self {
        Self {
            addresses: ranges.into_iter().map(|r| r.numbers()).collect(),
            indexes: self.indexes.clone(),
        }
    }

    /// What is excluded by address.
    pub(crate) fn addresses(&self) -> &IntervalSet {
        &self.addresses
    }

    /// The excluded addresses of `block`.
    #[must_use]
    pub fn of(&self, block: &Range) -> IntervalSet {
        let (first, last) = block.numbers();
        let by_index = self.indexes.iter().filter_map(|(f, l)| {
            let f = first.checked_add(f)?;
            (f <= last).then(|| (f, first.saturating_add(l).min(last)))
        });
        self.addresses.within(first, last).chain(by_index).collect()
    }

    /// Whether they leave nothing from `first`, with which a block begins, to `last`. It ends at the first address that is
    /// left.
    fn cover(&self, first: u128, last: u128) -> bool {
        let mut next = first;
        loop {
            let by_address = self.addresses.interval_at(next).map(|(_, end)| end);
            let by_index = self.indexes.interval_at(next - first);
            let by_index = by_index.map(|(_, end)| first.saturating_add(end));
            match by_address.max(by_index) {
                None => return false,
                Some(end) if end >= last => return true,
                Some(end) => next = end + 1,
            }
        }
    }
}

/// The addresses of `range` that can be handed out: all but the excluded ones and the gateway.
#[must_use]
pub fn available(range: &Range, exclusions: &IntervalSet, gateway: Option<IpAddr>) -> IntervalSet {
    let (first, last) = range.numbers();
    let mut free: IntervalSet = [(first, last)].into_iter().collect();
    for (f, l) in exclusions.iter() {
        free.remove(f, l);
    }
    if let Some(gateway) = gateway.filter(|g| range.contains(*g)) {
        free.remove(number(gateway), number(gateway));
    }
    free
}

#[cfg(test)]
mod tests;

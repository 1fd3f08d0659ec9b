//! How an IPPool's subnet is cut into blocks, contract B.8.

use std::net::IpAddr;

use crate::interval::IntervalSet;
use crate::range::{Range, number};
use crate::subnet::Subnet;

/// The grid of an IPPool: blocks of equal size, one after the other from the first usable address on. The last, partial
/// one is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    usable: Range,
    block_size: u128,
}

impl Layout {
    /// The grid of `subnet` with blocks of `block_size` addresses. `None` if not even one block fits, or its size is 0.
    #[must_use]
    pub fn new(subnet: Subnet, block_size: u128) -> Option<Self> {
        let usable = subnet.usable();
        (block_size > 0 && block_size <= usable.size()).then_some(Self { usable, block_size })
    }

    /// How many blocks there are; at least one.
    #[must_use]
    pub fn blocks(&self) -> u128 {
        self.usable.size() / self.block_size
    }

    /// Addresses in a block.
    #[must_use]
    pub fn block_size(&self) -> u128 {
        self.block_size
    }

    /// The block with this ordinal, counted from 0.
    #[must_use]
    pub fn block(&self, ordinal: u128) -> Option<Range> {
        (ordinal < self.blocks()).then(|| {
            let first = self.usable.numbers().0 + ordinal * self.block_size;
            Range::ordered(self.usable.family(), first, first + (self.block_size - 1))
        })
    }

    /// The ordinal of the block that is exactly `range`.
    #[must_use]
    pub fn ordinal_of(&self, range: &Range) -> Option<u128> {
        let offset = range.numbers().0.checked_sub(self.usable.numbers().0)?;
        let ordinal = offset / self.block_size;
        (self.block(ordinal).as_ref() == Some(range)).then_some(ordinal)
    }

    /// The ordinal behind the block that `n` lies in, whether or not there is a block of that ordinal.
    fn ordinal_behind(&self, n: u128) -> Option<u128> {
        (n.checked_sub(self.usable.numbers().0)? / self.block_size).checked_add(1)
    }

    /// The blocks that can be dealt, lowest first: those that hold no address of `taken`, that `exclusions` leave at
    /// least one address of, and that are not just the gateway.
    ///
    /// Each step costs as much as there are intervals to skip, never as much as there are addresses or blocks.
    pub fn free_blocks<'a>(
        &'a self,
        taken: &'a IntervalSet,
        exclusions: &'a Exclusions,
        gateway: Option<IpAddr>,
    ) -> impl Iterator<Item = Range> + 'a {
        let mut next = Some(0);
        std::iter::from_fn(move || {
            loop {
                let block = self.block(next?)?;
                let (first, last) = block.numbers();
                // Where the search goes on if this block can't be had: behind what stands in the way. A block that a
                // taken interval ends in is taken too; one that an exclusion ends in may have something left.
                next = if taken.intersects(first, last) {
                    let (_, end) = taken.interval_at(taken.at_or_after(first)?)?;
                    self.ordinal_behind(end.max(last))
                } else if exclusions.whole_pool(self.block_size) {
                    return None;
                } else if let Some((_, end)) = exclusions
                    .addresses
                    .interval_at(first)
                    .filter(|(_, l)| *l >= last)
                {
                    end.checked_add(1)
                        .and_then(|n| self.ordinal_behind(n))
                        .and_then(|o| o.checked_sub(1))
                } else if exclusions.cover(&block)
                    || gateway.is_some_and(|g| first == last && block.contains(g))
                {
                    self.ordinal_behind(last)
                } else {
                    next = self.ordinal_behind(last);
                    return Some(block);
                };
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

    /// The excluded addresses of `block`.
    #[must_use]
    pub fn of(&self, block: &Range) -> IntervalSet {
        let (first, last) = block.numbers();
        let by_index = self.indexes.iter().filter_map(|(f, l)| {
            let f = first.checked_add(f)?;
            (f <= last).then(|| (f, first.saturating_add(l).min(last)))
        });
        self.within(block).chain(by_index).collect()
    }

    /// Whether no address of `block` is left.
    #[must_use]
    pub fn cover(&self, block: &Range) -> bool {
        let (first, last) = block.numbers();
        self.of(block).covers(first, last)
    }

    /// Whether the indexes alone leave nothing of any block.
    fn whole_pool(&self, block_size: u128) -> bool {
        self.indexes.covers(0, block_size - 1)
    }

    fn within(&self, block: &Range) -> impl Iterator<Item = (u128, u128)> + '_ {
        let (first, last) = block.numbers();
        self.addresses
            .iter()
            .filter(move |(f, l)| *f <= last && *l >= first)
            .map(move |(f, l)| (f.max(first), l.min(last)))
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layout(subnet: &str, block_size: u128) -> Layout {
        Layout::new(Subnet::parse(subnet).unwrap(), block_size).unwrap()
    }

    fn range(first: &str, last: &str) -> Range {
        Range::new(first.parse().unwrap(), last.parse().unwrap()).unwrap()
    }

    #[test]
    fn the_first_block_starts_after_the_network_address() {
        let grid = layout("192.168.0.0/16", 24);
        assert_eq!(grid.block(0), Some(range("192.168.0.1", "192.168.0.24")));
        assert_eq!(grid.block(1), Some(range("192.168.0.25", "192.168.0.48")));
    }

    #[test]
    fn the_last_partial_block_is_not_used() {
        let grid = layout("192.168.0.0/24", 100);
        assert_eq!(grid.blocks(), 2);
        assert_eq!(grid.block(1), Some(range("192.168.0.101", "192.168.0.200")));
        assert_eq!(grid.block(2), None);
    }

    #[test]
    fn a_block_as_large_as_the_subnet_fits_once() {
        assert_eq!(layout("10.0.0.0/24", 254).blocks(), 1);
        assert_eq!(Layout::new(Subnet::parse("10.0.0.0/24").unwrap(), 255), None);
        assert_eq!(layout("10.0.0.0/31", 1).blocks(), 2);
        assert_eq!(layout("fd00::/127", 2).blocks(), 1);
        assert_eq!(layout("10.0.0.1/32", 1).blocks(), 1);
    }

    #[test]
    fn ordinals_beyond_2_to_the_53_are_exact() {
        let grid = layout("fd00::/16", 3);
        let ordinal = (1 << 100) + 12345;
        assert_eq!(grid.ordinal_of(&grid.block(ordinal).unwrap()), Some(ordinal));
        let (first, last) = grid.block(ordinal).unwrap().numbers();
        let shifted = Range::from_numbers(crate::range::Family::V6, first + 1, last + 1).unwrap();
        assert_eq!(grid.ordinal_of(&shifted), None);
    }

    #[test]
    fn a_block_that_is_just_the_gateway_is_skipped() {
        let grid = layout("10.0.0.0/29", 1);
        let free: Vec<_> = grid
            .free_blocks(
                &IntervalSet::new(),
                &Exclusions::default(),
                "10.0.0.2".parse().ok(),
            )
            .map(|b| b.first().to_string())
            .collect();
        assert_eq!(free, ["10.0.0.1", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
    }

    #[test]
    fn huge_exclusions_are_skipped_in_one_step() {
        let grid = layout("fd00::/48", 1);
        let excluded = Exclusions::new([range("fd00::1", "fd00::ffff:ffff:ffff:ffff")], []);
        let first = grid
            .free_blocks(&IntervalSet::new(), &excluded, None)
            .next()
            .unwrap();
        assert_eq!(first.first().to_string(), "fd00:0:0:1::");
        let all_indexes = Exclusions::new([], [(0, (1 << 62) - 1)]);
        let grid = layout("fd00::/48", 1 << 62);
        assert_eq!(
            grid.free_blocks(&IntervalSet::new(), &all_indexes, None).next(),
            None
        );
    }

    /// What [`Layout::free_blocks`] says, address by address.
    fn model(
        grid: &Layout,
        taken: &IntervalSet,
        exclusions: &Exclusions,
        gateway: Option<IpAddr>,
    ) -> Vec<Range> {
        (0..grid.blocks())
            .filter_map(|ordinal| grid.block(ordinal))
            .filter(|block| {
                let (first, last) = block.numbers();
                let held = (first..=last).any(|n| taken.contains(n));
                let usable = (first..=last)
                    .any(|n| !exclusions.addresses.contains(n) && !exclusions.indexes.contains(n - first));
                let only_gateway = first == last && gateway.is_some_and(|g| block.contains(g));
                !held && usable && !only_gateway
            })
            .collect()
    }

    const SUBNETS: [&str; 8] = [
        "10.0.0.0/26",
        "10.0.0.0/31",
        "10.0.0.3/32",
        "255.255.255.192/26",
        "fd00::/122",
        "fd00::/127",
        "fd00::9/128",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffc0/122",
    ];

    proptest! {
        #[test]
        fn free_blocks_are_what_the_slow_model_says(
            subnet in prop::sample::select(&SUBNETS[..]),
            size in 1_u128..20,
            taken in prop::collection::vec((0_u128..70, 0_u128..12), 0..6),
            excluded in prop::collection::vec((0_u128..70, 0_u128..30), 0..5),
            indexes in prop::collection::vec((0_u128..20, 0_u128..8), 0..3),
            gateway in prop::option::of(0_u128..64),
        ) {
            let subnet = Subnet::parse(subnet).unwrap();
            let usable = subnet.usable();
            let Some(grid) = Layout::new(subnet, size.min(usable.size())) else { return Ok(()) };
            let (base, top) = usable.numbers();
            let clamp = |offset: u128| base.saturating_add(offset).min(top);
            let taken = taken.into_iter().map(|(o, l)| (clamp(o), clamp(o + l))).collect();
            let exclusions = Exclusions::new(
                excluded.into_iter().map(|(o, l)| Range::ordered(usable.family(), clamp(o), clamp(o + l))),
                indexes.into_iter().map(|(o, l)| (o, o + l)),
            );
            let gateway = gateway.map(|o| usable.family().address(clamp(o)));
            let fast: Vec<_> = grid.free_blocks(&taken, &exclusions, gateway).collect();
            prop_assert_eq!(fast, model(&grid, &taken, &exclusions, gateway));
        }

        #[test]
        fn available_addresses_are_what_the_slow_model_says(
            excluded in prop::collection::vec((0_u128..40, 0_u128..40), 0..5),
            gateway in 0_u128..40,
        ) {
            let block = Range::ordered(crate::range::Family::V6, 5, 30);
            let excluded: IntervalSet = excluded.into_iter().collect();
            let gateway = block.family().address(gateway);
            let free = available(&block, &excluded, Some(gateway));
            for n in 0..50 {
                let expected = (5..=30).contains(&n) && !excluded.contains(n) && n != number(gateway);
                prop_assert_eq!(free.contains(n), expected, "{}", n);
            }
        }
    }
}

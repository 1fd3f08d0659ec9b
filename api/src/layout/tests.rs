use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;

fn layout(subnet: &str, block_size: u128) -> Layout {
    Layout::blocks_of(Subnet::parse(subnet).unwrap(), block_size).unwrap()
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
    assert_eq!(
        Layout::blocks_of(Subnet::parse("10.0.0.0/24").unwrap(), 255),
        None
    );
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

/// Contract B.7: what each of them covers is told by addresses 10.0.0.1 to 8, which are the first block.
#[test]
fn a_block_is_excluded_if_both_kinds_together_leave_nothing_of_it() {
    let grid = layout("10.0.0.0/27", 8);
    for (addresses, indexes, excluded) in [
        (&[(1, 8)][..], &[][..], true),
        (&[], &[(0, 7)], true),
        (&[(4, 8)], &[(0, 2)], true),
        (&[(1, 3)], &[(3, 7)], true),
        (&[(1, 3), (6, 7)], &[(3, 4), (7, 7)], true),
        (&[(1, 6)], &[(2, 7)], true),
        (&[(1, 2)], &[(0, 7)], true),
        (&[(1, 8)], &[(0, 1)], true),
        (&[(2, 8)], &[], false),
        (&[(1, 7)], &[], false),
        (&[], &[(1, 7)], false),
        (&[], &[(0, 6)], false),
        (&[(5, 8)], &[(0, 2)], false),
        (&[(1, 3)], &[(4, 7)], false),
        (&[(1, 3)], &[(3, 6)], false),
        (&[(9, 16)], &[(0, 0)], false),
    ] {
        let ranges = addresses
            .iter()
            .map(|(f, l)| range(&format!("10.0.0.{f}"), &format!("10.0.0.{l}")));
        let exclusions = Exclusions::new(ranges, indexes.iter().copied());
        let none = IntervalSet::new();
        let first = grid.free_blocks(&none, &exclusions, None).next();
        assert_eq!(first != grid.block(0), excluded, "{addresses:?} {indexes:?}");
        let block = grid.block(0).unwrap();
        assert_eq!(
            grid.is_excluded(&block, &exclusions),
            excluded,
            "{addresses:?} {indexes:?}"
        );
    }
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
fn model(grid: &Layout, taken: &IntervalSet, exclusions: &Exclusions, gateway: Option<IpAddr>) -> Vec<Range> {
    (0..grid.blocks())
        .filter_map(|ordinal| grid.block(ordinal))
        .filter(|block| {
            let (first, last) = block.numbers();
            let held = (first..=last).any(|n| taken.contains(n));
            let usable = (first..=last - grid.tail)
                .any(|n| !exclusions.addresses.contains(n) && !exclusions.indexes.contains(n - first));
            let only_gateway = first == last && gateway.is_some_and(|g| block.contains(g));
            !held && usable && !only_gateway
        })
        .collect()
}

#[test]
fn prefixes_begin_at_the_network_address_and_fill_the_network() {
    let cut = |cidr: &str, length| Layout::prefixes(Subnet::parse(cidr).unwrap(), length);
    let grid = cut("192.168.0.0/16", 24).unwrap();
    assert_eq!(grid.blocks(), 256);
    assert_eq!(grid.block(1), Some(range("192.168.1.0", "192.168.1.255")));
    assert_eq!(cut("192.168.0.0/16", 16).unwrap().blocks(), 1);
    assert_eq!(cut("10.0.0.0/31", 32).unwrap().blocks(), 2);
    assert_eq!(cut("8000::/1", 2).unwrap().blocks(), 2);
    assert_eq!(cut("8000::/1", 128).unwrap().blocks(), 1 << 127);
    for length in [0, 15, 33] {
        assert_eq!(cut("192.168.0.0/16", length), None);
    }
    let everything = Subnet::of(Ipv6Addr::UNSPECIFIED.into(), 0).unwrap();
    assert_eq!(Layout::prefixes(everything, 0), None);
}

#[test]
fn ordinals_of_prefixes_beyond_2_to_the_53_are_exact() {
    let grid = Layout::prefixes(Subnet::parse("fd00::/16").unwrap(), 120).unwrap();
    let ordinal = (1 << 103) + 12345;
    let prefix = grid.block(ordinal).unwrap();
    assert_eq!(grid.ordinal_of(&prefix), Some(ordinal));
    let (first, _) = prefix.numbers();
    assert_eq!(grid.ordinal_of(&Range::ordered(Family::V6, first, first)), None);
}

/// With a step for each prefix this test would not end.
#[test]
fn excluded_prefixes_are_skipped_in_one_step_however_many_there_are() {
    let grid = Layout::prefixes(Subnet::parse("fd52:2eb5:44::/48").unwrap(), 112).unwrap();
    assert_eq!(grid.blocks(), 1 << 64);
    let none = IntervalSet::new();
    let first = |excluded: &Exclusions| grid.free_blocks(&none, excluded, None).next();
    let all = "fd52:2eb5:44:ffff:ffff:ffff:ffff:ffff";
    let whole = Exclusions::new([range("fd52:2eb5:44::", all)], []);
    assert_eq!(first(&whole), None);
    let but_the_last = "fd52:2eb5:44:ffff:ffff:ffff:fffe:ffff";
    let most = Exclusions::new([range("fd52:2eb5:44::", but_the_last)], []);
    assert_eq!(
        first(&most).map(|block| block.last().to_string()),
        Some(all.to_owned())
    );
    let by_index = Exclusions::new([], [(0, 0x7fff), (0x8000, 0xffff)]);
    assert_eq!(first(&by_index), None);
    // One kind covers the first half of each prefix, the other the second half of the first two.
    let both = Exclusions::new(
        [
            range("fd52:2eb5:44::8000", "fd52:2eb5:44::ffff"),
            range("fd52:2eb5:44::1:8000", "fd52:2eb5:44::1:ffff"),
        ],
        [(0, 0x7fff)],
    );
    assert_eq!(
        first(&both).map(|block| block.first().to_string()).as_deref(),
        Some("fd52:2eb5:44::2:0")
    );
}

/// Contract B.7: the network address counts, the broadcast address doesn't.
#[test]
fn an_ipv4_prefix_is_excluded_without_its_broadcast_address_but_not_without_its_network_address() {
    let grid = Layout::prefixes(Subnet::parse("10.0.0.0/23").unwrap(), 24).unwrap();
    let none = IntervalSet::new();
    let free = |first: &str, last: &str| -> Vec<String> {
        let excluded = Exclusions::new([range(first, last)], []);
        let free = grid.free_blocks(&none, &excluded, None);
        free.map(|block| block.first().to_string()).collect()
    };
    assert_eq!(free("10.0.0.0", "10.0.0.254"), ["10.0.1.0"]);
    assert_eq!(free("10.0.0.1", "10.0.0.254"), ["10.0.0.0", "10.0.1.0"]);
    assert_eq!(free("10.0.0.0", "10.0.1.254"), [""; 0]);
}

/// Contract B.7: the last address of these is one that a host can have.
#[test]
fn a_prefix_without_broadcast_address_is_excluded_only_with_its_last_address() {
    for (cidr, length, first, last) in [
        ("fd00::/119", 120, "fd00::", "fd00::fe"),
        ("fd00::/126", 127, "fd00::", "fd00::"),
        ("10.0.0.0/30", 31, "10.0.0.0", "10.0.0.0"),
    ] {
        let grid = Layout::prefixes(Subnet::parse(cidr).unwrap(), length).unwrap();
        let none = IntervalSet::new();
        let dealt_first = |last: IpAddr| {
            let excluded = Exclusions::new([Range::new(first.parse().unwrap(), last).unwrap()], []);
            grid.free_blocks(&none, &excluded, None).next()
        };
        let last: IpAddr = last.parse().unwrap();
        assert_eq!(dealt_first(last), grid.block(0), "{cidr}");
        let next = grid.block(0).unwrap().last();
        assert_eq!(dealt_first(next), grid.block(1), "{cidr}");
    }
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
        let Some(grid) = Layout::blocks_of(subnet, size.min(usable.size())) else { return Ok(()) };
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
    fn free_prefixes_are_what_the_slow_model_says(
        cidr in prop::sample::select(&["10.0.0.0/26", "255.255.255.192/26", "fd00::/122",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffc0/122"][..]),
        host_bits in 0_u8..=6,
        taken in prop::collection::vec((0_u128..70, 0_u128..12), 0..4),
        excluded in prop::collection::vec((0_u128..70, 0_u128..40), 0..5),
        indexes in prop::collection::vec((0_u128..20, 0_u128..20), 0..3),
    ) {
        let cidr = Subnet::parse(cidr).unwrap();
        let grid = Layout::prefixes(cidr, cidr.family().bits() - host_bits).unwrap();
        let (base, top) = cidr.addresses().numbers();
        let clamp = |offset: u128| base.saturating_add(offset).min(top);
        let taken = taken.into_iter().map(|(o, l)| (clamp(o), clamp(o + l))).collect();
        let exclusions = Exclusions::new(
            excluded.into_iter().map(|(o, l)| Range::ordered(cidr.family(), clamp(o), clamp(o + l))),
            indexes.into_iter().map(|(o, l)| (o, o + l)),
        );
        let fast: Vec<_> = grid.free_blocks(&taken, &exclusions, None).collect();
        prop_assert_eq!(fast, model(&grid, &taken, &exclusions, None));
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

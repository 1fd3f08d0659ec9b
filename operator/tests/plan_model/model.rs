//! What is allocated after a plan, found by trying every range from the lowest on.

use operator::pool::{Entry, Pool};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::span::{Span, address, number};

/// A kind of pool that there is a model of.
pub(crate) trait Modelled: Pool {
    /// The field that says its network.
    const NETWORK: &'static str;

    /// Valid specs.
    fn specs() -> BoxedStrategy<Value>;

    /// The addresses that an entry holds, if its text says any.
    fn span(entry: &Self::Entry) -> Option<Span>;

    /// How the network is cut.
    fn grid(spec: &Value) -> Grid;

    /// The entry that says that `node` has `span`.
    fn entry(spec: &Value, node: &str, span: Span) -> Self::Entry;

    /// `entry`, after somebody edited it by hand so that it says no range: in one of several ways.
    fn damaged(entry: Self::Entry, how: usize) -> Self::Entry;
}

/// Ranges of equal size, one after the other.
pub(crate) struct Grid {
    /// From the first address of the first to the last address that one may have.
    pub(crate) whole: Span,
    pub(crate) size: u128,
    /// How many addresses at the end of each are nobody's.
    pub(crate) tail: u128,
    /// One that is not dealt at all.
    pub(crate) but: Option<Span>,
    /// Those that are not dealt to just any node, and the node that each is for, if it is for one.
    pub(crate) kept: Vec<(Option<String>, Span)>,
}

/// The entries that are there after a plan for what was `held`: the same as before while one of them says no range.
pub(crate) fn model<K: Modelled>(spec: &Value, held: &[K::Entry], selected: &[&str]) -> Vec<K::Entry> {
    let mut result = held.to_vec();
    let readable = held.iter().all(|entry| K::span(entry).is_some());
    for node in selected.iter().filter(|_| readable) {
        if result.iter().any(|entry| entry.node() == *node) {
            continue;
        }
        let spans: Vec<Span> = result.iter().filter_map(K::span).collect();
        if let Some(span) = range_for(spec, &K::grid(spec), &spans, node) {
            result.push(K::entry(spec, node, span));
        }
    }
    result.sort_by(|a, b| a.node().cmp(b.node()));
    result
}

fn range_for(spec: &Value, grid: &Grid, held: &[Span], node: &str) -> Option<Span> {
    let is_held = |span: Span| held.iter().any(|other| span.intersects(*other));
    let own = grid.kept.iter().find(|(owner, _)| owner.as_deref() == Some(node));
    if let Some((_, own)) = own {
        return (!is_held(*own)).then_some(*own);
    }
    let v6 = grid.whole.v6;
    let mut first = grid.whole.first;
    loop {
        // All of it must lie inside.
        let last = first
            .checked_add(grid.size - 1)
            .filter(|last| *last <= grid.whole.last)?;
        let span = Span { v6, first, last };
        let is_kept = grid.kept.iter().any(|(_, kept)| span.intersects(*kept));
        let judged = Span {
            last: last - grid.tail,
            ..span
        };
        if !is_held(span) && !is_kept && grid.but != Some(span) && !judged.is_excluded(&excluded(spec, first))
        {
            return Some(span);
        }
        first = first.checked_add(grid.size)?;
    }
}

/// What a spec excludes, for a range that begins at `first`.
fn excluded(spec: &Value, first: u128) -> Vec<(u128, u128)> {
    let of = |field: &str| spec[field].as_array().cloned().unwrap_or_default();
    let address = |value: &Value| number(value.as_str().unwrap().parse().unwrap()).1;
    let index = |value: &Value| first.saturating_add(value.as_u64().unwrap().into());
    let ranges = of("exclusions")
        .into_iter()
        .map(|e| (address(&e["startIP"]), address(&e["endIP"])));
    let indexes = of("perNodeExclusions")
        .into_iter()
        .map(|e| (index(&e["startIndex"]), index(&e["endIndex"])));
    ranges.chain(indexes).collect()
}

/// Both kinds of exclusions, of `whole` and of ranges of `size` addresses.
pub(crate) fn exclusions(
    whole: Span,
    size: u128,
    ranges: &[(u128, u128, bool)],
    indexes: &[(i32, i32)],
) -> Value {
    let Span { v6, first, last } = whole;
    let at = |offset: u128| first.saturating_add(offset).min(last);
    let ranges: Vec<Value> = ranges
        .iter()
        .map(|&(a, b, far)| {
            let (a, b) = (at(a), if far { last - (last - first) / 3 } else { at(b) });
            json!({"startIP": address(v6, a.min(b)), "endIP": address(v6, a.max(b))})
        })
        .collect();
    let top = i32::try_from(size - 1).unwrap_or(i32::MAX);
    let indexes: Vec<Value> = indexes
        .iter()
        .map(|&(a, b)| json!({"startIndex": a.min(b).min(top), "endIndex": a.max(b).min(top)}))
        .collect();
    json!({"exclusions": ranges, "perNodeExclusions": indexes})
}

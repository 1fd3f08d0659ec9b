//! Lists in the log, of which nobody knows beforehand how long they are.

use std::fmt::{Display, Write};

/// So many are named.
const NAMED: usize = 20;

/// The first of `all` with commas in between, and how many more there are.
pub(crate) fn list<T: Display>(all: impl ExactSizeIterator<Item = T>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let mut text = String::new();
    for (number, one) in all.take(NAMED).enumerate() {
        let comma = if number > 0 { "," } else { "" };
        // Memory doesn't fail.
        let _ = write!(text, "{comma}{one}");
    }
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_ends_with_how_many_more_there_are() {
        assert_eq!(list([""; 0].iter()), "");
        assert_eq!(list([1, 2].iter()), "1,2");
        assert!(list(0..20).ends_with("18,19"));
        assert!(list(0..60_000).ends_with("18,19 and 59980 more"));
    }
}

//! docs/benchmarks.md: its figures are those of the last full run.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::table::Table;

/// Puts `tables` in the place of what `path` has between the marks of `name`.
pub(super) fn write(path: &Path, name: &str, tables: &[Table]) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
    let figures: Vec<_> = tables.iter().map(Table::markdown).collect();
    let replaced = replace(&text, name, &figures.join("\n"))
        .with_context(|| format!("could not write figures into {}", path.display()))?;
    fs::write(path, replaced).with_context(|| format!("could not write {}", path.display()))
}

fn replace(text: &str, name: &str, figures: &str) -> Result<String> {
    let (begin, end) = (
        format!("<!-- figures of {name}: begin -->\n"),
        format!("<!-- figures of {name}: end -->"),
    );
    let (before, rest) = text
        .split_once(&begin)
        .with_context(|| format!("no line {:?}", begin.trim_end()))?;
    let (_, after) = rest
        .split_once(&end)
        .with_context(|| format!("no line {end:?} after {:?}", begin.trim_end()))?;
    ensure!(!figures.is_empty(), "{name} measured nothing");
    Ok(format!("{before}{begin}\n{figures}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a\n<!-- figures of add: begin -->\nold\n<!-- figures of add: end -->\nb\n";

    #[test]
    fn figures_take_the_place_of_earlier_ones() {
        let once = replace(TEXT, "add", "new").unwrap();
        let expected = "a\n<!-- figures of add: begin -->\n\nnew\n<!-- figures of add: end -->\nb\n";
        assert_eq!(once, expected);
        assert_eq!(replace(&once, "add", "new").unwrap(), once);
    }

    #[test]
    fn a_page_without_the_marks_stays_as_it_is() {
        assert!(replace(TEXT, "rss", "new").is_err());
        assert!(replace("<!-- figures of add: begin -->\n", "add", "new").is_err());
    }
}

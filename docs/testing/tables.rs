//! Reads docs/reference.md as tests need it: its sections, the rows of their tables, their blocks of code.
//!
//! Part of the tests that hold the page against the code; each uses a part of it.
#![allow(dead_code, reason = "each test uses a part")]

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository, seen from any of its crates.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// One part of the page, from its heading to the next one of the same or a higher level.
pub(crate) struct Section {
    title: String,
    lines: Vec<String>,
}

/// A block of code: the words behind its fence (`json network`), and its text.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) info: String,
    pub(crate) text: String,
}

impl Section {
    /// The section of docs/reference.md with this heading.
    pub(crate) fn of_reference(title: &str) -> Self {
        let path = root().join("docs/reference.md");
        let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let level = |line: &str| {
            let hashes = line.len() - line.trim_start_matches('#').len();
            (hashes > 0 && line[hashes..].starts_with(' ')).then_some(hashes)
        };
        let mut lines = page.lines().map(str::to_owned);
        let heading = lines
            .find(|line| level(line).is_some_and(|level| line[level..].trim() == title))
            .unwrap_or_else(|| panic!("{} has no section {title:?}", path.display()));
        let own = level(&heading);
        let mut fenced = false;
        let lines = lines
            .take_while(|line| {
                fenced ^= line.starts_with("```");
                fenced || level(line).is_none() || level(line) > own
            })
            .collect();
        Self {
            title: title.to_owned(),
            lines,
        }
    }

    /// The cells of the row whose first cell is this name as code.
    pub(crate) fn row(&self, name: &str) -> Vec<String> {
        let wanted = format!("`{name}`");
        let rows = self.lines.iter().filter_map(|line| cells(line));
        let mut found = rows.filter(|cells| cells[0] == wanted);
        let row = found.next().unwrap_or_else(|| {
            panic!(
                "docs/reference.md, section {:?}: there is no row for {wanted}",
                self.title
            )
        });
        assert!(
            found.next().is_none(),
            "docs/reference.md, section {:?}: two rows for {wanted}",
            self.title
        );
        row
    }

    /// What stands as code in the first cells of its tables, in their order.
    pub(crate) fn names(&self) -> Vec<String> {
        let rows = self.lines.iter().filter_map(|line| cells(line));
        let names = rows.filter_map(|cells| {
            let name = cells[0].strip_prefix('`')?.strip_suffix('`')?;
            Some(name.to_owned())
        });
        names.collect()
    }

    /// Those of its [`names`](Self::names) of which `known` does not know.
    pub(crate) fn unknown(&self, known: impl Fn(&str) -> bool) -> Vec<String> {
        self.names().into_iter().filter(|name| !known(name)).collect()
    }

    /// Its blocks of code.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        blocks(&self.lines.join("\n"))
    }
}

/// The blocks of code of a page.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => {
                open = Some(Block {
                    info: info.trim().to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// The texts that a source file passes to `call`, tests aside: with `beside("`, the `x` of `beside("x")`.
pub(crate) fn arguments<'a>(source: &'a str, call: &str) -> Vec<&'a str> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let calls = source.split(call).skip(1);
    calls
        .filter_map(|rest| rest.split_once('"'))
        .map(|(text, _)| text)
        .collect()
}

/// The cells of a line of a table.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    // A bar in a cell is escaped.
    let inner = inner.replace("\\|", "\u{0}");
    let cells: Vec<_> = inner
        .split('|')
        .map(|cell| cell.trim().replace('\u{0}', "|"))
        .collect();
    (cells.len() > 1).then_some(cells)
}

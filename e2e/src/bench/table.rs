//! Figures as people read them: on a terminal and in a page of Markdown.

use std::fmt::{self, Display, Formatter, Write};
use std::time::Duration;

/// A table of figures and what must be known to read them.
#[derive(Debug)]
pub(super) struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    remarks: Vec<String>,
}

impl Table {
    /// The first column says what a row is about; the others are figures.
    pub(super) fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        Self {
            title: title.into(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Adds a row. Cells that are missing are empty.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    /// Adds a sentence below the table: a target, what a column means, what was left out.
    pub(super) fn remark(&mut self, remark: impl Into<String>) {
        self.remarks.push(remark.into());
    }

    pub(super) fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n", self.title);
        let mut line = |cells: &[String]| {
            // Writing to a string can't fail.
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        };
        line(&self.columns);
        let right = self.columns.iter().skip(1).map(|_| "--:".to_owned());
        line(&std::iter::once("---".to_owned()).chain(right).collect::<Vec<_>>());
        for row in &self.rows {
            line(row);
        }
        for remark in &self.remarks {
            let _ = write!(text, "\n{remark}\n");
        }
        text
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let lines = || std::iter::once(&self.columns).chain(&self.rows);
        let width = |column: usize| {
            lines()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        writeln!(f, "{}", self.title)?;
        for line in lines() {
            let mut cells = line.iter().zip(&widths);
            if let Some((first, width)) = cells.next() {
                write!(f, "  {first:<width$}")?;
            }
            for (cell, width) in cells {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        self.remarks
            .iter()
            .try_for_each(|remark| writeln!(f, "  {remark}"))
    }
}

/// "2.16 ms"
pub(super) fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// "480 us"
pub(super) fn micros(time: Duration) -> String {
    format!("{:.0} us", time.as_secs_f64() * 1e6)
}

/// "1.7 x": so many times `floor`.
pub(super) fn times(figure: f64, floor: f64) -> String {
    format!("{:.2} x", figure / floor)
}

/// "1.23 MB", of a million bytes each
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{}.{:02} MB", bytes / 1_000_000, bytes % 1_000_000 / 10_000)
}

/// As [`times`], of durations.
pub(super) fn ratio(figure: Duration, floor: Duration) -> String {
    times(figure.as_secs_f64(), floor.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("calls", &["call", "p50", "x floor"]);
        table.row(["ADD", "1.20 ms", "2.00 x"]);
        table.row(["CHECK", "0.6 ms"]);
        table.remark("On a quiet machine.");
        table
    }

    #[test]
    fn a_terminal_gets_columns_of_one_width() {
        let expected = "calls
  call       p50  x floor
  ADD    1.20 ms   2.00 x
  CHECK   0.6 ms         
  On a quiet machine.
";
        assert_eq!(table().to_string(), expected);
    }

    #[test]
    fn a_page_gets_markdown() {
        let expected = "### calls

| call | p50 | x floor |
| --- | --: | --: |
| ADD | 1.20 ms | 2.00 x |
| CHECK | 0.6 ms |  |

On a quiet machine.
";
        assert_eq!(table().markdown(), expected);
    }

    #[test]
    fn ratios_are_in_floors() {
        assert_eq!(
            ratio(Duration::from_millis(3), Duration::from_millis(2)),
            "1.50 x"
        );
        assert_eq!(millis(Duration::from_micros(2_164)), "2.16 ms");
        assert_eq!(megabytes(12_049_999), "12.04 MB");
    }
}

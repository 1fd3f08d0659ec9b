//! Telling somebody on a terminal what is being done and why.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Prints a story on stdout: chapters, why something is done, the command that does it, what it printed. In colour where
/// stdout is a terminal and `NO_COLOR` is not set.
#[derive(Debug)]
pub struct Story {
    colour: bool,
    started: Instant,
    chapters: Vec<(String, Instant)>,
}

impl Default for Story {
    fn default() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            colour,
            started: Instant::now(),
            chapters: Vec::new(),
        }
    }
}

impl Story {
    /// A new chapter begins.
    pub fn chapter(&mut self, title: &str) {
        self.chapters.push((title.to_owned(), Instant::now()));
        let number = self.chapters.len();
        Self::print(&format!(
            "\n{}\n",
            self.paint("1;36", &format!("{number}. {title}"))
        ));
    }

    /// What happens and why, in words.
    pub fn say(&self, text: &str) {
        Self::print(&format!("{text}\n"));
    }

    /// A command that the reader could type.
    pub fn command(&self, line: &str) {
        Self::print(&format!("  {}\n", self.paint("1", &format!("$ {line}"))));
    }

    /// A command on a node.
    pub fn command_on(&self, node: &str, line: &str) {
        Self::print(&format!("  {}\n", self.paint("1", &format!("{node}$ {line}"))));
    }

    /// What it printed, or the content of a file.
    pub fn output(&self, text: &str) {
        for line in text.trim_end().lines() {
            Self::print(&format!("  {}\n", self.paint("2", line)));
        }
    }

    /// Something that had to hold and does.
    pub fn proved(&self, text: &str) {
        Self::print(&format!("  {} {text}\n", self.paint("32", "ok")));
    }

    /// How long every chapter took, and all of them together.
    pub fn times(&self) {
        let ends = self
            .chapters
            .iter()
            .skip(1)
            .map(|(_, began)| *began)
            .chain([Instant::now()]);
        Self::print(&format!("\n{}\n", self.paint("1;36", "Times")));
        for ((title, began), ended) in self.chapters.iter().zip(ends) {
            Self::print(&format!("  {:>6}  {title}\n", seconds(ended - *began)));
        }
        Self::print(&format!(
            "  {:>6}  {}\n",
            seconds(self.started.elapsed()),
            self.paint("1", "in all")
        ));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Nobody reads a story that is cut off by a closed pipe: a write that fails is not worth an error.
    fn print(text: &str) {
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f32())
}

//! Lines on stderr that say what is being done while it is done.

use std::time::Instant;

/// Says what is about to happen. One line, on stderr, so that the output of tests stays on stdout.
pub fn say(line: impl AsRef<str>) {
    eprintln!("e2e: {}", line.as_ref());
}

/// Measures a step and says how long it took.
#[derive(Debug)]
pub struct Step {
    name: String,
    started: Instant,
}

impl Step {
    /// Says that the step begins.
    #[must_use]
    pub fn begin(name: impl Into<String>) -> Self {
        let name = name.into();
        say(format!("{name} ..."));
        Self {
            name,
            started: Instant::now(),
        }
    }

    /// Says that it has ended, and how long it took.
    pub fn end(self) {
        say(format!(
            "{}: {:.1} s",
            self.name,
            self.started.elapsed().as_secs_f32()
        ));
    }
}

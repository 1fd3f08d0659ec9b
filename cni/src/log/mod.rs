//! The log of the plugin, in the format that users of nv-ipam know: `<time> [<level>] <message>`, to standard error and
//! to a file.
//!
//! A file that can't be written never fails a call: it is complained about once, on standard error.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::SystemTime;

mod file;
mod time;

pub use file::{KEPT, LogFile, SIZE_MAX};
pub use time::rfc3339;

/// How much a line matters, most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is logged at this level; as `logLevel` it silences the log.
    Panic,
    /// A verb failed.
    Error,
    /// Something is wrong, and was got around.
    Warning,
    /// What was called, and that it succeeded.
    Info,
    /// The call's arguments and configuration.
    Debug,
    /// Requests and answers too.
    Verbose,
}

impl Level {
    const ALL: [Self; 6] = [
        Self::Panic,
        Self::Error,
        Self::Warning,
        Self::Info,
        Self::Debug,
        Self::Verbose,
    ];

    /// The level as `logLevel` and log lines spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Verbose => "verbose",
        }
    }

    /// Reads a `logLevel`, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|level| text.eq_ignore_ascii_case(level.as_str()))
    }
}

/// A longer message is cut: a configuration may be megabytes.
const MESSAGE_MAX: usize = 64 * 1024;

/// One line of the log, with its newline. `message` stays on one line, whatever it contains.
#[must_use]
pub fn line(time: SystemTime, level: Level, message: &str) -> String {
    let mut line = format!("{} [{}] ", rfc3339(time), level.as_str());
    if line.len() + message.len() <= MESSAGE_MAX && message.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        line.push_str(message);
    } else {
        for c in message.chars() {
            if line.len() > MESSAGE_MAX {
                let _ = write!(line, "... ({} bytes)", message.len());
                break;
            }
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
                line.extend(c.escape_default());
            } else {
                line.push(c);
            }
        }
    }
    line.push('\n');
    line
}

/// Writes lines at a level and the ones that matter more: with [`Log::flush`], or when it is dropped.
#[derive(Debug)]
pub struct Log {
    level: Level,
    file: FileState,
    lines: String,
}

#[derive(Debug)]
enum FileState {
    None,
    /// Not opened before there is a line to write.
    At(PathBuf),
    Open(LogFile),
}

impl Log {
    /// A log on standard error only, until the configuration is known.
    #[must_use]
    pub fn to_stderr() -> Self {
        Self {
            level: Level::Info,
            file: FileState::None,
            lines: String::new(),
        }
    }

    /// The log that the configuration describes. An unknown level is complained about, and stands for info.
    pub fn configure(&mut self, path: PathBuf, level: &str) {
        self.file = FileState::At(path);
        if let Some(level) = Level::parse(level) {
            self.level = level;
        } else {
            let known = Level::ALL.map(Level::as_str).join(", ");
            self.warning(format_args!(
                "unknown logLevel {level:?}, using info; known are {known}"
            ));
        }
    }

    /// A verb failed.
    pub fn error(&mut self, message: impl fmt::Display) {
        self.log(Level::Error, message);
    }

    /// Something is wrong, and was got around.
    pub fn warning(&mut self, message: impl fmt::Display) {
        self.log(Level::Warning, message);
    }

    /// What was called, and that it succeeded.
    pub fn info(&mut self, message: impl fmt::Display) {
        self.log(Level::Info, message);
    }

    /// The call's arguments and configuration.
    pub fn debug(&mut self, message: impl fmt::Display) {
        self.log(Level::Debug, message);
    }

    /// Requests and answers.
    pub fn verbose(&mut self, message: impl fmt::Display) {
        self.log(Level::Verbose, message);
    }

    fn log(&mut self, level: Level, message: impl fmt::Display) {
        if level <= self.level {
            self.lines += &line(SystemTime::now(), level, &message.to_string());
        }
    }

    /// Writes what was logged since the last time.
    pub fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        // Nobody is left to complain to.
        let _ = io::stderr().write_all(lines.as_bytes());
        if let Err((path, error)) = self.append(lines.as_bytes()) {
            let complaint = format!("can't write the log file {}: {error}", path.display());
            let _ =
                io::stderr().write_all(self::line(SystemTime::now(), Level::Warning, &complaint).as_bytes());
            self.file = FileState::None;
        }
    }

    fn append(&mut self, lines: &[u8]) -> Result<(), (PathBuf, io::Error)> {
        if let FileState::At(path) = &self.file {
            let file = LogFile::open(path, SIZE_MAX).map_err(|error| (path.clone(), error))?;
            self.file = FileState::Open(file);
        }
        match &mut self.file {
            FileState::Open(file) => file
                .append(lines)
                .map_err(|error| (file.path().to_owned(), error)),
            FileState::None | FileState::At(_) => Ok(()),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_time_level_message() {
        let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
        assert_eq!(
            line(time, Level::Info, "CmdAdd succeed"),
            "2023-11-14T22:13:20.5Z [info] CmdAdd succeed\n"
        );
    }

    #[test]
    fn levels_are_read_in_any_case_and_ordered() {
        for level in Level::ALL {
            assert_eq!(Level::parse(&level.as_str().to_uppercase()), Some(level));
        }
        assert_eq!(Level::parse("trace"), None);
        assert!(Level::ALL.is_sorted());
    }

    #[test]
    fn a_huge_message_is_cut() {
        let huge = line(UNIX_EPOCH, Level::Debug, &"x".repeat(10 << 20));
        assert!(huge.len() < MESSAGE_MAX + 100);
        assert!(huge.ends_with("... (10485760 bytes)\n"));
        // However much longer it becomes by what stands for its line breaks.
        let breaks = line(UNIX_EPOCH, Level::Debug, &"\u{85}".repeat(MESSAGE_MAX));
        assert!(breaks.len() < MESSAGE_MAX + 100);
        assert!(breaks.ends_with("... (131072 bytes)\n"));
    }

    proptest! {
        #[test]
        fn nothing_in_a_message_makes_another_line(message in ".*", controls in "[\\x00-\\x1f\u{85}\u{2028}\u{7f}]*") {
            let line = line(UNIX_EPOCH, Level::Info, &format!("{message}{controls}"));
            let text = line.strip_suffix('\n').unwrap();
            let breaks = text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'));
            prop_assert!(!breaks);
        }
    }
}

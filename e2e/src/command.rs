//! Running a program to its end and keeping what it said.

use std::process::{Output, Stdio};

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::names;

/// How a program ended and what it printed. Bytes that are not UTF-8 are replaced.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The command line, for messages.
    pub argv: String,
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    fn new(argv: String, output: &Output) -> Self {
        Self {
            argv,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// True if it ended with exit code 0.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output, if the exit code was 0.
    ///
    /// # Errors
    /// Otherwise: the command line, the code and everything that was printed.
    pub fn success(self) -> Result<String> {
        if self.ok() {
            return Ok(self.stdout);
        }
        let code = self
            .code
            .map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        bail!(
            "`{}` ended with {code}\n{}{}",
            self.argv,
            self.stdout,
            self.stderr
        )
    }
}

/// Runs a program to its end, with `stdin` as its input. The program dies with the future.
///
/// # Errors
/// Only if it cannot be started; an exit code other than 0 is part of [`Ran`].
pub async fn run(mut command: Command, stdin: &[u8]) -> Result<Ran> {
    let argv = line(command.as_std());
    let input = if stdin.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    };
    let mut child = command
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("could not start `{argv}`"))?;
    let pipe = child.stdin.take();
    let write = async {
        if let Some(mut pipe) = pipe {
            // A program that ends without reading its input is judged by its exit code.
            let _ = pipe.write_all(stdin).await;
        }
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    Ok(Ran::new(
        argv,
        &output.context("could not read what a program printed")?,
    ))
}

/// A command from its words.
#[must_use]
pub fn command<S: AsRef<std::ffi::OsStr>>(argv: &[S]) -> Command {
    let mut words = argv.iter();
    let mut command = Command::new(words.next().map_or(std::ffi::OsStr::new(""), AsRef::as_ref));
    command.args(words);
    command
}

/// cargo, in the repository.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(names::repository());
    // Set by the cargo that runs us, for us: another toolchain's choice must not leak into this build's fingerprint.
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR")
    {
        command.env_remove(name);
    }
    command
}

/// The words of a command, for messages.
#[must_use]
pub fn line(command: &std::process::Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

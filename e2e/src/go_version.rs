//! Whether the Go that is here can build the modules in `go/`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::go_build::MODULES;
use crate::names;

/// Asks `go` which version it would build with, and compares that with the newest that a `go` line asks for.
///
/// It is asked in that module's folder, where a Go that may get a newer one (GOTOOLCHAIN, see `go help toolchain`) does.
///
/// # Errors
/// One line: what was found, what is needed, and what to do.
pub(crate) fn check(go: &Path) -> Result<(), String> {
    let mut newest = (Vec::new(), String::new(), PathBuf::new());
    for module in MODULES {
        let folder = names::repository().join("e2e/go").join(module);
        let path = folder.join("go.mod");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("could not read {}: {error}", path.display()))?;
        let version =
            wanted(&text).ok_or_else(|| format!("{} does not say which Go it needs", path.display()))?;
        newest = newest.max((numbers(version), version.to_owned(), folder));
    }
    let (least, version, folder) = newest;
    let answer = Command::new(go)
        .args(["env", "GOVERSION"])
        .env("GOWORK", "off")
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("could not start {}: {error}", go.display()))?;
    let found = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    if numbers(found.trim_start_matches("go")) >= least {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&answer.stderr).trim().replace('\n', "; ");
    Err(format!(
        "{} is {}, and building the cluster's programs needs Go {version} or newer: see https://go.dev/dl",
        go.display(),
        if found.is_empty() { said } else { found },
    ))
}

/// The version of a go.mod's `go` line.
fn wanted(go_mod: &str) -> Option<&str> {
    go_mod
        .lines()
        .find_map(|line| line.strip_prefix("go "))
        .map(str::trim)
}

/// `1.26.6` as numbers to compare; what follows them (`rc1`, ` X:experiment`, `-custom`) doesn't count. A text that is no
/// version is older than every version.
fn numbers(version: &str) -> Vec<u32> {
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.');
    let digits = &version[..end.unwrap_or(version.len())];
    digits
        .split('.')
        .map_while(|number| number.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(numbers("1.9.0") < numbers("1.26.6"));
        assert!(numbers("1.26.5") < numbers("1.26.6"));
        assert!(numbers("1.26") < numbers("1.26.6"));
        assert!(numbers("1.27rc1") > numbers("1.26.6"));
        assert!(numbers("1.26.6 X:nocoverageredesign") == numbers("1.26.6"));
        assert!(numbers("1.26.8-custom") > numbers("1.26.6"));
        assert!(numbers("") < numbers("1.26.6"));
        assert!(numbers("devel") < numbers("1.26.6"));
    }

    #[test]
    fn every_go_mod_says_which_go_it_needs() {
        for text in [
            include_str!("../go/kubernetes/go.mod"),
            include_str!("../go/runtime/go.mod"),
        ] {
            assert!(wanted(text).is_some_and(|version| numbers(version).len() == 3));
        }
    }
}

//! Whether the Go that is here can build the modules in `go/`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::go_build::MODULES;
use crate::names;

/// Asks `go` what it would build each module with, and compares that with what the module's `go` line asks for.
///
/// It is asked in the module's folder, where a Go that may get a newer one (GOTOOLCHAIN, see `go help toolchain`) does.
///
/// # Errors
/// One line: what was found, what is needed, and what to do.
pub(crate) fn check(go: &Path) -> Result<(), String> {
    for module in MODULES {
        let folder = names::repository().join("e2e/go").join(module);
        let path = folder.join("go.mod");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("could not read {}: {error}", path.display()))?;
        let wanted =
            wanted(&text).ok_or_else(|| format!("{} does not say which Go it needs", path.display()))?;
        let answer = Command::new(go)
            .args(["env", "GOVERSION"])
            .env("GOWORK", "off")
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("could not start {}: {error}", go.display()))?;
        let found = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        if numbers(found.trim_start_matches("go")) < numbers(wanted) {
            let said = String::from_utf8_lossy(&answer.stderr).trim().replace('\n', "; ");
            return Err(format!(
                "{} is {}, and e2e/go/{module} needs Go {wanted} or newer: see https://go.dev/dl",
                go.display(),
                if found.is_empty() { said } else { found },
            ));
        }
    }
    Ok(())
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

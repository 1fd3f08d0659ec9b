//! A disk of a few megabytes that can really be filled: a tmpfs in a mount namespace of the test's own.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names the folder of the small disk to the test within the namespace.
const DISK: &str = "NODE_TEST_SMALL_DISK";

/// Mounts the small disk and runs what follows on it. The mount is in a namespace, and goes with it.
const MOUNT_AND_RUN: &str = r#"mount -t tmpfs -o size=5m tmpfs "$0" && exec "$@""#;

/// The ways to a mount namespace: root's own, then that of anybody whom the kernel lets make user namespaces.
const WAYS: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];

fn on_disk(way: &[&str], disk: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(way).args(["sh", "-euc", MOUNT_AND_RUN]).arg(disk);
    command
}

/// Runs the test `name` again, on a small disk; the folder of that if this is that run.
///
/// Where nobody may make one the test says so past the harness, which hides what a passing test prints, and in CI it fails.
pub(crate) fn on_a_small_disk(name: &str) -> Option<PathBuf> {
    if let Some(disk) = std::env::var_os(DISK) {
        return Some(disk.into());
    }
    let disk = tempfile::tempdir().unwrap();
    let is_possible = |way: &&&[&str]| {
        let mut attempt = on_disk(way, disk.path());
        attempt
            .arg("true")
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let Some(way) = WAYS.iter().find(is_possible) else {
        let line = format!(
            "{name}: NOT RUN, this user may mount nothing, not even with unshare --user --map-root-user --mount"
        );
        assert!(std::env::var_os("CI").is_none(), "{line}");
        #[expect(clippy::explicit_write, reason = "the harness catches what eprintln! prints")]
        writeln!(std::io::stderr(), "{line}").unwrap();
        return None;
    };
    let status = on_disk(way, disk.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(DISK, disk.path())
        .status()
        .unwrap();
    assert!(status.success());
    None
}

/// Somebody else takes every byte that is left.
pub(crate) fn eat_everything(path: &Path) {
    let mut file = File::create(path).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    while file.write_all(&[0]).is_ok() {}
}

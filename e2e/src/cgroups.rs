//! The cgroup of each node: made before its kubelet starts, removed when the node is gone.
//!
//! Both versions: with version 1 there is a hierarchy for each controller, with version 2 there is one, whose controllers
//! have to be switched on for children.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::progress::say;
use crate::wait;

const MOUNT: &str = "/sys/fs/cgroup";

/// The controllers of version 2 that the kubelet and runc use, if they are there.
const CONTROLLERS: [&str; 6] = ["cpuset", "cpu", "io", "memory", "pids", "hugetlb"];

/// Makes a cgroup called `name` at the root of every hierarchy.
pub fn create(name: &str) -> Result<()> {
    for root in hierarchies() {
        create_in(&root, name)
            .with_context(|| format!("could not make the cgroup {}", root.join(name).display()))?;
    }
    Ok(())
}

/// Removes it again, with everything the kubelet made below it, once no process is left in it.
pub async fn remove(name: &str) -> Result<()> {
    for root in hierarchies() {
        let folder = root.join(name);
        wait::until(
            &format!("the cgroup {} to become removable", folder.display()),
            Duration::from_secs(10),
            async || wait::from_result(remove_tree(&folder)),
        )
        .await?;
    }
    Ok(())
}

/// The roots of all hierarchies: of version 2 alone, or of every controller of version 1 (and version 2 beside them).
fn hierarchies() -> Vec<PathBuf> {
    if is_version_2(Path::new(MOUNT)) {
        return vec![PathBuf::from(MOUNT)];
    }
    let entries = fs::read_dir(MOUNT).into_iter().flatten().flatten();
    // Links like `cpu` -> `cpu,cpuacct` lead to a hierarchy that is listed anyway.
    let folders = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path());
    folders
        .filter(|folder| folder.join("cgroup.procs").exists())
        .collect()
}

fn is_version_2(root: &Path) -> bool {
    root.join("cgroup.controllers").exists()
}

fn create_in(root: &Path, name: &str) -> io::Result<()> {
    let folder = root.join(name);
    if is_version_2(root) {
        enable_controllers(root)?;
        fs::create_dir_all(&folder)?;
        return enable_controllers(&folder);
    }
    fs::create_dir_all(&folder)?;
    // A cpuset without processors and memory takes no process, and a child starts without.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if root.join(file).exists() {
            fs::write(folder.join(file), fs::read(root.join(file))?)?;
        }
    }
    Ok(())
}

/// Switches on for the folder's children what a node needs and they don't have. One that the kernel refuses is left off:
/// should the kubelet insist on it, it says so itself.
fn enable_controllers(folder: &Path) -> io::Result<()> {
    let switches = folder.join("cgroup.subtree_control");
    let available = fs::read_to_string(folder.join("cgroup.controllers"))?;
    for controller in switched_off(&available, &fs::read_to_string(&switches)?) {
        if let Err(error) = fs::write(&switches, format!("+{controller}")) {
            say(format!(
                "cgroup controller {controller} stays off in {}: {error}",
                folder.display()
            ));
        }
    }
    Ok(())
}

/// Which of [`CONTROLLERS`] are available and not switched on.
fn switched_off(available: &str, on: &str) -> Vec<&'static str> {
    let has = |list: &str, name: &str| list.split_whitespace().any(|word| word == name);
    CONTROLLERS
        .iter()
        .copied()
        .filter(|name| has(available, name) && !has(on, name))
        .collect()
}

fn remove_tree(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_there_and_off_is_switched_on() {
        let available = "cpuset cpu io memory hugetlb pids rdma misc dmem\n";
        assert_eq!(
            switched_off(available, "cpu memory pids\n"),
            ["cpuset", "io", "hugetlb"]
        );
        assert_eq!(switched_off("cpu rdma\n", "\n"), ["cpu"]);
        assert!(switched_off("\n", "\n").is_empty());
    }
}

//! What the machine must have before a cluster can run on it, all of it checked at once.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::go_version;

/// A program, why it is needed, and the Debian package that has it.
struct Program {
    name: &'static str,
    purpose: &'static str,
    package: &'static str,
}

const PROGRAMS: &[Program] = &[
    Program {
        name: "ip",
        purpose: "links between the nodes",
        package: "iproute2",
    },
    Program {
        name: "unshare",
        purpose: "namespaces of the nodes",
        package: "util-linux",
    },
    Program {
        name: "nsenter",
        purpose: "running programs on the nodes",
        package: "util-linux",
    },
    Program {
        name: "mount",
        purpose: "the nodes' own /var, /run, /opt and /etc",
        package: "mount",
    },
    Program {
        name: "runc",
        purpose: "containers",
        package: "runc",
    },
    Program {
        name: "iptables",
        purpose: "the bridge plugin's ipMasq",
        package: "iptables",
    },
    Program {
        name: "busybox",
        purpose: "the image of pods, statically linked",
        package: "busybox-static",
    },
    Program {
        name: "sqlite3",
        purpose: "looking into the daemons' stores",
        package: "sqlite3",
    },
];

const GO: Program = Program {
    name: "go",
    purpose: "building Kubernetes and containerd once",
    package: "none that is new enough, see https://go.dev/dl",
};

/// Checks that a cluster can be started here; `go` only matters if something is still to be built.
///
/// # Errors
/// One line for each thing that is missing, with what it is for and where Debian has it.
pub fn check(needs_go: bool) -> Result<()> {
    let mut missing = Vec::new();
    if !rustix::process::geteuid().is_root() {
        missing.push("not root: namespaces, mounts and cgroups need it; run this with sudo -E".to_owned());
    }
    for program in PROGRAMS.iter().chain(needs_go.then_some(&GO)) {
        if find(program.name).is_none() {
            missing.push(format!(
                "no `{}`, needed for {}; Debian: {}",
                program.name, program.purpose, program.package
            ));
        }
    }
    if let Some(busybox) = find("busybox")
        && fs::read(&busybox).is_ok_and(|bytes| is_dynamic(&bytes))
    {
        missing.push(format!(
            "{} is not statically linked; Debian: busybox-static",
            busybox.display()
        ));
    }
    if needs_go
        && let Some(go) = find("go")
        && let Err(reason) = go_version::check(&go)
    {
        missing.push(reason);
    }
    if !offers_overlay() {
        // A file system that nobody has mounted yet may be a module that isn't loaded. What modprobe says is not of interest.
        let _ = Command::new("modprobe")
            .arg("overlay")
            .stderr(Stdio::null())
            .status();
        if !offers_overlay() {
            missing.push("the kernel does not offer overlayfs, with `modprobe overlay` neither".to_owned());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!("a test cluster can't run here:\n  - {}", missing.join("\n  - "))
}

fn offers_overlay() -> bool {
    let list = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    list.split_whitespace().any(|word| word == "overlay")
}

/// Finds a program in PATH, and where root's programs usually are.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/go/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// A dynamically linked program names its loader; that name is the only thing looked for.
fn is_dynamic(elf: &[u8]) -> bool {
    let loader = b"/ld-linux";
    let musl = b"/lib/ld-musl";
    let head = &elf[..elf.len().min(4096)];
    head.windows(loader.len()).any(|window| window == loader)
        || head.windows(musl.len()).any(|window| window == musl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_recognised() {
        assert!(is_dynamic(b"\x7fELF....../lib64/ld-linux-x86-64.so.2\0"));
        assert!(!is_dynamic(b"\x7fELF......"));
    }
}

//! Building programs from the Go modules in `go/`, once, into a cache.

use std::fmt::Write;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use ring::digest::{Context as Digest, SHA256, digest};
use tokio::process::Command;

use crate::command;
use crate::names::{self, KUBERNETES_VERSION};
use crate::prerequisites;
use crate::progress::Step;

/// The folders of the Go modules under `go/`.
pub(crate) const MODULES: [&str; 2] = ["kubernetes", "runtime"];

/// A program and the package it is built from.
#[derive(Debug)]
pub struct GoProgram {
    /// What it is called.
    pub name: &'static str,
    /// The folder of the Go module under `go/` that pins it.
    module: &'static str,
    package: &'static str,
    /// Said while it is built; times are of a cold build on two cores, in the order of [`PROGRAMS`].
    duration: &'static str,
    /// The source of one that is ours. What the cache is named after doesn't change with it.
    source: Option<&'static str>,
}

/// Every program of a cluster. Order matters for the times only: the first of a module compiles what the others share.
pub const PROGRAMS: &[GoProgram] = &[
    kubernetes("etcd", "go.etcd.io/etcd/server/v3", "about 1 minute"),
    kubernetes(
        "kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "about 4 minutes",
    ),
    kubernetes(
        "kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "about 2 minutes",
    ),
    kubernetes(
        "kube-scheduler",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "seconds",
    ),
    kubernetes("kubelet", "k8s.io/kubernetes/cmd/kubelet", "half a minute"),
    kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl", "half a minute"),
    runtime(
        "containerd",
        "github.com/containerd/containerd/v2/cmd/containerd",
        "about 1 minute",
    ),
    runtime(
        "containerd-shim-runc-v2",
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        "seconds",
    ),
    runtime("ctr", "github.com/containerd/containerd/v2/cmd/ctr", "seconds"),
    runtime("cnitool", "github.com/containernetworking/cni/cnitool", "seconds"),
    runtime(
        "bridge",
        "github.com/containernetworking/plugins/plugins/main/bridge",
        "seconds",
    ),
    runtime(
        "loopback",
        "github.com/containernetworking/plugins/plugins/main/loopback",
        "seconds",
    ),
    runtime(
        "macvlan",
        "github.com/containernetworking/plugins/plugins/main/macvlan",
        "seconds",
    ),
    runtime(
        "host-local",
        "github.com/containernetworking/plugins/plugins/ipam/host-local",
        "seconds",
    ),
    GoProgram {
        source: Some(include_str!("../go/runtime/libcni-gc/main.go")),
        ..runtime("libcni-gc", "nv-ipam/e2e/runtime/libcni-gc", "seconds")
    },
    GoProgram {
        source: Some(include_str!("../go/runtime/grpc-go/main.go")),
        ..runtime("grpc-go", "nv-ipam/e2e/runtime/grpc-go", "seconds")
    },
];

const fn kubernetes(name: &'static str, package: &'static str, duration: &'static str) -> GoProgram {
    GoProgram {
        name,
        module: "kubernetes",
        package,
        duration,
        source: None,
    }
}

const fn runtime(name: &'static str, package: &'static str, duration: &'static str) -> GoProgram {
    GoProgram {
        name,
        module: "runtime",
        package,
        duration,
        source: None,
    }
}

impl GoProgram {
    /// Its name in the cache.
    #[must_use]
    pub fn file_name(&self) -> String {
        match self.source {
            Some(source) => format!("{}-{}", self.name, key(digest(&SHA256, source.as_bytes()))),
            None => self.name.to_owned(),
        }
    }
}

/// A name for the cache folder that changes with anything that changes the programs: the pinned modules and the Go version.
pub async fn cache_key(go: &Path) -> Result<String> {
    let mut digest = Digest::new(&SHA256);
    for module in MODULES {
        for file in ["go.mod", "go.sum"] {
            let path = names::repository().join("e2e/go").join(module).join(file);
            digest
                .update(&std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?);
        }
    }
    digest.update(
        command::run(command::command(&[go.as_os_str(), "version".as_ref()]), b"")
            .await?
            .success()?
            .as_bytes(),
    );
    Ok(key(digest.finish()))
}

/// As much of a digest as tells builds apart.
fn key(digest: ring::digest::Digest) -> String {
    hex(&digest.as_ref()[..8])
}

/// Builds one program into `cache`. What is there is complete: it is written under another name and renamed.
pub async fn build(program: &GoProgram, cache: &Path) -> Result<()> {
    let go = prerequisites::find("go").context("no `go`")?;
    std::fs::create_dir_all(cache).with_context(|| format!("could not make {}", cache.display()))?;
    let step = Step::begin(format!(
        "building {}{} (once, {})",
        program.name,
        version(program),
        program.duration
    ));
    let target = cache.join(program.file_name());
    let unfinished = cache.join(format!(".{}.{}", program.name, std::process::id()));
    let status = Command::new(go)
        .args([
            "build",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags",
            &link_flags(),
            "-o",
        ])
        .arg(&unfinished)
        .arg(program.package)
        .current_dir(names::repository().join("e2e/go").join(program.module))
        // Static, so that a program needs nothing of the machine it runs on.
        .envs([
            ("CGO_ENABLED", "0"),
            ("GOFLAGS", "-mod=readonly"),
            ("GOWORK", "off"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .context("could not start `go build`")?;
    if !status.success() {
        let _ = std::fs::remove_file(&unfinished);
    }
    ensure!(
        status.success(),
        "`go build {}` failed, see above; modules come from GOPROXY ({})",
        program.package,
        goproxy()
    );
    std::fs::rename(&unfinished, &target)
        .with_context(|| format!("could not move a program to {}", target.display()))?;
    step.end();
    Ok(())
}

/// Its version, to be said after its name; nothing for one that is ours.
fn version(program: &GoProgram) -> String {
    let file = names::repository()
        .join("e2e/go")
        .join(program.module)
        .join("go.mod");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    pinned_version(&text, program.package)
        .map(|version| format!(" {version}"))
        .unwrap_or_default()
}

/// The version that a go.mod requires of the module that contains `package`.
fn pinned_version(go_mod: &str, package: &str) -> Option<String> {
    let lines = go_mod
        .lines()
        .map(|line| line.trim().trim_start_matches("require ").trim());
    let requirements = lines.filter_map(|line| {
        let (module, version) = line.split_once(' ')?;
        (version.starts_with('v') && package.starts_with(module)).then_some((module, version))
    });
    let (_, version) = requirements.max_by_key(|(module, _)| module.len())?;
    version.split_whitespace().next().map(str::to_owned)
}

/// kubectl can't parse the version of an API server that was linked without one.
fn link_flags() -> String {
    let package = "k8s.io/component-base/version";
    let mut numbers = KUBERNETES_VERSION.trim_start_matches('v').split('.');
    let (major, minor) = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    format!(
        "-s -w -X {package}.gitVersion={KUBERNETES_VERSION} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    )
}

fn goproxy() -> String {
    std::env::var("GOPROXY").unwrap_or_else(|_| "the default".to_owned())
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string can't fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_module_that_contains_the_package_gives_its_version() {
        let go_mod = "module x\n\nrequire k8s.io/kubernetes v1.36.3\n\nrequire (\n\tgo.etcd.io/etcd v1.0.0\n\tgo.etcd.io/etcd/server/v3 v3.6.8 // indirect\n)\n";
        assert_eq!(
            pinned_version(go_mod, "k8s.io/kubernetes/cmd/kubelet").as_deref(),
            Some("v1.36.3")
        );
        assert_eq!(
            pinned_version(go_mod, "go.etcd.io/etcd/server/v3").as_deref(),
            Some("v3.6.8")
        );
        assert_eq!(pinned_version(go_mod, "example.org/other"), None);
    }

    #[test]
    fn go_mod_pins_the_kubernetes_version_that_is_linked_in() {
        let go_mod = include_str!("../go/kubernetes/go.mod");
        assert_eq!(
            pinned_version(go_mod, "k8s.io/kubernetes/cmd/kubelet").as_deref(),
            Some(KUBERNETES_VERSION)
        );
    }
}

//! Our own three programs, built as they are shipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::command;
use crate::names;
use crate::progress::Step;

/// The folder in a cluster's folder that they are copied to, so that a later build doesn't change a running cluster.
pub const FOLDER: &str = "ours";

/// The three programs, built.
#[derive(Debug, Clone)]
pub struct Ours {
    programs: Vec<PathBuf>,
}

impl Ours {
    /// Builds them: release builds, as shipped, which take minutes on two cores. `E2E_PROFILE=dev` is for working on a test.
    pub async fn build() -> Result<Self> {
        let quick = std::env::var("E2E_PROFILE").is_ok_and(|profile| profile == "dev");
        let (daemons, plugin) = if quick {
            ("dev", "dev")
        } else {
            ("release", "shim")
        };
        let step = Step::begin(format!(
            "building ipam-controller, ipam-node ({daemons}) and nv-ipam ({plugin})"
        ));
        let mut built = cargo(
            &["build", "--profile", daemons, "-p", "operator", "-p", "node"],
            "",
        )
        .await?;
        built.extend(build_static("cni", plugin).await?);
        step.end();
        let named = |name: &str| {
            let path = built
                .iter()
                .find(|path| path.file_name().is_some_and(|file| file == name));
            path.cloned().with_context(|| format!("cargo built no {name}"))
        };
        let programs = ["ipam-controller", "ipam-node", "nv-ipam"]
            .into_iter()
            .map(named)
            .collect::<Result<_>>()?;
        Ok(Self { programs })
    }

    /// Copies them to `CLUSTER/ours/{ipam-controller,ipam-node,nv-ipam}`.
    pub fn copy_to(&self, cluster: &Path) -> Result<()> {
        let folder = cluster.join(FOLDER);
        fs::create_dir_all(&folder)?;
        for path in &self.programs {
            let name = path.file_name().context("a program without a name")?;
            fs::copy(path, folder.join(name))
                .with_context(|| format!("could not copy {}", path.display()))?;
        }
        Ok(())
    }
}

/// Builds what runs in whatever image a node is, and so is linked statically: with musl, or with glibc where there is none.
/// Returns the programs of the package.
pub(crate) async fn build_static(package: &str, profile: &str) -> Result<Vec<PathBuf>> {
    let musl = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let gnu = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let (target, flags) = if has_target(&musl).await {
        (musl, "")
    } else {
        (gnu, "-C target-feature=+crt-static")
    };
    cargo(
        &["build", "--profile", profile, "-p", package, "--target", &target],
        flags,
    )
    .await
}

/// True if the target's standard library is there, or rustup could get it.
async fn has_target(target: &str) -> bool {
    let mut command = command::command(&["rustup", "target", "add", target]);
    command.current_dir(names::repository());
    command::run(command, b"").await.is_ok_and(|ran| ran.ok())
}

#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

/// Runs cargo in the repository and returns the programs it built. What it prints for people goes to stderr.
async fn cargo(arguments: &[&str], rust_flags: &str) -> Result<Vec<PathBuf>> {
    let mut command = command::cargo();
    command
        .args(arguments)
        .arg("--message-format=json-render-diagnostics");
    if !rust_flags.is_empty() {
        command.env("RUSTFLAGS", rust_flags);
    }
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("could not start cargo")?
        .wait_with_output()
        .await
        .context("could not read what cargo printed")?;
    ensure!(
        output.status.success(),
        "`cargo {}` failed, see above",
        arguments.join(" ")
    );
    let lines = output.stdout.split(|&byte| byte == b'\n');
    Ok(lines
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok()?.executable)
        .collect())
}

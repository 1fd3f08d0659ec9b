//! kubectl, for what users do with kubectl.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::command::{self, Ran};
use crate::names;

/// kubectl with a kubeconfig.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// This kubectl, as the user of this kubeconfig.
    #[must_use]
    pub fn new(program: PathBuf, kubeconfig: &Path) -> Self {
        Self {
            program,
            kubeconfig: kubeconfig.to_owned(),
        }
    }

    /// Runs it and returns what it printed; an exit code other than 0 is an error.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_with(arguments, "").await?.success()
    }

    /// Runs it with `stdin` as its input.
    pub async fn run_with(&self, arguments: &[&str], stdin: &str) -> Result<Ran> {
        let mut command = tokio::process::Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        command::run(command, stdin.as_bytes()).await
    }

    /// `kubectl apply` of these manifests; the API server's warnings are part of what is returned.
    pub async fn apply(&self, manifests: &str) -> Result<Ran> {
        self.run_with(&["apply", "--filename=-"], manifests).await
    }

    /// `kubectl apply` of a file, or of a folder as kustomize renders it if it has a kustomization.
    pub async fn apply_path(&self, path: &Path) -> Result<String> {
        self.run(&["apply", &source(path)]).await
    }

    /// Deletes what [`Kubectl::apply_path`] applies.
    pub(crate) async fn delete_path(&self, path: &Path) -> Result<String> {
        self.run(&["delete", "--ignore-not-found", &source(path)]).await
    }

    /// What there is of what [`Kubectl::apply_path`] applies, a kind and a name on each line.
    pub(crate) async fn existing_of(&self, path: &Path) -> Result<String> {
        self.run(&["get", "--ignore-not-found", "--output=name", &source(path)])
            .await
    }

    /// The CRDs, and the folders of our two programs in `config/`.
    pub(crate) fn our_manifests() -> [PathBuf; 3] {
        ["crd", "operator", "node"].map(|folder| names::repository().join("config").join(folder))
    }

    /// Applies the CRD and whatever the folders of our two programs in `config/` have, and waits until the API server
    /// serves the new kinds.
    pub async fn apply_ours(&self) -> Result<()> {
        for folder in Self::our_manifests() {
            self.apply_path(&folder).await?;
        }
        self.wait_established().await
    }

    /// Waits until the API server serves both kinds of pools.
    pub async fn wait_established(&self) -> Result<()> {
        self.run(&[
            "wait",
            "--for=condition=Established",
            "--timeout=30s",
            "crd",
            "ippools.nv-ipam.nvidia.com",
            "cidrpools.nv-ipam.nvidia.com",
        ])
        .await?;
        Ok(())
    }
}

/// The flag that names this file or folder.
fn source(path: &Path) -> String {
    let flag = if path.join("kustomization.yaml").exists() {
        "--kustomize"
    } else {
        "--filename"
    };
    format!("{flag}={}", path.display())
}

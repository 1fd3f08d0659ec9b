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
        let flag = if path.join("kustomization.yaml").exists() {
            "--kustomize"
        } else {
            "--filename"
        };
        self.run(&["apply", flag, &path.to_string_lossy()]).await
    }

    /// Applies the CRD and whatever the folders of our two programs in `config/` have, and waits until the API server
    /// serves the new kinds.
    pub async fn apply_ours(&self) -> Result<()> {
        for folder in ["config/crd", "config/operator", "config/node"] {
            self.apply_path(&names::repository().join(folder)).await?;
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

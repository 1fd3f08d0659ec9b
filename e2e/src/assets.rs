//! Where the programs of the cluster come from.
//!
//! For etcd and kube-apiserver `KUBEBUILDER_ASSETS` is asked first, as envtest does. Everything else, and these two without
//! it, is built from the Go modules in `go/` into a cache outside the checkout, named after what they pin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::go_build::{self, GoProgram, PROGRAMS};
use crate::names;
use crate::prerequisites;

/// The programs a cluster is made of, all present.
#[derive(Debug, Clone)]
pub struct Assets {
    /// The cache folder. Machines have it under [`names::INSIDE`]`/bin`.
    pub cache: PathBuf,
    /// The folder that `KUBEBUILDER_ASSETS` names, if it does. Machines have it under [`names::INSIDE`]`/kubebuilder`.
    pub kubebuilder: Option<PathBuf>,
    from_kubebuilder: BTreeMap<&'static str, PathBuf>,
}

impl Assets {
    /// Checks what the machine must have, then builds what is not there yet, saying so.
    pub async fn ensure() -> Result<Self> {
        let kubebuilder = std::env::var_os("KUBEBUILDER_ASSETS")
            .filter(|value| !value.is_empty())
            .map(PathBuf::from);
        let from_kubebuilder = kubebuilder
            .as_deref()
            .map(offered)
            .transpose()?
            .unwrap_or_default();
        let cache = match prerequisites::find("go") {
            Some(go) => names::cache_root()?.join(go_build::cache_key(&go).await?),
            None => names::cache_root()?.join("no-go"),
        };
        let missing: Vec<_> = PROGRAMS
            .iter()
            .filter(|program| {
                !from_kubebuilder.contains_key(program.name) && !cache.join(program.file_name()).exists()
            })
            .collect();
        prerequisites::check(!missing.is_empty())?;
        for program in missing {
            go_build::build(program, &cache).await?;
        }
        Ok(Self {
            cache,
            kubebuilder,
            from_kubebuilder,
        })
    }

    /// Where a program lies on the host.
    #[must_use]
    pub fn on_host(&self, name: &str) -> PathBuf {
        self.from_kubebuilder
            .get(name)
            .cloned()
            .unwrap_or_else(|| self.cache.join(in_cache(name)))
    }

    /// Where a program lies inside a machine.
    #[must_use]
    pub fn inside(&self, name: &str) -> String {
        if self.from_kubebuilder.contains_key(name) {
            format!("{}/kubebuilder/{name}", names::INSIDE)
        } else {
            format!("{}/bin/{}", names::INSIDE, in_cache(name))
        }
    }
}

/// What a program is called in the cache.
fn in_cache(name: &str) -> String {
    let program = PROGRAMS.iter().find(|program| program.name == name);
    program.map_or_else(|| name.to_owned(), GoProgram::file_name)
}

/// Which of the two programs that envtest brings are in its folder.
fn offered(folder: &Path) -> Result<BTreeMap<&'static str, PathBuf>> {
    let folder = folder.canonicalize().with_context(|| {
        format!(
            "KUBEBUILDER_ASSETS names {}, which can't be read; correct it or unset it",
            folder.display()
        )
    })?;
    let programs = ["etcd", "kube-apiserver"].map(|name| (name, folder.join(name)));
    Ok(programs.into_iter().filter(|(_, path)| path.is_file()).collect())
}

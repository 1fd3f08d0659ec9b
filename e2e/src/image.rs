//! The image of pods and sandboxes, without a registry: a static busybox in the format that `docker save` writes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ring::digest::{SHA256, digest};
use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::go_build::hex;
use crate::names::{POD_IMAGE, SANDBOX_IMAGE};
use crate::prerequisites;

/// The applets that pods may call by name.
const APPLETS: &[&str] = &[
    "sh", "sleep", "ping", "ip", "cat", "ls", "nc", "wget", "httpd", "true", "false", "id", "hostname",
];

/// Writes the archive into `folder` and returns its path.
pub fn write(folder: &Path) -> Result<PathBuf> {
    let busybox = prerequisites::find("busybox").context("no `busybox`; Debian: busybox-static")?;
    let busybox = fs::read(&busybox).with_context(|| format!("could not read {}", busybox.display()))?;
    let path = folder.join("image.tar");
    fs::write(&path, archive(&busybox)?).with_context(|| format!("could not write {}", path.display()))?;
    Ok(path)
}

fn archive(busybox: &[u8]) -> Result<Vec<u8>> {
    let layer = layer(busybox)?;
    let config = serde_json::to_vec(&json!({
        "architecture": architecture(),
        "os": "linux",
        "config": { "Cmd": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex(digest(&SHA256, &layer).as_ref()))] },
    }))?;
    let manifest = serde_json::to_vec(&json!([
        { "Config": "config.json", "RepoTags": [SANDBOX_IMAGE, POD_IMAGE], "Layers": ["layer.tar"] }
    ]))?;
    let mut builder = Builder::new(Vec::new());
    append(&mut builder, "layer.tar", 0o644, &layer)?;
    append(&mut builder, "config.json", 0o644, &config)?;
    append(&mut builder, "manifest.json", 0o644, &manifest)?;
    Ok(builder.into_inner()?)
}

fn layer(busybox: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for folder in ["bin/", "etc/", "tmp/"] {
        let mut header = header(EntryType::Directory, 0o755, 0);
        builder.append_data(&mut header, folder, std::io::empty())?;
    }
    append(&mut builder, "bin/busybox", 0o755, busybox)?;
    for applet in APPLETS {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        builder.append_link(&mut header, format!("bin/{applet}"), "busybox")?;
    }
    Ok(builder.into_inner()?)
}

fn append(builder: &mut Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) -> Result<()> {
    let mut header = header(EntryType::Regular, mode, content.len() as u64);
    builder.append_data(&mut header, path, content)?;
    Ok(())
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header
}

/// The name that container images use for this machine's architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layer_has_the_program_and_a_link_for_each_applet() {
        let bytes = layer(b"\x7fELF").expect("a layer");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let paths: Vec<_> = archive
            .entries()
            .expect("entries")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .path()
                    .expect("a path")
                    .display()
                    .to_string()
            })
            .collect();
        assert!(paths.contains(&"bin/busybox".to_owned()), "{paths:?}");
        assert!(paths.contains(&"bin/ping".to_owned()), "{paths:?}");
    }
}

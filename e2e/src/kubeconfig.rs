//! Files that tell a client where the API server is and who it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use crate::pki::Identity;

/// How a client shows who it is.
#[derive(Debug)]
pub enum Credential<'a> {
    /// With a certificate of the cluster's authority.
    Certificate(&'a Identity),
    /// With the token of a ServiceAccount.
    Token(&'a str),
}

/// Writes a kubeconfig, readable by its owner only.
pub fn write(path: &Path, server: &str, ca_pem: &str, credential: &Credential<'_>) -> Result<()> {
    write_private(
        path,
        &serde_json::to_string_pretty(&document(server, ca_pem, credential))?,
    )
}

/// Writes a file that only its owner may read. (JSON is YAML, and nothing in it needs a quoting rule.)
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("could not write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}

fn document(server: &str, ca_pem: &str, credential: &Credential<'_>) -> Value {
    let user = match credential {
        Credential::Token(token) => json!({ "token": token }),
        Credential::Certificate(identity) => json!({
            "client-certificate-data": base64(&identity.certificate_pem),
            "client-key-data": base64(&identity.key_pem),
        }),
    };
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "e2e", "cluster": {
            "server": server,
            "certificate-authority-data": base64(ca_pem),
        } }],
        "users": [{ "name": "e2e", "user": user }],
        "contexts": [{ "name": "e2e", "context": { "cluster": "e2e", "user": "e2e" } }],
        "current-context": "e2e",
    })
}

/// Kubernetes' own type for bytes, which serialises as base64.
fn base64(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}

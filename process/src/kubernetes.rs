//! The client for the Kubernetes API.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

/// How long a connection to the API server may take to be set up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may be silent in the middle of an answer. Longer than a watch lasts ([`crate::watch`]), so that
/// one on which nothing happens is left alone; without it, a request to a machine that vanished would wait forever.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// Why there is no client. None of these means that the API server can't be reached: that shows only when it is asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file that the flag names.
    #[error("kubeconfig {path} can't be used; check the file that --kubeconfig names")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: kube::config::KubeconfigError,
    },
    /// No flag, and nothing in the environment.
    #[error(
        "no way to reach the API server: give --kubeconfig, set KUBECONFIG, or run in a pod with a service account"
    )]
    Environment(#[source] kube::config::InferConfigError),
    /// The configuration can't be turned into a client.
    #[error("the Kubernetes client can't be set up")]
    Client(#[source] kube::Error),
}

/// Chooses the cryptography that TLS uses. Must come before the first connection; [`crate::run`] does it.
pub fn install_crypto_provider() {
    // Fails only if it was done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The client's configuration: from the kubeconfig at `path`, or, without one or with an empty one, from the environment.
///
/// The client retries nothing by itself, so that a caller's deadline holds, and gives up on a connection that can't be
/// set up or has fallen silent. That is all the limit it has for an answer, because a watch takes long: callers bound what
/// they wait for.
pub async fn config(path: Option<&Path>) -> Result<Config, ClientError> {
    let mut config = match path.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => from_file(path).await.map_err(|source| ClientError::Kubeconfig {
            path: path.to_owned(),
            source,
        })?,
        None => Config::infer().await.map_err(ClientError::Environment)?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.default_retry = false;
    Ok(config)
}

async fn from_file(path: &Path) -> Result<Config, kube::config::KubeconfigError> {
    Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &KubeConfigOptions::default()).await
}

/// The client that [`config`] describes.
pub async fn client(path: Option<&Path>) -> Result<Client, ClientError> {
    let config = config(path).await?;
    // Errors of connections say what went wrong, and not with whom.
    tracing::info!(server = %config.cluster_url, "working with this API server");
    Client::try_from(config).map_err(ClientError::Client)
}

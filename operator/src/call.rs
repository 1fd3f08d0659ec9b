//! Calls to the API server, none of which may take for ever.

use std::time::Duration;

use tokio::time::timeout;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server refused it, or couldn't be reached.
    #[error("{}", described(.0))]
    Api(#[from] kube::Error),
    /// No answer came. The API server may have done what it was asked to, or may do it later.
    #[error("no answer within {} s", .0.as_secs_f32())]
    NoAnswer(Duration),
}

impl CallError {
    /// What the API server said, if it said something.
    #[must_use]
    pub fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Api(kube::Error::Api(status)) => Some(status),
            _ => None,
        }
    }
}

/// An error of the client, for people. The API server's own words, without the object that they come in.
#[must_use]
pub fn described(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        other => process::chain(other),
    }
}

/// Waits for `call`, at most for `limit`.
pub async fn within<T>(limit: Duration, call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match timeout(limit, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::NoAnswer(limit)),
    }
}

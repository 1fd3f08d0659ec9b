//! Kubeconfigs of ServiceAccounts, so that our processes have the rights of their manifests and no others.

use std::path::Path;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{AuthInfo, Kubeconfig};
use kube::{Api, Client};

use crate::names::NAMESPACE;
use crate::progress::say;

/// A week, in seconds: longer than any run of tests, and than somebody plays with a cluster that was left running.
const VALID_SECONDS: i64 = 7 * 24 * 60 * 60;

/// Writes the administrator's kubeconfig again with a token of this ServiceAccount in the place of the administrator.
pub async fn write_kubeconfig(client: &Client, admin: &Path, account: &str, path: &Path) -> Result<()> {
    let token = token(client, account).await?;
    let mut config =
        Kubeconfig::read_from(admin).with_context(|| format!("could not read {}", admin.display()))?;
    for user in &mut config.auth_infos {
        user.auth_info = Some(AuthInfo {
            token: Some(token.clone().into()),
            ..AuthInfo::default()
        });
    }
    crate::kubeconfig::write_private(path, &serde_json::to_string_pretty(&config)?)
}

async fn token(client: &Client, account: &str) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(VALID_SECONDS),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let answer = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await
        .with_context(|| {
            format!("no token for the ServiceAccount {NAMESPACE}/{account}; is its manifest applied?")
        })?;
    let status = answer
        .status
        .context("the API server answered a TokenRequest without a token")?;
    if answer.spec.expiration_seconds < Some(VALID_SECONDS) {
        // Somebody else's cluster may allow less (--service-account-max-token-expiration).
        say(format!(
            "the token of {NAMESPACE}/{account} is valid until {} only; what runs with it stops working then",
            status.expiration_timestamp.0
        ));
    }
    Ok(status.token)
}

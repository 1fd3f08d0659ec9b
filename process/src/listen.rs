//! Taking an address to listen on, as a flag names it.

use std::io;
use std::net::Ipv4Addr;

use tokio::net::TcpListener;

/// An address that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address:?} for {purpose}; choose another with --{flag}")]
pub struct BindError {
    address: String,
    purpose: &'static str,
    flag: &'static str,
    source: io::Error,
}

/// Takes `address`: `host:port`, `:port` for all addresses, `0` or empty for none. `purpose` and `flag` are for the error:
/// what it is for, and which flag gives it.
pub async fn listen(
    address: &str,
    purpose: &'static str,
    flag: &'static str,
) -> Result<Option<TcpListener>, BindError> {
    if matches!(address, "" | "0") {
        return Ok(None);
    }
    let bound = match address.strip_prefix(':') {
        // Both families; where there is no IPv6, what there is.
        Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
            Err(_) => TcpListener::bind(format!("{}:{port}", Ipv4Addr::UNSPECIFIED)).await,
            bound => bound,
        },
        None => TcpListener::bind(address).await,
    };
    bound.map(Some).map_err(|source| BindError {
        address: address.to_owned(),
        purpose,
        flag,
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_alone_means_every_address() {
        let listener = listen(":0", "tests", "test").await.unwrap().unwrap();
        assert!(listener.local_addr().unwrap().ip().is_unspecified());
    }

    #[tokio::test]
    async fn zero_means_none() {
        for none in ["", "0"] {
            assert!(listen(none, "tests", "test").await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn a_taken_address_is_an_error_that_names_the_flag() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = listen(&address, "probes", "health-probe-bind-address")
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "can't listen on {address:?} for probes; choose another with --health-probe-bind-address"
            )
        );
    }
}

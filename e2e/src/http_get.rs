//! A plain HTTP request, for probes and metrics.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(5);

/// The status code and the body of `GET path`. HTTP/1.0, so that the body is simply all that comes.
pub async fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())
            .await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    let url = format!("http://{address}{path}");
    let answer = tokio::time::timeout(LIMIT, exchange)
        .await
        .with_context(|| format!("no answer from {url} in 5 s"))?;
    parse(&answer.with_context(|| format!("GET {url}"))?)
        .with_context(|| format!("{url} did not answer with HTTP"))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head
        .strip_prefix("HTTP/")?
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()?;
    Some((code, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_and_the_body_are_taken_apart() {
        let answer = "HTTP/1.0 503 Service Unavailable\r\nContent-Type: text/plain\r\n\r\nnot synced\n";
        assert_eq!(parse(answer), Some((503, "not synced\n".to_owned())));
    }
}

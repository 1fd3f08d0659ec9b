//! Whether the daemon could serve the plugin now, as `/readyz` says it.

use std::time::Duration;

use process::readiness::{Gate, Readiness};
use process::shutdown::Shutdown;
use tokio::time;
use tokio::time::error::Elapsed;

use crate::bind_address::BindAddress;
use crate::greeting;
use crate::refusal::Refusal;
use crate::writer::Writer;

/// How often it is looked, in a daemon.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// How long the writer may take to answer, behind whatever waits already. Callers have given up by then.
const WRITER_TIMEOUT: Duration = Duration::from_secs(5);

/// What readiness waits for.
#[derive(Debug)]
pub struct Gates {
    /// All of them.
    pub readiness: Readiness,
    /// The store is open, can be written, and its writer answers.
    pub store: Gate,
    /// The socket is where the plugin looks for it, and answers.
    pub socket: Gate,
    /// Pools are known, from the API server or from before. Not looked at here: they don't get unknown again.
    pub pools: Gate,
}

impl Gates {
    /// All closed.
    #[must_use]
    pub fn new() -> Self {
        let readiness = Readiness::new();
        Self {
            store: readiness.gate("store"),
            socket: readiness.gate("socket"),
            pools: readiness.gate("pools"),
            readiness,
        }
    }
}

impl Default for Gates {
    fn default() -> Self {
        Self::new()
    }
}

/// Looks again and again at what was found to work at the start.
#[derive(Debug)]
pub struct Health {
    address: BindAddress,
    writer: Writer,
    socket: Part,
    store: Part,
}

impl Health {
    /// Of the daemon that answers at `address`, to open and close two of `gates`.
    #[must_use]
    pub fn new(address: BindAddress, writer: Writer, gates: &Gates) -> Self {
        Self {
            address,
            writer,
            socket: Part::new("the socket", gates.socket.clone()),
            store: Part::new("the store", gates.store.clone()),
        }
    }

    /// Looks every `interval` until `stop` is requested. Then the socket's gate is closed for good.
    pub async fn run(mut self, interval: Duration, stop: Shutdown) {
        let look = async {
            loop {
                time::sleep(interval).await;
                let (socket, store) = tokio::join!(socket(&self.address), store(&self.writer));
                self.socket.found(socket);
                self.store.found(store);
            }
        };
        tokio::select! {
            biased;
            () = stop.requested() => {}
            () = look => {}
        }
        self.socket.gate.close("stopping");
    }
}

async fn socket(address: &BindAddress) -> Result<(), String> {
    let answer = greeting::greet(address).await;
    answer.map_err(|error| format!("nobody answers on {address}: {error}; if that lasts, restart ipam-node"))
}

async fn store(writer: &Writer) -> Result<(), String> {
    verdict(time::timeout(WRITER_TIMEOUT, writer.can_allocate()).await)
}

fn verdict(answer: Result<Result<(), Refusal>, Elapsed>) -> Result<(), String> {
    match answer {
        // No pools yet is the gate of the pools' business, and says that the writer answers.
        Ok(Ok(()) | Err(Refusal::NoTable)) => Ok(()),
        Ok(Err(refusal)) => Err(refusal.to_string()),
        Err(_) => Err(format!(
            "its writer has not answered for {WRITER_TIMEOUT:?}; look at the node's disk"
        )),
    }
}

/// What the plugin needs, and what was last found of it.
#[derive(Debug)]
struct Part {
    name: &'static str,
    gate: Gate,
    trouble: Option<String>,
}

impl Part {
    /// It worked at the start.
    fn new(name: &'static str, gate: Gate) -> Self {
        Self {
            name,
            gate,
            trouble: None,
        }
    }

    fn found(&mut self, found: Result<(), String>) {
        let trouble = found.err();
        if trouble == self.trouble {
            return;
        }
        if let Some(reason) = &trouble {
            tracing::error!("not ready, {} fails: {reason}", self.name);
            self.gate.close(reason.as_str());
        } else {
            tracing::info!("{} works again", self.name);
            self.gate.open();
        }
        self.trouble = trouble;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn the_store_fails_when_it_is_full_or_its_writer_stands_but_not_for_want_of_pools() {
        let full = Refusal::StoreFull {
            store: "/store".to_owned(),
            cause: "database or disk is full".to_owned(),
        };
        assert_eq!(verdict(Ok(Ok(()))), Ok(()));
        assert_eq!(verdict(Ok(Err(Refusal::NoTable))), Ok(()));
        assert_eq!(verdict(Ok(Err(full.clone()))), Err(full.to_string()));
        assert!(verdict(Ok(Err(Refusal::Stopping))).is_err());
        assert!(verdict(time::timeout(Duration::ZERO, pending()).await).is_err());
    }

    #[test]
    fn a_gate_follows_what_is_found() {
        let gates = Gates::new();
        gates.pools.open();
        gates.socket.open();
        gates.store.open();
        let mut part = Part::new("the store", gates.store.clone());
        for (found, ready) in [
            (Ok(()), Ok(())),
            (Err("full"), Err("store: full\n")),
            (Err("stuck"), Err("store: stuck\n")),
            (Ok(()), Ok(())),
        ] {
            part.found(found.map_err(str::to_owned));
            assert_eq!(gates.readiness.check(), ready.map_err(str::to_owned));
        }
    }
}

//! Readiness: a process is ready when every part that has something to wait for says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The gates of one process.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, Option<String>>>>);

/// One thing that readiness waits for. It starts closed.
#[derive(Clone, Debug)]
pub struct Gate {
    name: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// Ready, as nothing is waited for yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds something to wait for. Until the gate is opened the process isn't ready.
    #[must_use]
    pub fn gate(&self, name: &'static str) -> Gate {
        let gate = Gate {
            name,
            readiness: self.clone(),
        };
        gate.close("not yet");
        gate
    }

    /// What is still waited for, a line each; `Ok` if nothing.
    pub fn check(&self) -> Result<(), String> {
        let gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let closed: Vec<String> = gates
            .iter()
            .filter_map(|(name, reason)| reason.as_ref().map(|reason| format!("{name}: {reason}\n")))
            .collect();
        if closed.is_empty() {
            Ok(())
        } else {
            Err(closed.concat())
        }
    }

    fn set(&self, name: &'static str, reason: Option<String>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, reason);
    }
}

impl Gate {
    /// Whether what it stands for is there, or why not.
    pub fn check(&self) -> Result<(), String> {
        let gates = self.readiness.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.get(self.name).cloned().flatten().map_or(Ok(()), Err)
    }

    /// What it stands for is there.
    pub fn open(&self) {
        self.readiness.set(self.name, None);
    }

    /// What it stands for isn't there, or no longer.
    pub fn close(&self, reason: impl Into<String>) {
        self.readiness.set(self.name, Some(reason.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gate_must_be_open() {
        let readiness = Readiness::new();
        assert_eq!(readiness.check(), Ok(()));
        let (store, caches) = (readiness.gate("store"), readiness.gate("caches"));
        assert_eq!(
            readiness.check(),
            Err("caches: not yet\nstore: not yet\n".to_owned())
        );
        store.open();
        caches.open();
        assert_eq!(readiness.check(), Ok(()));
        store.close("disk full");
        assert_eq!(
            (caches.check(), store.check()),
            (Ok(()), Err("disk full".to_owned()))
        );
        assert_eq!(readiness.check(), Err("store: disk full\n".to_owned()));
    }
}

//! Readiness, as far as it waits for the pools.

use process::readiness::Gate;

use crate::refusal::Refusal;

/// Opens a gate for good when the pools are known. Until then a table that can't be stored closes it.
pub(super) struct Synced {
    gate: Gate,
    is_open: bool,
    /// What the gate said before a table was refused.
    before: Option<Result<(), String>>,
}

impl Synced {
    pub(super) fn new(gate: Gate) -> Self {
        Self {
            gate,
            is_open: false,
            before: None,
        }
    }

    /// The writer didn't take a table.
    pub(super) fn table_refused(&mut self, refusal: &Refusal) {
        if self.is_open {
            return;
        }
        if self.before.is_none() {
            self.before = Some(self.gate.check());
        }
        self.gate.close(format!(
            "known from the API server, but they can't be stored: {refusal}"
        ));
    }

    /// The writer has the table that there is. That need not be all that is waited for.
    pub(super) fn table_stored(&mut self) {
        match self.before.take() {
            None => {}
            Some(Ok(())) => self.gate.open(),
            Some(Err(reason)) => self.gate.close(reason),
        }
    }

    /// All is known that the API server is ready to say. Whether that is news.
    pub(super) fn open(&mut self) -> bool {
        if !self.is_open {
            self.gate.open();
        }
        !std::mem::replace(&mut self.is_open, true)
    }
}

#[cfg(test)]
mod tests {
    use process::readiness::Readiness;

    use super::*;

    #[test]
    fn a_table_that_is_stored_puts_back_what_stood_before_others_were_refused() {
        for before in [Ok(()), Err("none are known")] {
            let gate = Readiness::new().gate("pools");
            match before {
                Ok(()) => gate.open(),
                Err(reason) => gate.close(reason),
            }
            let mut synced = Synced::new(gate.clone());
            for refusal in [Refusal::Overloaded, Refusal::Stopping] {
                synced.table_refused(&refusal);
                let said = gate.check().unwrap_err();
                assert!(said.ends_with(&refusal.to_string()), "{said}");
            }
            synced.table_stored();
            assert_eq!(gate.check(), before.map_err(str::to_owned));
        }
    }

    #[test]
    fn what_is_known_once_stays_known() {
        let gate = Readiness::new().gate("pools");
        let mut synced = Synced::new(gate.clone());
        assert!(synced.open());
        synced.table_refused(&Refusal::Overloaded);
        synced.table_stored();
        assert_eq!(gate.check(), Ok(()));
        assert!(!synced.open());
    }
}

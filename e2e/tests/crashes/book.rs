//! What callers of the plugin were told, and whether the store agrees.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail, ensure};
use e2e::store::Reservation;

/// What the last call for a container came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// ADD succeeded with this address.
    Held(String),
    /// DEL succeeded, or there was no ADD yet.
    Gone,
    /// ADD failed without an answer.
    Unanswered,
}

/// All callers together.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pages: BTreeMap<String, Page>,
    /// Who has an address, from the answer of its ADD to the start of its DEL.
    holders: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Page {
    known: Known,
    /// A call for it is under way.
    busy: bool,
    /// How many calls there were.
    calls: u64,
}

/// Containers for which no call is under way, each with the number of calls so far.
pub(crate) type Settled = BTreeMap<String, (Known, u64)>;

impl Book {
    /// An ADD or a DEL begins.
    pub(crate) fn begin(&mut self, container: &str) {
        let page = self.pages.entry(container.to_owned()).or_insert(Page {
            known: Known::Gone,
            busy: false,
            calls: 0,
        });
        page.busy = true;
        page.calls += 1;
        if let Known::Held(address) = &page.known {
            self.holders.remove(address);
        }
    }

    /// An ADD or a DEL has ended.
    ///
    /// # Errors
    /// If somebody else has the address.
    pub(crate) fn end(&mut self, container: &str, known: Known) -> Result<()> {
        if let Known::Held(address) = &known
            && let Some(other) = self.holders.insert(address.clone(), container.to_owned())
        {
            bail!("{address} was given to {container} while {other} had it");
        }
        if let Some(page) = self.pages.get_mut(container) {
            page.known = known;
            page.busy = false;
        }
        Ok(())
    }

    /// What is certain at this moment.
    pub(crate) fn settled(&self) -> Settled {
        let idle = self.pages.iter().filter(|(_, page)| !page.busy);
        idle.map(|(container, page)| (container.clone(), (page.known.clone(), page.calls)))
            .collect()
    }

    /// Insists that `rows` are what callers were told. `before` is [`Book::settled`] from before the journal was looked at,
    /// which had entries for `pending`; the rows were read after that.
    pub(crate) fn verify(
        &self,
        before: &Settled,
        pending: &BTreeSet<String>,
        rows: &[Reservation],
    ) -> Result<()> {
        let mut addresses = BTreeSet::new();
        for row in rows {
            ensure!(
                self.pages.contains_key(&row.container),
                "nobody asked for {row:?}"
            );
            ensure!(
                addresses.insert((&row.pool, &row.address)),
                "held by another one too: {row:?}"
            );
        }
        let held: BTreeMap<_, _> = rows
            .iter()
            .map(|row| (row.container.as_str(), row.address.as_str()))
            .collect();
        ensure!(held.len() == rows.len(), "a container holds two: {rows:?}");
        let now = self.settled();
        for (container, state) in before {
            if now.get(container) != Some(state) {
                continue;
            }
            let found = held.get(container.as_str()).copied();
            match &state.0 {
                Known::Held(address) => {
                    let address = address.split('/').next();
                    ensure!(
                        found == address,
                        "{container} was given {address:?}, the store has {found:?}"
                    );
                }
                Known::Gone if !pending.contains(container) => {
                    ensure!(
                        found.is_none(),
                        "{container} was deleted, the store has {found:?}"
                    );
                }
                Known::Gone | Known::Unanswered => {}
            }
        }
        Ok(())
    }
}

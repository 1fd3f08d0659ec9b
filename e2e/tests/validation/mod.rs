//! What is refused, by whom, and what is let through with a warning.

use e2e::harness::Test;

mod daemon;
mod served;
mod table;
mod webhook;

pub(crate) fn tests() -> Vec<Test> {
    [table::tests(), webhook::tests()].into_iter().flatten().collect()
}

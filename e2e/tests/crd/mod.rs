//! What the API server itself does with pools: what it refuses by the CRDs' schemas and rules, and what it goes on writing of
//! objects that were stored before there were any.

use e2e::harness::Test;

pub(crate) mod cases;
mod described;
mod large;
pub(crate) mod pools;
mod refused;
mod stored;

pub(crate) fn tests() -> Vec<Test> {
    [
        refused::tests(),
        stored::tests(),
        large::tests(),
        described::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

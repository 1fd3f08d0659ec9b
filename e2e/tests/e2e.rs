//! Tests on a real cluster. A module for each concern; each says in `tests()` what it has.

use std::process::ExitCode;

mod cluster;
mod controller;
mod crashes;
mod crd;
mod docs;
mod node;
mod setting;
mod spine;
mod validation;

fn main() -> ExitCode {
    let tests = [
        cluster::tests(),
        controller::tests(),
        crashes::tests(),
        crd::tests(),
        docs::tests(),
        node::tests(),
        spine::tests(),
        validation::tests(),
    ];
    e2e::harness::main(tests.into_iter().flatten().collect())
}

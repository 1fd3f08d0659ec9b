//! ipam-controller on a real API server: what it deals, what it leaves alone, and how it takes what happens to it.

use e2e::harness::Test;

mod burst;
mod cidr;
mod cidr_crd;
mod command_line;
mod election;
pub(crate) mod extra;
mod go_manifests;
mod killed;
mod observer;
pub(crate) mod pool;
mod seed;
mod stands;
mod surface;

pub(crate) fn tests() -> Vec<Test> {
    [
        seed::tests(),
        stands::tests(),
        cidr::tests(),
        cidr_crd::tests(),
        burst::tests(),
        killed::tests(),
        election::tests(),
        go_manifests::tests(),
        surface::tests(),
        command_line::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

//! nv-ipam, the CNI IPAM plugin of nv-ipam: asks ipam-node, the daemon of the node, for addresses.

use std::io::{stderr, stdin, stdout};
use std::process::ExitCode;

use cni::plugin::{Process, run};

fn main() -> ExitCode {
    run(Process {
        arguments: &mut std::env::args_os().skip(1),
        variable: &|name| std::env::var_os(name),
        stdin: &mut stdin().lock(),
        stdout: &mut stdout().lock(),
        stderr: &mut stderr().lock(),
    })
}

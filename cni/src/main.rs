//! nv-ipam, the CNI IPAM plugin of nv-ipam: asks ipam-node, the daemon of the node, for addresses.

use std::io::{self, Read, Write, stderr};
use std::process::ExitCode;

use cni::plugin::{Process, run};
use rustix::stdio::{stdin, stdout};

/// The plugin lives for a millisecond. What its C library does, maps and unmaps a few pages for each size of allocation, is a
/// tenth of that.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Standard input without a buffer: that of the library is two pages of memory more.
struct Stdin;

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(stdin(), buffer)?)
    }
}

/// Standard output without a buffer: that of the library would divide the result at its last line break.
struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(stdout(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> ExitCode {
    run(Process {
        arguments: &mut std::env::args_os().skip(1),
        variable: &|name| std::env::var_os(name),
        stdin: &mut Stdin,
        stdout: &mut Stdout,
        stderr: &mut stderr().lock(),
    })
}

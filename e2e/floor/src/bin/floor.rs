//! What a plugin can't cost less than: a process that asks a socket something, waits for the answer and ends.
//!
//! `floor SOCKET`. Built as the plugin is. See `floor-echo`, which answers.

use std::env;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

fn main() -> io::Result<()> {
    let socket = env::args_os().nth(1).unwrap_or_default();
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(&[b'.'; floor::MESSAGE])?;
    stream.read_exact(&mut [0; floor::MESSAGE])
}

//! What a daemon can't cost less than: it sends back what it was sent, once that is on stable storage.
//!
//! `floor-echo SOCKET FILE`. One thread; all who wait get their answers from one flush. It never ends by itself.

use std::env;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

fn main() -> io::Result<()> {
    let mut arguments = env::args_os().skip(1);
    let listener = UnixListener::bind(arguments.next().unwrap_or_default())?;
    let mut file = File::create(arguments.next().unwrap_or_default())?;
    loop {
        let mut asked = Vec::new();
        for mut stream in waiting(&listener)? {
            let mut question = [0; floor::MESSAGE];
            // Whoever is gone gets no answer.
            if stream.read_exact(&mut question).is_ok() {
                file.write_all(&question)?;
                asked.push((stream, question));
            }
        }
        file.sync_data()?;
        for (mut stream, question) in asked {
            let _ = stream.write_all(&question);
        }
    }
}

/// Waits until somebody connects, and returns all who have by then.
fn waiting(listener: &UnixListener) -> io::Result<Vec<UnixStream>> {
    let mut streams = vec![listener.accept()?.0];
    listener.set_nonblocking(true)?;
    let last = loop {
        match listener.accept() {
            Ok((stream, _)) => streams.push(stream),
            Err(error) => break error,
        }
    };
    listener.set_nonblocking(false)?;
    match last.kind() {
        ErrorKind::WouldBlock => Ok(streams),
        _ => Err(last),
    }
}

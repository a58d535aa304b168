//! Clients that say what each of their connections got.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use edgeloop_tests::{Answer, now};
use nix::errno::Errno;

use crate::{join, say, socket};

/// Between two connections of `watch`, so that it does not take the processor from what it watches.
const BREATH: Duration = Duration::from_micros(200);

pub(crate) fn dial(to: &[SocketAddr], count: u64) -> Result<()> {
    join::at_end_of_input(|| process::exit(0));
    for to in to {
        for _ in 0..count {
            say(&ask(*to))?;
        }
    }
    Ok(())
}

pub(crate) fn watch(to: SocketAddr) -> Result<()> {
    join::at_end_of_input(|| process::exit(0));
    loop {
        say(&ask(to))?;
        thread::sleep(BREATH);
    }
}

/// One connection, and the name that it was answered with.
pub(crate) fn ask(to: SocketAddr) -> Answer {
    let began = now();
    let dialled = socket::dial(to);
    let took = now().saturating_sub(began);
    let peer = dialled.as_ref().ok().and_then(|stream| stream.peer_addr().ok());
    let result = dialled.and_then(read_name).map_err(socket::name);
    Answer { result, peer, began, took }
}

pub(crate) fn read_name(mut stream: TcpStream) -> Result<String, Errno> {
    let mut response = String::new();
    stream
        .write_all(b"GET / HTTP/1.0\r\n\r\n")
        .and_then(|()| stream.read_to_string(&mut response))
        .map_err(|error| socket::errno(&error))?;
    let (_head, body) = response.split_once("\r\n\r\n").ok_or(Errno::ENODATA)?;
    Ok(body.trim_end().to_owned())
}

//! Connections as fast as possible, each written down.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process;
use std::time::Duration;

use anyhow::{Context, Result};
use edgeloop_tests::{Connection, HammerReport, now};
use nix::errno::Errno;

use crate::{join, say, socket};

pub(crate) fn run(to: SocketAddr, count: u64, log: &Path) -> Result<()> {
    join::at_end_of_input(|| process::exit(0));
    let began = now();
    let connections: Vec<Connection> = (0..count).map(|_| connect(to)).collect();
    let took = now().saturating_sub(began);

    fs::write(log, bytemuck::cast_slice(&connections))
        .with_context(|| format!("could not write {}", log.display()))?;
    say(&report(&connections, took))
}

fn connect(to: SocketAddr) -> Connection {
    let began = nanoseconds();
    let answer = ask(to);
    let ended = nanoseconds();
    match answer {
        Ok(id) => Connection { began, ended, id, errno: 0 },
        Err(errno) => Connection { began, ended, id: 0, errno: errno as i32 },
    }
}

fn ask(to: SocketAddr) -> Result<u32, Errno> {
    let mut id = [0; 4];
    socket::dial(to)?.read_exact(&mut id).map_err(|error| socket::errno(&error))?;
    Ok(u32::from_be_bytes(id))
}

fn report(connections: &[Connection], took: Duration) -> HammerReport {
    let mut report = HammerReport { took, ..HammerReport::default() };
    for connection in connections {
        match connection.errno {
            0 => *report.answered.entry(connection.id).or_default() += 1,
            errno => *report.failed.entry(socket::name(Errno::from_raw(errno))).or_default() += 1,
        }
    }
    report
}

fn nanoseconds() -> u64 {
    u64::try_from(now().as_nanos()).unwrap_or(u64::MAX)
}

//! What runs inside a simulated pod: servers, clients, or any program.

mod answers;
mod calls;
mod clients;
mod datagrams;
mod exchange;
mod hammer;
mod join;
mod keeps;
mod load;
mod many;
mod names;
mod probe;
mod prove;
mod resolve;
mod servers;
mod socket;
mod unrest;
mod uring;
mod verifier;

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use edgeloop_tests::Call;
use edgeloop_tests::proof::Families;
use edgeloop_tests::verifier::Variant;
use serde::Serialize;

/// Joins a cgroup and a network namespace, in this order, and does one thing there.
#[derive(Parser)]
struct Arguments {
    /// The cgroup that all sockets are to belong to.
    #[arg(long)]
    cgroup: Option<PathBuf>,
    /// A file that opens to a network namespace.
    #[arg(long)]
    netns: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

/// All but `exec` end when their standard input does.
#[derive(Subcommand)]
enum Verb {
    /// Answers every connection with a text, over HTTP.
    Serve {
        #[arg(long)]
        at: SocketAddr,
        #[arg(long)]
        text: String,
    },
    /// Answers every connection with four bytes that name the address it came to.
    ServeIds {
        /// ADDRESS:PORT=NUMBER
        #[arg(long, value_parser = servers::address_and_id)]
        at: Vec<(SocketAddr, u32)>,
    },
    /// Answers every connection with the last four bytes of the address it came to.
    ServeAddresses {
        #[arg(long)]
        port: u16,
    },
    /// Says everything back that a client says.
    Echo {
        #[arg(long)]
        at: SocketAddr,
    },
    /// Replies to every datagram with a text and what came.
    ServeDatagrams {
        #[arg(long)]
        at: SocketAddr,
        #[arg(long)]
        text: String,
    },
    /// A UDP socket; a call for each line of the input, and a line for each.
    Datagrams {
        /// 4 or 6.
        #[arg(long)]
        family: u8,
    },
    /// Answers every DNS query for an IPv4 address with this one.
    ServeNames {
        #[arg(long)]
        at: SocketAddr,
        #[arg(long)]
        address: Ipv4Addr,
    },
    /// Asks a DNS server for a name, by a resolver library; one line for each question.
    Resolve {
        #[arg(long)]
        server: IpAddr,
        #[arg(long)]
        name: String,
        #[arg(long, default_value_t = 1)]
        count: usize,
    },
    /// Connects once, in this way; one line.
    Call {
        #[arg(long, value_enum)]
        how: Call,
        #[arg(long)]
        to: SocketAddr,
        /// Where the same socket is connected to after it was disconnected.
        #[arg(long)]
        then: Option<SocketAddr>,
        /// Where the maps are pinned in which a socket is claimed.
        #[arg(long)]
        pins: Option<PathBuf>,
    },
    /// Makes a TCP socket, and connects it once there is a line of input; one line for each.
    Later {
        #[arg(long)]
        to: SocketAddr,
    },
    /// Dials one after the other; one line for each.
    Dial {
        #[arg(long)]
        to: Vec<SocketAddr>,
        #[arg(long)]
        count: u64,
    },
    /// Dials without end; one line for each.
    Watch {
        #[arg(long)]
        to: SocketAddr,
    },
    /// Dials at a rate; ten lines a second.
    Load {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        per_second: u32,
        #[arg(long)]
        threads: u32,
    },
    /// Dials as fast as possible; one line at the end.
    Hammer {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        count: u64,
        /// Where each connection is written down.
        #[arg(long)]
        log: PathBuf,
    },
    /// Dials what the proof is about, and judges every connection; one line at the end.
    Prove {
        /// One for each address.
        #[arg(long, required = true)]
        history: Vec<PathBuf>,
        #[arg(long)]
        way: prove::Way,
        #[arg(long)]
        count: u64,
        #[arg(long)]
        seconds: u64,
        #[arg(long, value_enum)]
        families: Families,
        /// End all clients at the first connection that goes astray.
        #[arg(long)]
        only_one: bool,
        /// Is not interrupted more often than the machine does it, and leaves no processor to others.
        #[arg(long)]
        calm: bool,
    },
    /// Becomes another program, which is killed when our parent ends.
    Exec {
        #[arg(last = true)]
        command: Vec<OsString>,
    },
    /// Loads the programs, and says what the verifier says of each; one line for each.
    Verifier {
        #[arg(long, value_enum)]
        variant: Variant,
    },
    /// Holds a site with one node and one pod that serves, and says the site's name.
    Site,
}

fn main() -> Result<()> {
    let Arguments { cgroup, netns, verb } = Arguments::parse();
    if let Some(cgroup) = cgroup {
        join::cgroup(&cgroup)?;
    }
    if let Some(netns) = netns {
        join::netns(&netns)?;
    }
    match verb {
        Verb::Serve { at, text } => servers::serve(at, &text),
        Verb::ServeIds { at } => servers::serve_ids(&at),
        Verb::ServeAddresses { port } => servers::serve_addresses(port),
        Verb::ServeDatagrams { at, text } => datagrams::serve(at, &text),
        Verb::Datagrams { family } => datagrams::follow(family),
        Verb::ServeNames { at, address } => names::serve(at, address),
        Verb::Resolve { server, name, count } => resolve::run(server, &name, count),
        Verb::Echo { at } => servers::echo(at),
        Verb::Call { how, to, then, pins } => calls::run(how, to, then, pins.as_deref()),
        Verb::Later { to } => calls::later(to),
        Verb::Dial { to, count } => clients::dial(&to, count),
        Verb::Watch { to } => clients::watch(to),
        Verb::Load { to, per_second, threads } => load::run(to, per_second, threads),
        Verb::Hammer { to, count, log } => hammer::run(to, count, &log),
        Verb::Prove { history, way, count, seconds, families, only_one, calm } => {
            if !calm {
                prove::begin_unrest(way)?;
            }
            prove::run(&history, way, families, count, Duration::from_secs(seconds), only_one)
        }
        Verb::Exec { command } => join::become_program(&command),
        Verb::Verifier { variant } => verifier::run(variant),
        Verb::Site => servers::hold_site(),
    }
}

/// One line of our output.
fn say(what: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(what).context("could not write an answer as JSON")?;
    line.push(b'\n');
    io::stdout().write_all(&line).context("our output could not be written")
}

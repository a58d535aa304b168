//! The proof's clients: every connection is judged as soon as it is made.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use edgeloop_tests::proof::{BACKENDS, CLUSTER, History, Reached, Verdicts, backend};
use nix::errno::Errno;

use crate::{hammer, join, probe::Probe, say, unrest};

/// What is dialled, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// The Service, up to the answer.
    Answer,
    /// The Service, up to the end of `connect(2)`: no packet is sent.
    Probe,
    /// The backends themselves, one after the other, up to the answer.
    Direct,
}

/// Dials until `count` connections are made, `history` says stop, or (a bound for a client that was left behind) `within`
/// has passed. With `only_one` all clients end when one connection has gone astray.
pub(crate) fn run(history: &Path, way: Way, count: u64, within: Duration, only_one: bool) -> Result<()> {
    join::at_end_of_input(|| process::exit(0));
    let history = History::open(history)?;
    let probe = Probe::new().context("could not make a socket for probes")?;
    if way == Way::Probe {
        unrest::begin()?;
    }
    let mut verdicts = Verdicts::default();
    let give_up = Instant::now() + within;
    while verdicts.connects < count && !history.is_stopped() {
        if verdicts.connects.is_multiple_of(256) && Instant::now() > give_up {
            break;
        }
        let expected = (verdicts.connects % u64::from(BACKENDS)) as u8;
        let moment = history.moment();
        let reached = match way {
            Way::Answer => answering(CLUSTER),
            Way::Probe => probe.connect(CLUSTER).map(Reached::at),
            Way::Direct => answering(backend(expected)),
        };
        let allowed = if way == Way::Direct { Some(1 << expected) } else { history.allowed_since(moment) };
        judge(&mut verdicts, reached, allowed);
        if only_one && verdicts.astray() > 0 {
            history.stop();
        }
    }
    say(&verdicts)
}

fn answering(at: SocketAddrV4) -> Result<Reached, Errno> {
    hammer::ask(SocketAddr::V4(at)).map(Reached::answering)
}

fn judge(verdicts: &mut Verdicts, reached: Result<Reached, Errno>, allowed: Option<u32>) {
    verdicts.connects += 1;
    let went_wrong = match (reached, allowed) {
        (Ok(Reached::Backend(number)), Some(allowed)) if allowed & (1 << number) != 0 => return,
        (Ok(Reached::Backend(_)), None) => {
            verdicts.unjudged += 1;
            return;
        }
        (Ok(Reached::Backend(_)), Some(_)) => &mut verdicts.outside,
        (Ok(Reached::Neighbour), _) => &mut verdicts.neighbour,
        (Ok(Reached::Decoy), _) => &mut verdicts.decoy,
        (Err(Errno::ECONNREFUSED), _) => &mut verdicts.refused,
        (Ok(Reached::Nobody) | Err(_), _) => &mut verdicts.failed,
    };
    *went_wrong += 1;
    let number = verdicts.connects;
    verdicts.first.get_or_insert_with(|| match allowed {
        Some(allowed) => format!("connection {number}: {reached:?}, allowed {allowed:#026b}"),
        None => format!("connection {number}: {reached:?}"),
    });
}

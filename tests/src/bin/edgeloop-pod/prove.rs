//! The proof's clients: every connection is judged as soon as it is made.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::process;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use edgeloop_tests::proof::{
    BACKENDS, Families, History, REFUSED, Reached, Set, UNTOUCHED, Verdicts, backend, cluster, node_port,
    over6,
};
use nix::errno::Errno;
use nix::sys::socket::AddressFamily;

use crate::exchange::{Exchange, Exchanges};
use crate::keeps::Keeps;
use crate::{hammer, join, probe::Probe, say, unrest};

/// What is dialled, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// The Service, up to the answer.
    Answer,
    /// The Service, up to the answer, which is the address of the server.
    Served,
    /// The Service, up to the end of `connect(2)`: no packet is sent.
    Probe,
    /// The Service over UDP, up to the reply.
    Datagrams,
    /// The backends themselves, one after the other, up to the answer.
    Direct,
}

/// For clients whose calls are to be interrupted by more than others.
pub(crate) fn begin_unrest(way: Way) -> Result<()> {
    match way {
        Way::Probe | Way::Datagrams => unrest::begin(),
        Way::Answer | Way::Served | Way::Direct => Ok(()),
    }
}

/// Dials until `count` connections are made, a history says stop, or (a bound for a client that was left behind)
/// `within` has passed. There is a history for each address; rounds take turns in the kind of address. With
/// `only_one` all clients end when one connection has gone astray.
pub(crate) fn run(
    histories: &[PathBuf],
    way: Way,
    families: Families,
    count: u64,
    within: Duration,
    only_one: bool,
) -> Result<()> {
    join::at_end_of_input(|| process::exit(0));
    let histories = histories.iter().map(|path| History::open(path)).collect::<Result<Vec<_>>>()?;
    let give_up = Instant::now() + within;
    let verdicts = match way {
        Way::Datagrams => exchange(&histories, count, give_up, only_one)?,
        Way::Answer | Way::Served | Way::Probe | Way::Direct => {
            dial(way, families, &histories, count, give_up, only_one)?
        }
    };
    say(&verdicts)
}

fn dial(
    way: Way,
    families: Families,
    histories: &[History],
    count: u64,
    give_up: Instant,
    only_one: bool,
) -> Result<Verdicts> {
    let first = histories.first().context("no history")?;
    let mut dial = Dial::new(way).context("could not make sockets for probes")?;
    let mut keeps = Keeps::default();
    let mut verdicts = Verdicts::default();
    while verdicts.connects < count && !first.is_stopped() {
        if verdicts.connects.is_multiple_of(256) && Instant::now() > give_up {
            break;
        }
        let number = verdicts.connects;
        let address = (number % histories.len() as u64) as usize;
        let turn = number / histories.len() as u64;
        let by = By::of(families, turn);
        let expected = (number / 2 % u64::from(BACKENDS)) as u8;
        let (to, door) = match way {
            Way::Direct => (backend(expected), Door::ClusterIp),
            Way::Answer | Way::Served | Way::Probe | Way::Datagrams => {
                Door::of(turn / 3).of_service(address as u8)
            }
        };
        let history = &histories[address];
        let moment = history.moment();
        let reached = dial.reach(address as u8, by, to);
        let allowed = if way == Way::Direct { Some(1 << expected) } else { history.allowed_since(moment) };
        judge(&mut verdicts, reached, allowed);
        count_kind(&mut verdicts, by, door);
        judge_keeping(&mut verdicts, reached, keeps.due(address as u8, (by, door), reached, moment, history));
        if only_one && verdicts.astray() > 0 {
            first.stop();
        }
    }
    Ok(verdicts)
}

fn exchange(histories: &[History], count: u64, give_up: Instant, only_one: bool) -> Result<Verdicts> {
    let first = histories.first().context("no history")?;
    let mut exchanges = Exchanges::new()?;
    let mut keeps = Keeps::default();
    let mut verdicts = Verdicts::default();
    while verdicts.connects < count && !first.is_stopped() && Instant::now() < give_up {
        for exchange in exchanges.round(histories)? {
            if exchange.was_ended {
                verdicts.connects += 1;
                verdicts.ended += 1;
                continue;
            }
            judge(&mut verdicts, exchange.reached, exchange.allowed);
            judge_memory(&mut verdicts, &exchange);
            // What a socket sends later goes where it sent before.
            if let Exchange { service, by, door, reached, first: Some(moment), .. } = exchange {
                let due = keeps.due(service, (by, door), reached, moment, &histories[usize::from(service)]);
                judge_keeping(&mut verdicts, reached, due);
            }
        }
        if only_one && verdicts.astray() > 0 {
            first.stop();
        }
    }
    Ok(verdicts)
}

/// What one connection needs.
struct Dial {
    way: Way,
    plain: Probe,
    mapped: Probe,
    v6: Probe,
}

impl Dial {
    fn new(way: Way) -> nix::Result<Self> {
        let [plain, mapped, v6] =
            [AddressFamily::Inet, AddressFamily::Inet6, AddressFamily::Inet6].map(Probe::new);
        Ok(Self { way, plain: plain?, mapped: mapped?, v6: v6? })
    }

    /// Where a connection to `to` goes, which is at the address of this number, or one of its backends.
    fn reach(&mut self, address: u8, by: By, to: SocketAddrV4) -> Result<Reached, Errno> {
        let dialled = by.dialled(to);
        if self.way == Way::Probe {
            let probe = match by {
                By::V4 => &self.plain,
                By::Mapped => &self.mapped,
                By::V6 => &self.v6,
            };
            return probe.connect(dialled).map(|peer| Reached::at(address, peer));
        }
        let answer = hammer::ask(dialled)?;
        if self.way == Way::Served {
            let ip = Ipv4Addr::from_bits(answer);
            // What is left as it is dialled has the port that was dialled.
            let port = if ip == *to.ip() { to.port() } else { backend(0).port() };
            return Ok(Reached::at(address, SocketAddrV4::new(ip, port)));
        }
        Ok(Reached::answering(answer))
    }
}

/// Which address of a Service is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    ClusterIp,
    NodePort,
}

impl Door {
    /// In turn.
    pub(crate) const fn of(turn: u64) -> Self {
        if turn.is_multiple_of(2) { Self::ClusterIp } else { Self::NodePort }
    }

    /// Where the Service of this number is dialled: at its cluster IP, too, if it has no node port.
    pub(crate) fn of_service(self, number: u8) -> (SocketAddrV4, Self) {
        match node_port(number).filter(|_| self == Self::NodePort) {
            Some(at) => (at, Self::NodePort),
            None => (cluster(number), Self::ClusterIp),
        }
    }
}

/// The kind of address that is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    V4,
    /// `::ffff:a.b.c.d`
    Mapped,
    V6,
}

impl By {
    /// In turn.
    fn of(families: Families, turn: u64) -> Self {
        let turns = match families {
            Families::V4 => &[Self::V4, Self::Mapped][..],
            Families::V6 => &[Self::V6],
            Families::Both => &[Self::V4, Self::Mapped, Self::V6],
        };
        turns[(turn % turns.len() as u64) as usize]
    }

    pub(crate) fn dialled(self, at: SocketAddrV4) -> SocketAddr {
        match self {
            Self::V4 => at.into(),
            Self::Mapped => SocketAddr::new(at.ip().to_ipv6_mapped().into(), at.port()),
            Self::V6 => over6(at).into(),
        }
    }
}

fn judge(verdicts: &mut Verdicts, reached: Result<Reached, Errno>, allowed: Option<u32>) {
    verdicts.connects += 1;
    let got = match reached {
        Ok(Reached::Backend(number)) => 1 << number,
        Ok(Reached::Decoy) => UNTOUCHED,
        Err(Errno::ECONNREFUSED) => REFUSED,
        Ok(Reached::Neighbour | Reached::Unknown) | Err(_) => 0,
    };
    let went_wrong = match (reached, allowed) {
        (_, Some(allowed)) if allowed & got != 0 => return,
        (_, None) if got != 0 => {
            verdicts.unjudged += 1;
            return;
        }
        (Ok(Reached::Backend(_)), _) => &mut verdicts.outside,
        (Ok(Reached::Neighbour), _) => &mut verdicts.neighbour,
        (Ok(Reached::Decoy), _) => &mut verdicts.decoy,
        (Err(Errno::ECONNREFUSED), _) => &mut verdicts.refused,
        (Ok(Reached::Unknown) | Err(_), _) => &mut verdicts.failed,
    };
    *went_wrong += 1;
    let number = verdicts.connects;
    verdicts.first.get_or_insert_with(|| match allowed {
        Some(allowed) => format!("connection {number}: {reached:?}, allowed {allowed:#034b}"),
        None => format!("connection {number}: {reached:?}"),
    });
}

fn count_kind(verdicts: &mut Verdicts, by: By, door: Door) {
    verdicts.mapped += u64::from(by == By::Mapped);
    verdicts.ipv6 += u64::from(by == By::V6);
    verdicts.node_ports += u64::from(door == Door::NodePort);
}

/// What session affinity was to give: nothing in particular where `due` is empty.
fn judge_keeping(verdicts: &mut Verdicts, reached: Result<Reached, Errno>, due: Set) {
    if due == 0 {
        return;
    }
    verdicts.returning += 1;
    if !matches!(reached, Ok(Reached::Backend(backend)) if 1 << backend == due) {
        verdicts.unkept += 1;
        let number = verdicts.connects;
        let first = || format!("connection {number}: {reached:?}, though {due:#034b} was to be kept");
        verdicts.first.get_or_insert_with(first);
    }
}

/// What the socket was to remember: its backend, and what it dialled.
fn judge_memory(verdicts: &mut Verdicts, exchange: &Exchange) {
    let Exchange { by, door, reached, kept, dialled, shown, .. } = exchange;
    count_kind(verdicts, *by, *door);
    verdicts.datagrams += u64::from(reached.is_ok());
    let number = verdicts.connects;
    if *kept != 0 && !matches!(reached, Ok(Reached::Backend(backend)) if 1 << backend == *kept) {
        verdicts.moved += 1;
        let first = || format!("datagram {number}: {reached:?}, though {kept:#034b} stayed");
        verdicts.first.get_or_insert_with(first);
    }
    if let Some(shown) = shown {
        verdicts.misnamed += 1;
        verdicts.first.get_or_insert_with(|| format!("datagram {number}: {dialled} is shown as {shown}"));
    }
}

//! The client: asks in blocks, one after the other, and times each answer.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _, stdin, stdout};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum as _;
use nix::sys::socket::sockopt::{ReceiveTimeout, SendTimeout};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, connect, setsockopt, socket,
};
use nix::sys::time::TimeVal;
use serde::{Deserialize, Serialize};

use crate::pinned;

use super::ports::{Asked, Side};
use super::server::{KNOWN, MESSAGE, NAME};

/// Seconds after which an answer is missing.
const PATIENCE: i64 = 2;
/// A block begins with caches that are another contender's: its first answers are not timed.
const NOT_TIMED: u32 = 20;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Dialled in turn.
    #[arg(long, required = true)]
    at: Vec<Ipv4Addr>,
    #[arg(long, value_enum)]
    side: Side,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Block {
    /// Nanoseconds of each: of the `connect(2)` alone where connections were asked for.
    pub(crate) times: Vec<u32>,
    /// Nanoseconds of all that were timed, from the socket to its end.
    pub(crate) took: u64,
    /// Who has answered how often, untimed ones too.
    pub(crate) answered: BTreeMap<u8, u64>,
}

/// Inside of it. A line of the input is what is asked for, and how often.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    pinned::stay_on_one_cpu()?;
    pinned::run_before_others();
    let mut client = Client::new(arguments);
    writeln!(stdout(), "ready").context("could not say so")?;
    for line in stdin().lines() {
        let line = line.context("could not read")?;
        let (asked, count) = line.split_once(' ').context("not what is asked for, and how often")?;
        let asked = Asked::from_str(asked, false).map_err(anyhow::Error::msg)?;
        let block = client.ask(asked, count.parse().context("not a number")?)?;
        writeln!(stdout(), "{}", serde_json::to_string(&block)?).context("could not say it")?;
    }
    Ok(())
}

struct Client {
    at: Vec<Ipv4Addr>,
    side: Side,
    /// Made when they are needed first, one for each address.
    connections: Vec<TcpStream>,
    sockets: Vec<UdpSocket>,
    query: Vec<u8>,
}

/// Who answered, after what time.
type Answer = (u8, Duration);

impl Client {
    fn new(arguments: &Arguments) -> Self {
        let Arguments { at, side } = arguments;
        let (connections, sockets) = (Vec::new(), Vec::new());
        Self { at: at.clone(), side: *side, connections, sockets, query: query(NAME) }
    }

    fn ask(&mut self, asked: Asked, count: u32) -> Result<Block> {
        let targets: Vec<SocketAddrV4> =
            self.at.iter().map(|address| asked.at(self.side, *address)).collect();
        if asked == Asked::Request && self.connections.is_empty() {
            self.connections = targets.iter().map(|to| keep(*to)).collect::<Result<_>>()?;
        }
        if asked == Asked::Datagram && self.sockets.is_empty() {
            let open = |_| Ok(UdpSocket::from(open(SockType::Datagram, SockProtocol::Udp)?));
            self.sockets = targets.iter().map(open).collect::<Result<_>>()?;
        }
        let mut block = Block { times: Vec::with_capacity(count as usize), ..Block::default() };
        let mut begun = Instant::now();
        for turn in 0..count + NOT_TIMED {
            if turn == NOT_TIMED {
                begun = Instant::now();
            }
            let index = turn as usize % targets.len();
            let to = targets[index];
            let answer = match asked {
                Asked::Connection => connection(to),
                Asked::Request => request(&mut self.connections[index]),
                Asked::Datagram => datagram(&self.sockets[index], to),
                Asked::Query => self.query_of(turn as u16, to),
            };
            let (id, time) = answer.with_context(|| format!("a {} to {to}", asked.name()))?;
            *block.answered.entry(id).or_default() += 1;
            if turn >= NOT_TIMED {
                block.times.push(u32::try_from(time.as_nanos()).unwrap_or(u32::MAX));
            }
        }
        block.took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Ok(block)
    }

    /// As the C library's resolver does it: a new socket, which is connected.
    fn query_of(&mut self, number: u16, to: SocketAddrV4) -> Result<Answer> {
        self.query[..2].copy_from_slice(&number.to_be_bytes());
        let begun = Instant::now();
        let socket = open(SockType::Datagram, SockProtocol::Udp)?;
        connect(socket.as_raw_fd(), &SockaddrIn::from(to)).context("could not connect")?;
        let socket = UdpSocket::from(socket);
        socket.send(&self.query).context("could not send")?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).context("no reply")?;
        let time = begun.elapsed();
        drop(socket);
        let answer = &answer[..length];
        ensure!(answer.starts_with(&number.to_be_bytes()), "a reply to another query");
        let known = answer.last_chunk::<4>().and_then(|address| address.strip_prefix(&KNOWN));
        Ok((*known.and_then(<[u8]>::first).context("a reply without an address")?, time))
    }
}

/// A `connect(2)` is timed; then the answer is read to its end.
fn connection(to: SocketAddrV4) -> Result<Answer> {
    let socket = open(SockType::Stream, SockProtocol::Tcp)?;
    let begun = Instant::now();
    connect(socket.as_raw_fd(), &SockaddrIn::from(to)).context("could not connect")?;
    let time = begun.elapsed();
    let mut stream = TcpStream::from(socket);
    let mut answer = [0; 2];
    ensure!(stream.read(&mut answer).context("no answer")? == 1, "not one byte");
    ensure!(stream.read(&mut answer[1..]).context("no end")? == 0, "more than one byte");
    Ok((answer[0], time))
}

fn keep(to: SocketAddrV4) -> Result<TcpStream> {
    let socket = open(SockType::Stream, SockProtocol::Tcp)?;
    connect(socket.as_raw_fd(), &SockaddrIn::from(to)).with_context(|| format!("no connection to {to}"))?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).context("could not set TCP_NODELAY")?;
    Ok(stream)
}

fn request(stream: &mut TcpStream) -> Result<Answer> {
    let mut message = [0; MESSAGE];
    let begun = Instant::now();
    stream.write_all(&message).context("could not ask")?;
    stream.read_exact(&mut message).context("no answer")?;
    Ok((message[0], begun.elapsed()))
}

fn datagram(socket: &UdpSocket, to: SocketAddrV4) -> Result<Answer> {
    let mut message = [0; MESSAGE];
    let begun = Instant::now();
    socket.send_to(&message, to).context("could not send")?;
    let (_length, from) = socket.recv_from(&mut message).context("no reply")?;
    let time = begun.elapsed();
    ensure!(from == to.into(), "the reply is shown as one of {from}");
    Ok((message[0], time))
}

fn open(kind: SockType, protocol: SockProtocol) -> Result<OwnedFd> {
    let socket = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, protocol)?;
    let patience = TimeVal::new(PATIENCE, 0);
    setsockopt(&socket, ReceiveTimeout, &patience).context("could not set a time-out")?;
    // That of connect(2), too.
    setsockopt(&socket, SendTimeout, &patience).context("could not set a time-out")?;
    Ok(socket)
}

/// For an IPv4 address, with recursion, and with 0 for a number.
fn query(name: &str) -> Vec<u8> {
    let mut query = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for part in name.split('.') {
        query.push(part.len() as u8);
        query.extend(part.bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_as_the_rfc_has_it() {
        let expected = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x03web\x07example\0\0\x01\0\x01";
        assert_eq!(query("web.example"), expected);
    }
}

//! The proof's clients over UDP, with all that they reach in one process: what is sent has arrived when the call ends, so that
//! no time goes by in waiting. Each datagram says which one it is, and so does its reply.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::Result;
use edgeloop_tests::proof::{ADDRESSES, CLUSTER, History, Reached, Set, backend, node_port};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockaddrStorage, connect, getpeername, recvfrom, send, sendto,
};

use crate::answers::{Arrived, Server, address, open, wait};
use crate::prove::{By, Door};
use crate::socket::TIMEOUT;

/// Services that one socket talks to: few enough that none is forgotten, though their backends change.
const SERVICES: u8 = ADDRESSES / 2;
/// Rounds that a socket is used for.
const ROUNDS: u64 = 64;

/// What came of one datagram.
pub(crate) struct Exchange {
    pub(crate) service: u8,
    pub(crate) by: By,
    pub(crate) door: Door,
    /// Where the socket had sent nothing to this Service before: the moment at which it does.
    pub(crate) first: Option<u64>,
    /// What the Service was allowed meanwhile.
    pub(crate) allowed: Option<Set>,
    pub(crate) reached: Result<Reached, Errno>,
    /// The backend that the socket was to keep.
    pub(crate) kept: Set,
    /// The agent has ended the socket. It may where backends leave: it takes a second to end a socket, and by then the backend may be back.
    pub(crate) was_ended: bool,
    pub(crate) dialled: SocketAddr,
    /// What the socket was shown as the other end, by `getpeername` and with the reply, where it was not what was dialled.
    pub(crate) shown: Option<SocketAddr>,
}

pub(crate) struct Exchanges {
    clients: Vec<Client>,
    servers: Vec<Server>,
    rounds: u64,
    datagrams: u32,
}

impl Exchanges {
    pub(crate) fn new() -> Result<Self> {
        let decoys = (0..ADDRESSES).filter_map(node_port).map(|at| at.port()).chain([CLUSTER.port()]);
        let ports = decoys.chain([backend(0).port()]);
        let servers =
            ports.flat_map(|port| [Server::new4(port), Server::new6(port)]).collect::<Result<_>>()?;
        Ok(Self { clients: Vec::new(), servers, rounds: 0, datagrams: 0 })
    }

    /// Each socket talks to each of its Services once.
    pub(crate) fn round(&mut self, histories: &[History]) -> Result<Vec<Exchange>> {
        if self.rounds.is_multiple_of(ROUNDS) {
            let turn = self.rounds / ROUNDS;
            let first = if turn.is_multiple_of(2) { 0 } else { SERVICES };
            self.clients = Client::of_each_kind(first, Door::of(turn / 2))?;
        }
        self.rounds += 1;
        let Self { clients, servers, datagrams, .. } = self;
        let mut all = Vec::new();
        for client in clients {
            let services: Vec<u8> = (client.first..client.first + SERVICES).collect();
            // A socket that sends has all of them in flight at once; one that connects, each by itself.
            let at_once = if client.way == Way::Sends { services.len() } else { 1 };
            for services in services.chunks(at_once) {
                let sent = services.iter().map(|service| {
                    *datagrams = datagrams.wrapping_add(1);
                    client.send(*service, *datagrams, &histories[usize::from(*service)])
                });
                let mut sent: Vec<Sent> = sent.collect();
                answer(servers, &mut sent)?;
                client.receive(&mut sent);
                all.extend(sent.into_iter().map(|sent| client.judged(&sent)));
            }
        }
        Ok(all)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Sends,
    Connects,
}

/// One socket.
struct Client {
    socket: OwnedFd,
    way: Way,
    by: By,
    door: Door,
    /// The first of its Services.
    first: u8,
    /// Where each Service's last datagram went, and when it was sent.
    last: [Option<(Set, u64)>; ADDRESSES as usize],
    /// A bit for each Service that it has sent to, whatever came of it.
    dialled: Set,
}

/// One datagram under way.
struct Sent {
    service: u8,
    number: u32,
    moment: u64,
    is_first: bool,
    allowed: Option<Set>,
    kept: Set,
    reached: Result<Reached, Errno>,
    shown: Option<SocketAddr>,
}

impl Client {
    fn of_each_kind(first: u8, door: Door) -> Result<Vec<Self>> {
        let kinds = [By::V4, By::Mapped, By::V6].map(|by| [(Way::Sends, by), (Way::Connects, by)]);
        let open = |(way, by)| {
            let socket = open(if by == By::V4 { AddressFamily::Inet } else { AddressFamily::Inet6 })?;
            Ok(Self { socket, way, by, door, first, last: [None; ADDRESSES as usize], dialled: 0 })
        };
        kinds.into_iter().flatten().map(open).collect()
    }

    fn dialled(&self, service: u8) -> SocketAddr {
        self.by.dialled(self.door.of_service(service).0)
    }

    /// Up to the end of the call that a program runs for.
    fn send(&mut self, service: u8, number: u32, history: &History) -> Sent {
        let dialled = self.dialled(service);
        let to = SockaddrStorage::from(dialled);
        let (fd, text) = (self.socket.as_raw_fd(), number.to_ne_bytes());
        let moment = history.moment();
        let called = match self.way {
            Way::Sends => sendto(fd, &text, &to, MsgFlags::empty()).map(drop),
            Way::Connects => connect(fd, &to),
        };
        let allowed = history.allowed_since(moment);
        let kept = self.last[usize::from(service)]
            .map_or(0, |(backend, since)| history.staying_since(since) & backend);
        let is_first = self.dialled & 1 << service == 0;
        self.dialled |= 1 << service;
        let reached = Err(TIMEOUT);
        let mut sent = Sent { service, number, moment, is_first, allowed, kept, reached, shown: None };
        let called = called.and_then(|()| {
            if self.way == Way::Connects {
                let peer = getpeername::<SockaddrStorage>(fd)?;
                sent.shown = address(Some(&peer)).filter(|shown| *shown != dialled);
                send(fd, &text, MsgFlags::empty())?;
            }
            Ok(())
        });
        // What went out has not reached anything yet.
        sent.reached = called.and(Err(TIMEOUT));
        sent
    }

    /// Takes the replies to all that was answered.
    fn receive(&mut self, sent: &mut [Sent]) {
        let fd = self.socket.as_raw_fd();
        let mut due = sent.iter().filter(|sent| sent.reached.is_ok()).count();
        while due > 0 {
            let mut number = [0; 4];
            let Ok((_length, from)) = recvfrom::<SockaddrStorage>(fd, &mut number) else { break };
            let number = u32::from_ne_bytes(number);
            // One that was late in another round counted as failed there.
            let Some(sent) = sent.iter_mut().find(|sent| sent.number == number) else { continue };
            let dialled = self.dialled(sent.service);
            sent.shown = sent.shown.or(address(from.as_ref()).filter(|shown| *shown != dialled));
            self.last[usize::from(sent.service)] = match sent.reached {
                Ok(Reached::Backend(backend)) => Some((1 << backend, sent.moment)),
                Ok(Reached::Neighbour | Reached::Decoy | Reached::Unknown) | Err(_) => None,
            };
            due -= 1;
        }
    }

    fn judged(&self, sent: &Sent) -> Exchange {
        let Sent { service, moment, is_first, allowed, kept, reached, shown, .. } = *sent;
        let dialled = self.dialled(service);
        let (by, door) = (self.by, self.door.of_service(service).1);
        let first = is_first.then_some(moment);
        // It says so once; then it is connected to nothing.
        let is_as_ended = matches!(reached, Err(Errno::ECONNABORTED | Errno::ENOTCONN | Errno::EDESTADDRREQ));
        let was_ended = is_as_ended && self.way == Way::Connects;
        Exchange { service, by, door, first, allowed, reached, kept, was_ended, dialled, shown }
    }
}

/// Answers all that was sent, the last one first, and notes where each arrived.
fn answer(servers: &[Server], sent: &mut [Sent]) -> Result<()> {
    let due = sent.iter().filter(|sent| sent.reached == Err(TIMEOUT)).count();
    let mut arrived = Vec::new();
    while arrived.len() < due {
        match servers.iter().find_map(|server| Some((server, server.take()?))) {
            Some(taken) => arrived.push(taken),
            None if wait(servers)? => {}
            None => break,
        }
    }
    for (server, Arrived { number, at, from }) in arrived.iter().rev() {
        if let Some(sent) = sent.iter_mut().find(|sent| sent.number == *number) {
            sent.reached = Ok(Reached::at(sent.service, *at));
        }
        server.reply(*number, *at, from)?;
    }
    Ok(())
}

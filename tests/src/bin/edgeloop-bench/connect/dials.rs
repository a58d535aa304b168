//! Which addresses are dialled, and the client that dials them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, socket};

use crate::pinned;

use super::calls::Call;
use super::datagrams::{self, Dialled};

/// kubeadm's service range, 10.96.0.0/12.
const RANGE: u32 = 0x0a60_0000;
const RANGE_BITS: u32 = 20;
const SERVICE_PORT: u16 = 80;
/// 100.64.0.0/10 and 172.16.0.0/12. No pod of the bench has a route to any of these.
const BACKENDS: u32 = 0x6440_0000;
const ELSEWHERE: u32 = 0xac10_0000;
pub(super) const BACKEND_PORT: u16 = 8080;
/// As a route.
pub(super) const BACKEND_NETWORK: &str = "100.64.0.0/10";

#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Arguments {
    #[arg(long, value_enum)]
    pub(crate) call: Call,
    #[arg(long, value_enum)]
    pub(crate) target: Target,
    /// How many services there are.
    #[arg(long)]
    pub(crate) services: u32,
    #[arg(long)]
    pub(crate) count: u32,
    #[arg(long)]
    pub(crate) seed: u64,
    /// Dial backends themselves.
    #[arg(long)]
    pub(crate) direct: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Target {
    /// A service at random.
    Service,
    /// An address of the service range that no service has.
    Unused,
    /// An address outside of the service range.
    Elsewhere,
}

impl Target {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Unused => "unused",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// Where service number `index` is found: spread over the range as a cluster's allocator does it.
pub(crate) fn service(index: u32) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(RANGE | scramble(index)), SERVICE_PORT)
}

/// Backend number `slot` of service number `index`, where services have `each`.
pub(crate) fn backend(index: u32, slot: u32, each: u32) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(BACKENDS + index * each + slot), BACKEND_PORT)
}

/// The same over IPv6, in fd00:96::/108.
pub(crate) fn service6(index: u32) -> SocketAddrV6 {
    within6(0x96, scramble(index), SERVICE_PORT)
}

/// The same over IPv6, in fd00:244::/96. No pod of the bench has a route there.
pub(crate) fn backend6(index: u32, slot: u32, each: u32) -> SocketAddrV6 {
    within6(0x244, index * each + slot, BACKEND_PORT)
}

fn within6(network: u16, host: u32, port: u16) -> SocketAddrV6 {
    let (high, low) = ((host >> 16) as u16, host as u16);
    SocketAddrV6::new(Ipv6Addr::new(0xfd00, network, 0, 0, 0, 0, high, low), port, 0, 0)
}

/// The client: joins nothing itself, it is started where it is to dial.
///
/// Every dial is a new socket, as clients do it, and fails at once for lack of a route.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { call, target, services, count, seed, direct } = *arguments;
    pinned::stay_on_one_cpu()?;
    pinned::run_before_others();
    let mut random = Random(seed | 1);
    let mut next = || match target {
        Target::Service => service(random.below(services)),
        Target::Unused => service(services + random.below((1 << RANGE_BITS) - services)),
        Target::Elsewhere => {
            SocketAddrV4::new(Ipv4Addr::from(ELSEWHERE | random.below(1 << RANGE_BITS)), SERVICE_PORT)
        }
    };
    match call {
        Call::Connect | Call::ConnectKept | Call::ConnectBesideSkipped | Call::ConnectBesideNodePorts => {
            (0..count).try_for_each(|_| dial(next().into()))
        }
        Call::Connect6 => (0..count).try_for_each(|_| dial(service6(random.below(services)).into())),
        Call::UdpConnect => datagrams::connect_each(count, next),
        Call::Sendto => datagrams::send_to_each(count, next),
        Call::Recvfrom => datagrams::receive(count, direct, || {
            let index = random.below(services);
            Dialled { service: service(index), backend: backend(index, 0, super::BACKENDS) }
        }),
    }
}

fn dial(to: SocketAddr) -> Result<()> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let stream = socket(family, SockType::Stream, flags, SockProtocol::Tcp)?;
    match connect(stream.as_raw_fd(), &SockaddrStorage::from(to)) {
        Err(Errno::ENETUNREACH) => Ok(()),
        Ok(()) => bail!("a dial to {to} was answered: there should be no way out of here"),
        Err(errno) => Err(errno).with_context(|| format!("a dial to {to} ended as none should")),
    }
}

/// Every number of `RANGE_BITS` bits to another one, each once.
fn scramble(index: u32) -> u32 {
    let mask = (1 << RANGE_BITS) - 1;
    let spread = |x: u32| x.wrapping_mul(0x9e37_79b1) & mask;
    let folded = |x: u32| x ^ (x >> (RANGE_BITS / 2));
    folded(spread(folded(spread(index & mask))))
}

/// xorshift64*: good enough to choose what to dial, and without memory that would disturb the caches.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((high * u64::from(bound)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_services_share_an_address() {
        let addresses: BTreeSet<SocketAddrV4> = (0..1 << RANGE_BITS).map(service).collect();
        assert_eq!(addresses.len(), 1 << RANGE_BITS);
    }
}

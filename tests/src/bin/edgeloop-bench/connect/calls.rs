//! Which call is measured: the program that the kernel runs for it, and who is measured beside ours.

use std::net::SocketAddr;

use lb_agent::model::Protocol;
use lb_common::hook::Hook;

use super::contender::Shape;
use super::dials;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Call {
    /// `connect(2)` of a TCP socket.
    Connect,
    /// The same over IPv6.
    Connect6,
    /// `connect(2)` of a UDP socket.
    UdpConnect,
    /// `sendto(2)` on a UDP socket that has sent to this Service before.
    Sendto,
    /// `recvfrom(2)` of a reply.
    Recvfrom,
}

/// Which services there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Population {
    Tcp,
    Tcp6,
    Udp,
}

impl Call {
    /// As the client's argument.
    pub(crate) const fn argument(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Connect6 => "connect6",
            Self::UdpConnect => "udp-connect",
            Self::Sendto => "sendto",
            Self::Recvfrom => "recvfrom",
        }
    }

    pub(crate) const fn hook(self) -> Hook {
        match self {
            Self::Connect | Self::UdpConnect => Hook::Connect4,
            Self::Connect6 => Hook::Connect6,
            Self::Sendto => Hook::Sendmsg4,
            Self::Recvfrom => Hook::Recvmsg4,
        }
    }

    pub(crate) const fn population(self) -> Population {
        match self {
            Self::Connect => Population::Tcp,
            Self::Connect6 => Population::Tcp6,
            Self::UdpConnect | Self::Sendto | Self::Recvfrom => Population::Udp,
        }
    }
}

impl Population {
    pub(crate) const ALL: [Self; 3] = [Self::Tcp, Self::Tcp6, Self::Udp];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Tcp6 => "TCP6",
            Self::Udp => "UDP",
        }
    }

    pub(crate) const fn protocol(self) -> Protocol {
        match self {
            Self::Tcp | Self::Tcp6 => Protocol::Tcp,
            Self::Udp => Protocol::Udp,
        }
    }

    /// Where service number `index` is found.
    pub(crate) fn service(self, index: u32) -> SocketAddr {
        match self {
            Self::Tcp | Self::Udp => dials::service(index).into(),
            Self::Tcp6 => dials::service6(index).into(),
        }
    }

    /// Backend number `slot` of service number `index`, where services have `each`.
    pub(crate) fn backend(self, index: u32, slot: u32, each: u32) -> SocketAddr {
        match self {
            Self::Tcp | Self::Udp => dials::backend(index, slot, each).into(),
            Self::Tcp6 => dials::backend6(index, slot, each).into(),
        }
    }

    /// Who is measured. The previous version is measured over TCP and IPv4 alone.
    pub(crate) const fn shapes(self) -> &'static [Shape] {
        match self {
            Self::Tcp => {
                &[Shape::Empty, Shape::Ours, Shape::InPod, Shape::Previous, Shape::ThreeHashes, Shape::Trie]
            }
            Self::Tcp6 => &[Shape::Empty, Shape::Ours, Shape::InPod],
            Self::Udp => &[Shape::Empty, Shape::Ours, Shape::InPod, Shape::Remembering],
        }
    }
}

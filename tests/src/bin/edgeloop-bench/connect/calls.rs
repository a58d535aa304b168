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
    /// Of TCP, to a Service that keeps its clients.
    ConnectKept,
    /// Of TCP, while pods are left out: not the client.
    ConnectBesideSkipped,
    /// Of TCP, while Services have node ports.
    ConnectBesideNodePorts,
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
    /// TCP, with session affinity.
    Kept,
    /// TCP, while pods are left out.
    Skipping,
    /// TCP, with node ports.
    NodePorts,
    Udp,
}

impl Call {
    /// As the client's argument.
    pub(crate) const fn argument(self) -> &'static str {
        match self {
            Self::Connect | Self::ConnectKept | Self::ConnectBesideSkipped | Self::ConnectBesideNodePorts => {
                "connect"
            }
            Self::Connect6 => "connect6",
            Self::UdpConnect => "udp-connect",
            Self::Sendto => "sendto",
            Self::Recvfrom => "recvfrom",
        }
    }

    pub(crate) const fn hook(self) -> Hook {
        match self {
            Self::Connect
            | Self::ConnectKept
            | Self::ConnectBesideSkipped
            | Self::ConnectBesideNodePorts
            | Self::UdpConnect => Hook::Connect4,
            Self::Connect6 => Hook::Connect6,
            Self::Sendto => Hook::Sendmsg4,
            Self::Recvfrom => Hook::Recvmsg4,
        }
    }

    pub(crate) const fn population(self) -> Population {
        match self {
            Self::Connect => Population::Tcp,
            Self::Connect6 => Population::Tcp6,
            Self::ConnectKept => Population::Kept,
            Self::ConnectBesideSkipped => Population::Skipping,
            Self::ConnectBesideNodePorts => Population::NodePorts,
            Self::UdpConnect | Self::Sendto | Self::Recvfrom => Population::Udp,
        }
    }
}

impl Population {
    pub(crate) const ALL: [Self; 6] =
        [Self::Tcp, Self::Tcp6, Self::Kept, Self::Skipping, Self::NodePorts, Self::Udp];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Tcp6 => "TCP6",
            Self::Kept => "kept",
            Self::Skipping => "skipping",
            Self::NodePorts => "node-ports",
            Self::Udp => "UDP",
        }
    }

    pub(crate) const fn protocol(self) -> Protocol {
        match self {
            Self::Tcp | Self::Tcp6 | Self::Kept | Self::Skipping | Self::NodePorts => Protocol::Tcp,
            Self::Udp => Protocol::Udp,
        }
    }

    /// Where service number `index` is found.
    pub(crate) fn service(self, index: u32) -> SocketAddr {
        match self {
            Self::Tcp6 => dials::service6(index).into(),
            Self::Tcp | Self::Kept | Self::Skipping | Self::NodePorts | Self::Udp => {
                dials::service(index).into()
            }
        }
    }

    /// Backend number `slot` of service number `index`, where services have `each`.
    pub(crate) fn backend(self, index: u32, slot: u32, each: u32) -> SocketAddr {
        match self {
            Self::Tcp6 => dials::backend6(index, slot, each).into(),
            Self::Tcp | Self::Kept | Self::Skipping | Self::NodePorts | Self::Udp => {
                dials::backend(index, slot, each).into()
            }
        }
    }

    /// The session affinity timeout of its Services in seconds, if they have one: longer than the bench takes.
    pub(crate) const fn affinity(self) -> Option<u32> {
        match self {
            Self::Kept => Some(10_800),
            Self::Tcp | Self::Tcp6 | Self::Skipping | Self::NodePorts | Self::Udp => None,
        }
    }

    /// Who is measured. The previous version is given what manifests of Services say: no pods that are left out, and no node ports.
    pub(crate) const fn shapes(self) -> &'static [Shape] {
        match self {
            Self::Tcp => {
                &[Shape::Empty, Shape::Ours, Shape::Guarded, Shape::Previous, Shape::ThreeHashes, Shape::Trie]
            }
            Self::Tcp6 => &[Shape::Empty, Shape::Ours, Shape::Guarded, Shape::Previous],
            Self::Kept => &[Shape::Empty, Shape::Ours, Shape::Guarded, Shape::Previous, Shape::TrieAffine],
            Self::Skipping | Self::NodePorts => &[Shape::Empty, Shape::Ours, Shape::Guarded],
            Self::Udp => &[Shape::Empty, Shape::Ours, Shape::Guarded, Shape::Previous, Shape::Remembering],
        }
    }
}

//! Which call is measured: the program that the kernel runs for it, and who is measured beside ours.

use lb_agent::model::Protocol;
use lb_common::hook::Hook;

use super::contender::Shape;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Call {
    /// `connect(2)` of a TCP socket.
    Connect,
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
    Udp,
}

impl Call {
    /// As the client's argument.
    pub(crate) const fn argument(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::UdpConnect => "udp-connect",
            Self::Sendto => "sendto",
            Self::Recvfrom => "recvfrom",
        }
    }

    pub(crate) const fn hook(self) -> Hook {
        match self {
            Self::Connect | Self::UdpConnect => Hook::Connect4,
            Self::Sendto => Hook::Sendmsg4,
            Self::Recvfrom => Hook::Recvmsg4,
        }
    }

    pub(crate) const fn population(self) -> Population {
        match self {
            Self::Connect => Population::Tcp,
            Self::UdpConnect | Self::Sendto | Self::Recvfrom => Population::Udp,
        }
    }
}

impl Population {
    pub(crate) const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }

    pub(crate) const fn protocol(self) -> Protocol {
        match self {
            Self::Tcp => Protocol::Tcp,
            Self::Udp => Protocol::Udp,
        }
    }

    /// Who is measured. The last landed version had no UDP.
    pub(crate) const fn shapes(self) -> &'static [Shape] {
        match self {
            Self::Tcp => {
                &[Shape::Empty, Shape::Ours, Shape::InPod, Shape::Previous, Shape::ThreeHashes, Shape::Trie]
            }
            Self::Udp => &[Shape::Empty, Shape::Ours, Shape::InPod, Shape::Remembering],
        }
    }
}

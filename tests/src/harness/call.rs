//! The ways to connect that are not a plain TCP one.

use anyhow::Result;
use clap::ValueEnum;

use crate::harness::answer::Answer;
use crate::harness::helper::Helper;
use crate::harness::pod::{PATIENCE, Pod};

/// How one connection is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Call {
    /// A plain TCP connect, as all other clients of the harness make it.
    Tcp,
    /// `connect(2)` on a UDP socket. Nothing is sent.
    Udp,
    /// `connect(2)` on an ICMP datagram socket. Nothing is sent.
    Ping,
    /// TCP Fast Open: `sendto(2)` with `MSG_FASTOPEN` connects.
    FastOpen,
    /// TCP Fast Open: `TCP_FASTOPEN_CONNECT`, so that the first write sends the SYN.
    FastOpenConnect,
    Mptcp,
    /// TCP, by a socket that does not block: a failure that comes later reads `later: ERRNO`.
    NonBlocking,
    /// TCP, by a socket that was connected elsewhere before.
    Again,
    /// TCP, by `IORING_OP_CONNECT`.
    IoUring,
    /// TCP, by a socket that is bound to the pod's device.
    BoundToDevice,
    /// TCP over IPv6, by a socket that is for IPv6 alone (`IPV6_V6ONLY`).
    V6Only,
    /// TCP over IPv6, to an address with a flow label and a zone id.
    LabelAndZone,
    /// TCP, by a socket with the mark of the agent's own.
    Marked,
    /// TCP, by a socket that is claimed as the agent does it.
    Claimed,
}

impl Call {
    /// As the helper program takes it.
    pub(crate) fn argument(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// A TCP socket in a pod that was made and is not connected yet.
pub struct Unconnected {
    helper: Helper,
}

impl Unconnected {
    /// Of the family of `to`, which it will dial.
    pub fn open(client: &Pod, to: &str) -> Result<Self> {
        let mut helper = client.start(&["later".into(), format!("--to={to}")])?;
        let _ready: String = helper.expect(PATIENCE)?;
        Ok(Self { helper })
    }

    /// Connects it.
    pub fn dial(mut self) -> Result<Answer> {
        self.helper.send_line("now")?;
        self.helper.expect(PATIENCE)
    }
}

//! One UDP socket in a pod, which does one thing after the other.

use anyhow::Result;

use crate::harness::helper::Helper;
use crate::harness::pod::{PATIENCE, Pod};

/// A UDP socket, held by a process in a pod.
pub struct Datagrams {
    helper: Helper,
}

impl Datagrams {
    /// An AF_INET socket.
    pub fn open4(client: &Pod) -> Result<Self> {
        Self::open(client, 4)
    }

    /// An AF_INET6 socket.
    pub fn open6(client: &Pod) -> Result<Self> {
        Self::open(client, 6)
    }

    fn open(client: &Pod, family: u8) -> Result<Self> {
        let mut helper = client.start(&["datagrams".into(), format!("--family={family}")])?;
        let _ready: String = helper.expect(PATIENCE)?;
        Ok(Self { helper })
    }

    /// The process that holds it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.helper.pid()
    }

    /// One call, in words: `connect ADDRESS`, `disconnect`, `sendto ADDRESS TEXT`, `sendmsg ADDRESS TEXT`, `send TEXT`,
    /// `sendmmsg ADDRESS TEXT, …`, `recvfrom`, `recvmsg`, `recvmmsg COUNT`, `peer`, `pause MILLISECONDS`. Returns `ok`, `N sent`,
    /// an address, `TEXT from ADDRESS`, or the name of an errno.
    pub fn call(&mut self, words: &str) -> Result<String> {
        self.helper.send_line(words)?;
        self.helper.expect(PATIENCE)
    }
}

//! Hearing from the kernel which endpoints a committed change of the nftables rules has brought.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use edgeloop_tests::cluster::Cluster;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;

use super::contender::Watch;
use super::population::change_in_element;
use super::times::Times;

/// `NFNLGRP_NFTABLES`, as a bit.
const GROUP: u32 = 1 << 6;
/// The kernel forgets what is not read in time; a sync of everything is long.
const ROOM: usize = 256 << 20;
const BUFFER: usize = 1 << 20;
/// How often the thread looks whether it is to end.
const TICK: i64 = 100_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM`: kube-proxy has the endpoints of a Service in a map of
/// their own, by a number that is drawn.
const NEW_ELEMENTS: u16 = 10 << 8 | 12;
const HEADER: usize = 16;
/// Whatever stands in a message begins at a multiple of this.
const WORD: usize = 4;

/// A thread that listens until it is told to end.
pub(crate) struct RulesWatch {
    end: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl RulesWatch {
    /// Listens once this returns.
    pub(crate) fn start(cluster: &Cluster, times: Times) -> Result<Self> {
        let socket = cluster.inside()?.run(PATIENCE, async { listen() })??;
        let end = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&end);
        let thread = thread::Builder::new().name("listen to the rules".to_owned());
        let thread = thread.spawn(move || read(&socket, &times, &told))?;
        Ok(Self { end, thread })
    }
}

impl Watch for RulesWatch {
    /// An endpoint's address tells its change.
    fn announcer(&self) -> Box<dyn Fn(u32, u32) -> Result<()> + Send> {
        Box::new(|_change, _service| Ok(()))
    }

    fn end(self: Box<Self>) -> Result<()> {
        self.end.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(result) => result,
            Err(_panic) => bail!("the thread that listens to the rules panicked"),
        }
    }
}

/// In the network namespace of the calling thread.
fn listen() -> Result<OwnedFd> {
    let socket =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter)
            .context("could not make a netlink socket")?;
    setsockopt(&socket, sockopt::RcvBufForce, &ROOM).context("could not give a netlink socket room")?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, TICK))
        .context("could not set a time-out")?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUP)).context("could not listen to nftables")?;
    Ok(socket)
}

fn read(socket: &OwnedFd, times: &Times, end: &AtomicBool) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    while !end.load(Ordering::Relaxed) {
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => {
                let at = Instant::now();
                for change in changes(&buffer[..length]) {
                    times.mark(change, at);
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(Errno::ENOBUFS) => bail!("the kernel told more of nftables than could be read in time"),
            Err(error) => return Err(error).context("could not listen to nftables"),
        }
    }
    Ok(())
}

/// The changes whose endpoints are new in some map.
fn changes(mut messages: &[u8]) -> Vec<u32> {
    let mut found = Vec::new();
    while let Some(header) = messages.first_chunk::<HEADER>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let Some(message) = messages.get(HEADER..length) else { break };
        if kind == NEW_ELEMENTS {
            let starts = (0..message.len()).step_by(WORD);
            found.extend(starts.filter_map(|start| change_in_element(&message[start..])));
        }
        messages = messages.get(length.next_multiple_of(WORD)..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_that_changes_brought_are_found_among_other_messages() {
        let message = |kind: u16, element: &[u8]| {
            let mut bytes = ((HEADER + 4 + element.len()) as u32).to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.resize(HEADER + 4, 0);
            bytes.extend(element);
            bytes
        };
        let told = [
            message(NEW_ELEMENTS, &[11, 0, 0, 7, 0x24, 0xa0, 0, 0]),
            message(NEW_ELEMENTS + 1, &[11, 0, 0, 8, 0x24, 0xa0, 0, 0]),
            message(NEW_ELEMENTS, &[12, 0, 0, 9, 0x24, 0xa0, 0, 0]),
            message(NEW_ELEMENTS, &[11, 0, 1, 0, 0x24, 0xa0, 0, 0, 11, 0, 1, 1, 0x24, 0xa0, 0, 0]),
        ];
        assert_eq!(changes(&told.concat()), [7, 256, 257]);
        assert_eq!(changes(&told.concat()[..HEADER + 3]), Vec::<u32>::new(), "cut off");
    }
}

//! Hearing from the kernel which chains a committed change of the nftables rules has made.

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

use super::board::Board;
use super::contender::Watch;
use super::population::change_in;

/// `NFNLGRP_NFTABLES`, as a bit.
const GROUP: u32 = 1 << 6;
/// The kernel forgets what nobody reads in time; a sync of everything is long.
const ROOM: usize = 256 << 20;
const BUFFER: usize = 1 << 20;
/// How often the thread looks whether it is to end.
const TICK: i64 = 100_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN`.
const NEW_CHAIN: u16 = 10 << 8 | 3;
const HEADER: usize = 16;
/// What kube-proxy's name of an endpoint's chain has before its address and port.
const BEFORE_ADDRESS: &[u8] = b"__";

/// A thread that listens until it is told to end.
pub(crate) struct RulesWatch {
    end: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl RulesWatch {
    /// Listens once this returns.
    pub(crate) fn start(cluster: &Cluster, board: Board) -> Result<Self> {
        let socket = cluster.inside()?.run(PATIENCE, async { listen() })??;
        let end = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&end);
        let thread = thread::Builder::new().name("listen to the rules".to_owned());
        let thread = thread.spawn(move || read(&socket, &board, &told))?;
        Ok(Self { end, thread })
    }
}

impl Watch for RulesWatch {
    /// A chain's name tells its change.
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

fn read(socket: &OwnedFd, board: &Board, end: &AtomicBool) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    while !end.load(Ordering::Relaxed) {
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => {
                let at = Instant::now();
                for change in changes(&buffer[..length]) {
                    board.mark(change, at);
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(Errno::ENOBUFS) => bail!("the kernel told more of nftables than could be read in time"),
            Err(error) => return Err(error).context("could not listen to nftables"),
        }
    }
    Ok(())
}

/// The changes whose endpoints' chains are new.
fn changes(mut messages: &[u8]) -> Vec<u32> {
    let mut found = Vec::new();
    while let Some(header) = messages.first_chunk::<HEADER>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let Some(message) = messages.get(HEADER..length) else { break };
        if kind == NEW_CHAIN {
            let starts = 0..message.len();
            found.extend(starts.filter_map(|start| change_in(&message[start..], BEFORE_ADDRESS, b'/')));
        }
        messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_chains_of_changed_endpoints_are_found_among_other_messages() {
        let message = |kind: u16, text: &str| {
            let mut bytes = ((HEADER + text.len()) as u32).to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.resize(HEADER, 0);
            bytes.extend(text.as_bytes());
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let chain = |address: &str| format!("endpoint-AB-default/service-1/tcp/__{address}/9376");
        let told = [
            message(NEW_CHAIN, &chain("11.0.0.7")),
            message(NEW_CHAIN + 1, &chain("11.0.0.8")),
            message(NEW_CHAIN, &chain("12.0.0.9")),
            message(NEW_CHAIN, &chain("11.0.1.0")),
        ];
        assert_eq!(changes(&told.concat()), [7, 256]);
        assert_eq!(changes(&told.concat()[..HEADER + 3]), Vec::<u32>::new(), "cut off");
    }
}

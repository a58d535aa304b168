//! What this machine says of itself: the addresses of its interfaces, as they come and go, and its processes.

pub mod namespaces;
pub mod pod_logs;
pub mod processes;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket,
};
use nix::sys::time::TimeVal;

use crate::model::HostAddresses;

/// Where kube-proxy in its ipvs mode keeps every address that it serves: they are not the host's own.
const IPVS: &str = "kube-ipvs0";

/// All is read again after this long without an event: interfaces can be renamed.
const AGAIN: i64 = 10;

/// The least time between two reads, so that a burst of events is one.
const BREATH: Duration = Duration::from_millis(10);

/// The interfaces of the network namespace that this was opened in.
#[derive(Debug)]
pub struct Interfaces {
    /// The kernel sends something here whenever an address comes or goes. What it sends is not read: all addresses are.
    events: OwnedFd,
}

impl Interfaces {
    /// # Errors
    /// The kernel gives no netlink socket.
    pub fn open() -> io::Result<Self> {
        let events = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        let groups = (libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR).cast_unsigned();
        bind(events.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        setsockopt(&events, ReceiveTimeout, &TimeVal::new(AGAIN, 0))?;
        Ok(Self { events })
    }

    /// All addresses, as they are now.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn read(&self) -> io::Result<HostAddresses> {
        Ok(getifaddrs()?.filter(|found| found.interface_name != IPVS).filter_map(address).collect())
    }

    /// Calls `send` with all addresses whenever they are not as they were `known`, until it returns false. What cannot be
    /// read is read again, and until then what was known holds.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn follow(
        self,
        known: HostAddresses,
        send: impl FnMut(HostAddresses) -> bool + Send + 'static,
    ) -> io::Result<()> {
        std::thread::Builder::new().name("interfaces".to_owned()).spawn(|| self.run(known, send))?;
        Ok(())
    }

    fn run(self, mut known: HostAddresses, mut send: impl FnMut(HostAddresses) -> bool) {
        loop {
            match self.read() {
                Ok(now) if now != known => {
                    known = now.clone();
                    if !send(now) {
                        return;
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "could not read the addresses of this machine; it is tried again");
                    std::thread::sleep(Duration::from_secs(1));
                    continue;
                }
            }
            std::thread::sleep(BREATH);
            self.wait();
        }
    }

    /// Waits for an event, and takes all that there are: lost ones (ENOBUFS) count as well.
    fn wait(&self) {
        let mut message = [0; 8192];
        let mut flags = MsgFlags::empty();
        loop {
            match recv(self.events.as_raw_fd(), &mut message, flags) {
                Err(Errno::EINTR | Errno::ENOBUFS) => {}
                Err(_nothing_more) => return,
                Ok(_) => flags = MsgFlags::MSG_DONTWAIT,
            }
        }
    }
}

fn address(found: InterfaceAddress) -> Option<(IpAddr, Arc<str>)> {
    let address = found.address?;
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    let ip = v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))?;
    Some((ip, found.interface_name.into()))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn the_addresses_of_this_machine_are_read_and_said_when_they_differ() {
        let interfaces = Interfaces::open().unwrap();
        let now = interfaces.read().unwrap();
        let (sender, receiver) = channel();
        interfaces.follow(HostAddresses::default(), move |found| sender.send(found).is_ok()).unwrap();
        if now != HostAddresses::default() {
            assert_eq!(receiver.recv_timeout(Duration::from_secs(5)).unwrap(), now);
        }
        let loopback = now.interface(IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert!(loopback.is_none_or(|name| name == "lo"), "{loopback:?}");
    }
}

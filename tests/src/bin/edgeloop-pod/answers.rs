//! Servers of the proof over UDP: sockets that are read when it is their turn, and reply from the address that was sent to.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use anyhow::{Context, Result};
use edgeloop_tests::proof::{over6, under6};
use nix::errno::Errno;
use nix::libc::{self, in_pktinfo, in6_pktinfo};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo, Ipv6V6Only, ReceiveTimeout};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrStorage, bind,
    recvmsg, sendmsg, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::socket::PATIENCE;

/// Whether a datagram comes in time.
pub(crate) fn wait(servers: &[Server]) -> Result<bool> {
    let mut waits: Vec<PollFd<'_>> =
        servers.iter().map(|server| PollFd::new(server.fd(), PollFlags::POLLIN)).collect();
    let ready = match poll(&mut waits, PollTimeout::try_from(PATIENCE)?) {
        Err(Errno::EINTR) => return Ok(true),
        ready => ready.context("could not wait for a datagram")?,
    };
    Ok(ready > 0)
}

/// A port of all addresses of one family that this pod has.
pub(crate) struct Server {
    socket: OwnedFd,
    port: u16,
    is_v6: bool,
}

/// A datagram, the address that it came to (what is under it, over IPv6), and where it is from.
pub(crate) struct Arrived {
    pub(crate) number: u32,
    pub(crate) at: SocketAddrV4,
    pub(crate) from: SockaddrStorage,
}

impl Server {
    pub(crate) fn new4(port: u16) -> Result<Self> {
        let socket = open(AddressFamily::Inet)?;
        setsockopt(&socket, Ipv4PacketInfo, &true).context("could not ask where datagrams come to")?;
        Self::bound(socket, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())
    }

    pub(crate) fn new6(port: u16) -> Result<Self> {
        let socket = open(AddressFamily::Inet6)?;
        setsockopt(&socket, Ipv6V6Only, &true).context("could not leave IPv4 to another socket")?;
        setsockopt(&socket, Ipv6RecvPacketInfo, &true).context("could not ask where datagrams come to")?;
        send_from_any(&socket).context("could not reply from any address")?;
        Self::bound(socket, SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0).into())
    }

    fn bound(socket: OwnedFd, at: SocketAddr) -> Result<Self> {
        bind(socket.as_raw_fd(), &SockaddrStorage::from(at))
            .with_context(|| format!("could not bind to {at}"))?;
        Ok(Self { socket, port: at.port(), is_v6: at.is_ipv6() })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn raw(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// What waits, if anything does.
    pub(crate) fn take(&self) -> Option<Arrived> {
        let mut number = [0; 4];
        let mut parts = [IoSliceMut::new(&mut number)];
        let mut control = nix::cmsg_space!(in_pktinfo, in6_pktinfo);
        let message =
            recvmsg::<SockaddrStorage>(self.raw(), &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT)
                .ok()?;
        let at = message.cmsgs().ok()?.find_map(|control| {
            if let ControlMessageOwned::Ipv4PacketInfo(info) = control {
                let to = Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes());
                return Some(SocketAddrV4::new(to, self.port));
            }
            let ControlMessageOwned::Ipv6PacketInfo(info) = control else { return None };
            under6(SocketAddrV6::new(info.ipi6_addr.s6_addr.into(), self.port, 0, 0))
        })?;
        let from = message.address?;
        Some(Arrived { number: u32::from_ne_bytes(number), at, from })
    }

    pub(crate) fn reply(&self, number: u32, at: SocketAddrV4, to: &SockaddrStorage) -> Result<()> {
        let own = libc::in_addr { s_addr: u32::from_ne_bytes(at.ip().octets()) };
        let info4 = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: own, ipi_addr: own };
        let own = libc::in6_addr { s6_addr: over6(at).ip().octets() };
        let info6 = in6_pktinfo { ipi6_addr: own, ipi6_ifindex: 0 };
        let control = if self.is_v6 {
            [ControlMessage::Ipv6PacketInfo(&info6)]
        } else {
            [ControlMessage::Ipv4PacketInfo(&info4)]
        };
        let text = number.to_ne_bytes();
        sendmsg(self.raw(), &[IoSlice::new(&text)], &control, MsgFlags::empty(), Some(to))
            .with_context(|| format!("could not reply from {at}"))?;
        Ok(())
    }
}

/// Also from what is this pod's by a route alone.
fn send_from_any(socket: &OwnedFd) -> nix::Result<()> {
    let yes: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    let (fd, value) = (socket.as_raw_fd(), (&raw const yes).cast());
    // SAFETY: the value is as long as `length` says.
    let result = unsafe { libc::setsockopt(fd, libc::IPPROTO_IPV6, libc::IPV6_FREEBIND, value, length) };
    Errno::result(result).map(drop)
}

/// A UDP socket, which waits no longer than our patience.
pub(crate) fn open(family: AddressFamily) -> Result<OwnedFd> {
    let socket = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .context("could not make a UDP socket")?;
    let patience = TimeVal::seconds(PATIENCE.as_secs().cast_signed());
    setsockopt(&socket, ReceiveTimeout, &patience).context("could not limit the wait of a socket")?;
    Ok(socket)
}

pub(crate) fn address(shown: Option<&SockaddrStorage>) -> Option<SocketAddr> {
    let shown = shown?;
    let v4 = shown.as_sockaddr_in().map(|at| SocketAddr::from((at.ip(), at.port())));
    v4.or(shown.as_sockaddr_in6().map(|at| SocketAddr::from((at.ip(), at.port()))))
}

//! Servers of the proof over UDP: sockets that are read when it is their turn, and reply from the address that was sent to.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc::in_pktinfo;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, ReceiveTimeout};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrIn,
    SockaddrStorage, bind, recvmsg, sendmsg, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::socket::PATIENCE;

/// Whether a datagram comes in time.
pub(crate) fn wait(servers: &[Server; 2]) -> Result<bool> {
    let mut waits = servers.each_ref().map(|server| PollFd::new(server.fd(), PollFlags::POLLIN));
    let ready = match poll(&mut waits, PollTimeout::try_from(PATIENCE)?) {
        Err(Errno::EINTR) => return Ok(true),
        ready => ready.context("could not wait for a datagram")?,
    };
    Ok(ready > 0)
}

/// A port of all addresses that this pod has.
pub(crate) struct Server {
    socket: OwnedFd,
    port: u16,
}

/// A datagram, the address that it came to, and where it is from.
pub(crate) struct Arrived {
    pub(crate) number: u32,
    pub(crate) at: SocketAddrV4,
    pub(crate) from: SockaddrIn,
}

impl Server {
    pub(crate) fn new(port: u16) -> Result<Self> {
        let socket = open(AddressFamily::Inet)?;
        setsockopt(&socket, Ipv4PacketInfo, &true).context("could not ask where datagrams come to")?;
        let at = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
        bind(socket.as_raw_fd(), &SockaddrIn::from(at)).with_context(|| format!("could not bind to {at}"))?;
        Ok(Self { socket, port })
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
        let mut control = nix::cmsg_space!(in_pktinfo);
        let message =
            recvmsg::<SockaddrIn>(self.raw(), &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT).ok()?;
        let to = message.cmsgs().ok()?.find_map(|control| {
            let ControlMessageOwned::Ipv4PacketInfo(info) = control else { return None };
            Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()))
        })?;
        let from = message.address?;
        Some(Arrived { number: u32::from_ne_bytes(number), at: SocketAddrV4::new(to, self.port), from })
    }

    pub(crate) fn reply(&self, number: u32, at: SocketAddrV4, to: SockaddrIn) -> Result<()> {
        let own = nix::libc::in_addr { s_addr: u32::from_ne_bytes(at.ip().octets()) };
        let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: own, ipi_addr: own };
        let text = number.to_ne_bytes();
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        sendmsg(self.raw(), &[IoSlice::new(&text)], &control, MsgFlags::empty(), Some(&to))
            .with_context(|| format!("could not reply from {at}"))?;
        Ok(())
    }
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

//! The client over UDP.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo};
use nix::sys::socket::sockopt::Ipv4PacketInfo;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType,
    SockaddrIn, connect, recvmsg, sendmsg, sendto, setsockopt, socket,
};

use super::dials::BACKEND_PORT;

/// Sockets that are kept, and used in turn.
pub(crate) const SOCKETS: u32 = 16;

/// What a kept socket talks to.
pub(crate) struct Dialled {
    pub(crate) service: SocketAddrV4,
    /// One of its backends.
    pub(crate) backend: SocketAddrV4,
}

/// A new socket for each connection, which fails for lack of a route.
pub(crate) fn connect_each(count: u32, mut next: impl FnMut() -> SocketAddrV4) -> Result<()> {
    for _ in 0..count {
        let to = next();
        without_route(connect(open()?.as_raw_fd(), &SockaddrIn::from(to)), to)?;
    }
    Ok(())
}

/// The same few sockets, each to a Service of its own.
pub(crate) fn send_to_each(count: u32, mut next: impl FnMut() -> SocketAddrV4) -> Result<()> {
    let kept = (0..SOCKETS).map(|_| Ok((open()?, next())));
    let kept = kept.collect::<Result<Vec<(OwnedFd, SocketAddrV4)>>>()?;
    for (socket, to) in kept.iter().cycle().take(count as usize) {
        let sent = sendto(socket.as_raw_fd(), b"?", &SockaddrIn::from(*to), MsgFlags::empty());
        without_route(sent, *to)?;
    }
    Ok(())
}

fn without_route<T>(called: nix::Result<T>, to: SocketAddrV4) -> Result<()> {
    match called {
        Err(Errno::ENETUNREACH) => Ok(()),
        Ok(_) => bail!("{to} was reached: there should be no way out of here"),
        Err(errno) => Err(errno).with_context(|| format!("a call to {to} ended as none should")),
    }
}

/// Replies, over and over, to the one datagram that each socket has sent. The backends are addresses of this pod. `direct`:
/// a backend is dialled itself, where no program leads to one.
pub(crate) fn receive(count: u32, direct: bool, mut next: impl FnMut() -> Dialled) -> Result<()> {
    let server = Server::new()?;
    let mut kept = Vec::new();
    for _ in 0..SOCKETS {
        let Dialled { service, backend } = next();
        let to = if direct { backend } else { service };
        let client = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("could not make a UDP socket")?;
        client.set_read_timeout(Some(Duration::from_secs(2)))?;
        client.send_to(b"?", to).with_context(|| format!("could not send to {to}"))?;
        let (own, from) = server.take()?;
        kept.push((client, to, own, from));
    }
    for (client, to, own, from) in kept.iter().cycle().take(count as usize) {
        server.reply(*own, from)?;
        let mut text = [0; 4];
        let (_length, shown) = client.recv_from(&mut text).context("a reply does not come")?;
        ensure!(shown == (*to).into(), "a reply to {to} is shown as one of {shown}");
    }
    Ok(())
}

/// All backends.
struct Server(UdpSocket);

impl Server {
    fn new() -> Result<Self> {
        let socket =
            UdpSocket::bind((Ipv4Addr::UNSPECIFIED, BACKEND_PORT)).context("could not bind a server")?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        setsockopt(&socket, Ipv4PacketInfo, &true).context("could not ask where datagrams come to")?;
        Ok(Self(socket))
    }

    /// Which backend the next datagram came to, and where it is from.
    fn take(&self) -> Result<(Ipv4Addr, SockaddrIn)> {
        let mut text = [0; 4];
        let mut parts = [IoSliceMut::new(&mut text)];
        let mut control = nix::cmsg_space!(in_pktinfo);
        let message =
            recvmsg::<SockaddrIn>(self.0.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())
                .context("no datagram reaches a backend")?;
        let own = message.cmsgs()?.find_map(|control| {
            let ControlMessageOwned::Ipv4PacketInfo(info) = control else { return None };
            Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()))
        });
        Ok((
            own.context("a datagram came to no address")?,
            message.address.context("a datagram is from nowhere")?,
        ))
    }

    fn reply(&self, own: Ipv4Addr, to: &SockaddrIn) -> Result<()> {
        let own = in_addr { s_addr: u32::from_ne_bytes(own.octets()) };
        let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: own, ipi_addr: own };
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        sendmsg(self.0.as_raw_fd(), &[IoSlice::new(b"!")], &control, MsgFlags::empty(), Some(to))
            .context("could not reply")?;
        Ok(())
    }
}

fn open() -> Result<OwnedFd> {
    Ok(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, SockProtocol::Udp)?)
}

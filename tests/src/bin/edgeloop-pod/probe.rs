//! `connect(2)` and nothing behind it: which address the programs chose, without a packet.
//!
//! A socket with Fast Open that needs no cookie puts its SYN off until the first write. Until then the kernel
//! knows the peer, and the socket can be taken back and dialled with again: hundreds of thousands of lookups
//! a second, each with its result.

use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};

pub(crate) struct Probe(OwnedFd);

impl Probe {
    pub(crate) fn new() -> nix::Result<Self> {
        let socket =
            socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp)?;
        setsockopt(&socket, sockopt::TcpFastOpenConnect, &true)?;
        without_cookie(&socket)?;
        // With a port of its own the kernel need not look for one every time.
        bind(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)))?;
        Ok(Self(socket))
    }

    /// The address that a connection to `to` would have gone to.
    pub(crate) fn connect(&self, to: SocketAddrV4) -> nix::Result<SocketAddrV4> {
        connect(self.0.as_raw_fd(), &SockaddrIn::from(to))?;
        let peer = self.peer();
        self.take_back()?;
        peer
    }

    /// `getpeername(2)` waits for an answer to the SYN; this option does not.
    fn peer(&self) -> nix::Result<SocketAddrV4> {
        let mut peer = MaybeUninit::<libc::sockaddr_in>::zeroed();
        let mut length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        let fd = self.0.as_raw_fd();
        // SAFETY: the buffer is as long as `length` says.
        let result = unsafe {
            libc::getsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_PEERNAME,
                peer.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        Errno::result(result)?;
        // SAFETY: all bytes were zero, and any bytes are a valid `sockaddr_in`.
        let peer = unsafe { peer.assume_init() };
        Ok(SocketAddrV4::new(u32::from_be(peer.sin_addr.s_addr).into(), u16::from_be(peer.sin_port)))
    }

    /// Makes the socket one that was never dialled with. No program runs for this.
    fn take_back(&self) -> nix::Result<()> {
        let nowhere = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
        let length = size_of::<libc::sockaddr>() as libc::socklen_t;
        // SAFETY: the address is as long as `length` says.
        let result = unsafe { libc::connect(self.0.as_raw_fd(), &raw const nowhere, length) };
        Errno::result(result).map(drop)
    }
}

fn without_cookie(socket: &OwnedFd) -> nix::Result<()> {
    let yes: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    let fd = socket.as_raw_fd();
    // SAFETY: the value is as long as `length` says.
    let result = unsafe {
        libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_NO_COOKIE, (&raw const yes).cast(), length)
    };
    Errno::result(result).map(drop)
}

//! `connect(2)` and nothing behind it: which address the programs chose, without a packet.
//!
//! A socket with Fast Open that needs no cookie puts its SYN off until the first write. Until then the kernel
//! knows the peer, and the socket can be taken back and dialled with again: hundreds of thousands of lookups
//! a second, each with its result.

use std::mem::MaybeUninit;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

use edgeloop_tests::proof::under6;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect, setsockopt, socket,
    sockopt,
};

pub(crate) struct Probe {
    socket: OwnedFd,
    family: AddressFamily,
}

impl Probe {
    pub(crate) fn new(family: AddressFamily) -> nix::Result<Self> {
        let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp)?;
        setsockopt(&socket, sockopt::TcpFastOpenConnect, &true)?;
        without_cookie(&socket)?;
        // With a port of its own the kernel need not look for one every time.
        let any = if family == AddressFamily::Inet6 {
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
        } else {
            SocketAddr::from(([0; 4], 0))
        };
        bind(socket.as_raw_fd(), &SockaddrStorage::from(any))?;
        Ok(Self { socket, family })
    }

    /// The address that a connection to `to`, of this probe's family, would have gone to; what is under it, for IPv6.
    pub(crate) fn connect(&self, to: SocketAddr) -> nix::Result<SocketAddrV4> {
        connect(self.socket.as_raw_fd(), &SockaddrStorage::from(to))?;
        let peer = self.peer();
        self.take_back()?;
        peer
    }

    /// `getpeername(2)` waits for an answer to the SYN; this option does not.
    fn peer(&self) -> nix::Result<SocketAddrV4> {
        // Long enough for both families, whose ports lie at the same place.
        let mut peer = MaybeUninit::<libc::sockaddr_in6>::zeroed();
        // No longer than the address is: the kernel refuses that.
        let mut length = match self.is_inet6() {
            true => size_of::<libc::sockaddr_in6>(),
            false => size_of::<libc::sockaddr_in>(),
        } as libc::socklen_t;
        let fd = self.socket.as_raw_fd();
        // SAFETY: the buffer is at least as long as `length` says.
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
        // SAFETY: all bytes were zero, and any bytes are a valid `sockaddr_in6`.
        let peer = unsafe { peer.assume_init() };
        let address = if self.is_inet6() {
            let address = Ipv6Addr::from(peer.sin6_addr.s6_addr);
            let over = SocketAddrV6::new(address, u16::from_be(peer.sin6_port), 0, 0);
            match address.to_ipv4_mapped() {
                Some(mapped) => mapped,
                None => *under6(over).ok_or(Errno::EAFNOSUPPORT)?.ip(),
            }
        } else {
            // What a `sockaddr_in` has for its address, after family and port.
            u32::from_be(peer.sin6_flowinfo).into()
        };
        Ok(SocketAddrV4::new(address, u16::from_be(peer.sin6_port)))
    }

    /// Whether it dials by IPv6 or IPv4-mapped addresses.
    fn is_inet6(&self) -> bool {
        self.family == AddressFamily::Inet6
    }

    /// Makes the socket one that was never dialled with. No program runs for this.
    fn take_back(&self) -> nix::Result<()> {
        let nowhere = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
        let length = size_of::<libc::sockaddr>() as libc::socklen_t;
        // SAFETY: the address is as long as `length` says.
        let result = unsafe { libc::connect(self.socket.as_raw_fd(), &raw const nowhere, length) };
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

//! One connection, made in one of the less common ways.

use std::fs;
use std::io;
use std::mem::size_of_val;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use std::path::Path;

use anyhow::{Context, Result};
use edgeloop_tests::{Answer, Call, now};
use lb_agent::datapath::maps::agent_sockets::AgentSockets;
use lb_common::outcome::OWN_MARK;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, SockaddrStorage, connect, sendto};

use crate::{clients, join, say, socket, uring};

/// The device of every pod.
const DEVICE: &[u8] = b"eth0\0";

/// What a datagram socket is answered: that the kernel connected it.
const CONNECTED: &str = "connected";

/// A TCP socket that is made now, and connects when there is a line of input.
pub(crate) fn later(to: SocketAddr) -> Result<()> {
    let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let socket = open(family, libc::SOCK_STREAM, libc::IPPROTO_TCP).context("could not make a socket")?;
    say(&"ready")?;
    io::stdin().read_line(&mut String::new()).context("could not read when to connect")?;
    answer(|| named(connected(socket, &SockaddrStorage::from(to))?))
}

pub(crate) fn run(how: Call, to: SocketAddr, then: Option<SocketAddr>, pins: Option<&Path>) -> Result<()> {
    join::at_end_of_input(|| std::process::exit(0));
    if how == Call::Ping {
        // Who may make such sockets is settled by network namespace, and by default no group may.
        fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").context("could not allow ping sockets")?;
    }
    answer(|| then.map_or_else(|| call(how, to, pins), |then| again(to, then)))
}

/// Says what came of a call.
fn answer(call: impl FnOnce() -> Result<Called, Errno>) -> Result<()> {
    let began = now();
    let called = call();
    let took = now().saturating_sub(began);
    let (result, peer) = match called {
        Ok((result, peer)) => (result, peer),
        Err(errno) => (Err(errno), None),
    };
    say(&Answer { result: result.map_err(socket::name), peer, began, took })
}

/// What came of it, and who the kernel says is at the other end; `Err` when it did not connect.
type Called = (Result<String, Errno>, Option<SocketAddr>);

fn call(how: Call, to: SocketAddr, pins: Option<&Path>) -> Result<Called, Errno> {
    let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let target = SockaddrStorage::from(to);
    match how {
        Call::Udp | Call::Ping => {
            let protocol = if how == Call::Ping { ping(to) } else { 0 };
            let socket = UdpSocket::from(open(family, libc::SOCK_DGRAM, protocol)?);
            connect(socket.as_raw_fd(), &target)?;
            Ok((Ok(CONNECTED.to_owned()), socket.peer_addr().ok()))
        }
        Call::Tcp => named(socket::dial(to)?),
        Call::Mptcp => named(connected(open(family, libc::SOCK_STREAM, libc::IPPROTO_MPTCP)?, &target)?),
        Call::Again => Err(Errno::EDESTADDRREQ),
        Call::NonBlocking => without_waiting(open(family, libc::SOCK_STREAM, libc::IPPROTO_TCP)?, &target),
        Call::IoUring => {
            let socket = open(family, libc::SOCK_STREAM, libc::IPPROTO_TCP)?;
            uring::connect(&socket, &target)?;
            named(TcpStream::from(socket))
        }
        Call::BoundToDevice => {
            let socket = open(family, libc::SOCK_STREAM, libc::IPPROTO_TCP)?;
            set(&socket, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, DEVICE)?;
            named(connected(socket, &target)?)
        }
        Call::V6Only => {
            let socket = open(family, libc::SOCK_STREAM, libc::IPPROTO_TCP)?;
            set(&socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &1_i32.to_ne_bytes())?;
            named(connected(socket, &target)?)
        }
        Call::LabelAndZone => {
            let SocketAddr::V6(mut to) = to else { return Err(Errno::EAFNOSUPPORT) };
            to.set_flowinfo(0x1_2345_u32.to_be());
            // The loopback device has the number 1, the pod's a larger one.
            to.set_scope_id(2);
            named(connected(open(family, libc::SOCK_STREAM, libc::IPPROTO_TCP)?, &SockaddrStorage::from(to))?)
        }
        Call::Marked => {
            let socket = open(family, libc::SOCK_STREAM, libc::IPPROTO_TCP)?;
            set(&socket, libc::SOL_SOCKET, libc::SO_MARK, &OWN_MARK.to_ne_bytes())?;
            named(connected(socket, &target)?)
        }
        Call::Claimed => {
            let socket = open(family, libc::SOCK_STREAM, libc::IPPROTO_TCP)?;
            let sockets = AgentSockets::new(pins.ok_or(Errno::EINVAL)?);
            sockets.claim(socket.as_fd()).map_err(|error| socket::errno(&error))?;
            named(connected(socket, &target)?)
        }
        Call::FastOpenConnect => {
            let socket = open(family, libc::SOCK_STREAM, libc::IPPROTO_TCP)?;
            set(&socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, &1_i32.to_ne_bytes())?;
            named(connected(socket, &target)?)
        }
        Call::FastOpen => {
            let socket = open(family, libc::SOCK_STREAM, libc::IPPROTO_TCP)?;
            let request = b"GET / HTTP/1.0\r\n";
            sendto(socket.as_raw_fd(), request, &target, MsgFlags::from_bits_retain(libc::MSG_FASTOPEN))?;
            named(TcpStream::from(socket))
        }
    }
}

const fn ping(to: SocketAddr) -> i32 {
    if to.is_ipv4() { libc::IPPROTO_ICMP } else { libc::IPPROTO_ICMPV6 }
}

fn again(first: SocketAddr, then: SocketAddr) -> Result<Called, Errno> {
    let socket = socket::dial(first)?;
    let nowhere = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    let length = size_of_val(&nowhere) as libc::socklen_t;
    // SAFETY: the address is as long as is said.
    Errno::result(unsafe { libc::connect(socket.as_raw_fd(), &raw const nowhere, length) })?;
    connect(socket.as_raw_fd(), &SockaddrStorage::from(then))?;
    named(socket)
}

fn without_waiting(socket: OwnedFd, target: &SockaddrStorage) -> Result<Called, Errno> {
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true).map_err(|error| socket::errno(&error))?;
    match connect(stream.as_raw_fd(), target) {
        Err(Errno::EINPROGRESS) => {}
        done => done?,
    }
    let mut waits = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
    let patience = PollTimeout::try_from(socket::PATIENCE).unwrap_or(PollTimeout::MAX);
    if poll(&mut waits, patience)? == 0 {
        return Err(socket::TIMEOUT);
    }
    if let Ok(Some(error)) = stream.take_error() {
        let later = format!("later: {}", socket::name(socket::errno(&error)));
        return Ok((Ok(later), None));
    }
    stream.set_nonblocking(false).map_err(|error| socket::errno(&error))?;
    named(stream)
}

/// Asks for the name, as every client does.
fn named(stream: TcpStream) -> Result<Called, Errno> {
    stream.set_read_timeout(Some(socket::PATIENCE)).map_err(|error| socket::errno(&error))?;
    let peer = stream.try_clone().map_err(|error| socket::errno(&error))?;
    let name = clients::read_name(stream);
    Ok((name, peer.peer_addr().ok()))
}

fn connected(socket: OwnedFd, target: &SockaddrStorage) -> Result<TcpStream, Errno> {
    let patience = [socket::PATIENCE.as_secs().cast_signed(), 0_i64].map(i64::to_ne_bytes).concat();
    set(&socket, libc::SOL_SOCKET, libc::SO_SNDTIMEO, &patience)?;
    match connect(socket.as_raw_fd(), target) {
        Ok(()) => Ok(TcpStream::from(socket)),
        Err(Errno::EINPROGRESS | Errno::EAGAIN) => Err(socket::TIMEOUT),
        Err(errno) => Err(errno),
    }
}

fn open(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes three numbers.
    let socket: RawFd = Errno::result(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) })?;
    // SAFETY: the kernel just gave us this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

fn set(socket: &OwnedFd, level: i32, option: i32, value: &[u8]) -> Result<(), Errno> {
    let length = size_of_val(value) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the value is as long as is said.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.as_ptr().cast(), length) };
    if result == 0 { Ok(()) } else { Err(socket::errno(&io::Error::last_os_error())) }
}

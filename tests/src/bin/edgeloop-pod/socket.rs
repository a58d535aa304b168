//! Sockets with an end to every wait, and closed so that no port stays taken.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc::linger;
use nix::sys::socket::sockopt::{Linger, ReceiveTimeout, ReuseAddr, SendTimeout};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect, listen,
    setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// What a connection that gets nothing in time ends with.
pub(crate) const TIMEOUT: Errno = Errno::ETIMEDOUT;

/// A plain blocking `connect(2)`.
pub(crate) fn dial(to: SocketAddr) -> Result<TcpStream, Errno> {
    let stream = socket(family(to), SockType::Stream, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp)?;
    let patience = TimeVal::seconds(PATIENCE.as_secs().cast_signed());
    setsockopt(&stream, SendTimeout, &patience)?;
    setsockopt(&stream, ReceiveTimeout, &patience)?;
    // Closing resets the connection: neither side is left with one in TIME_WAIT, and no port runs out.
    setsockopt(&stream, Linger, &linger { l_onoff: 1, l_linger: 0 })?;
    match connect(stream.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) => Ok(TcpStream::from(stream)),
        Err(Errno::EINPROGRESS | Errno::EAGAIN) => Err(TIMEOUT),
        Err(errno) => Err(errno),
    }
}

/// The errno of a failed read or write.
pub(crate) fn errno(error: &io::Error) -> Errno {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EAGAIN) => TIMEOUT,
        Some(errno) => errno,
        // The other end closed before it had said enough.
        None => Errno::ENODATA,
    }
}

pub(crate) fn name(errno: Errno) -> String {
    if errno == TIMEOUT { "timeout".to_owned() } else { format!("{errno:?}") }
}

/// With room for thousands that wait to be accepted.
pub(crate) fn listener(at: SocketAddr) -> Result<TcpListener> {
    let open = || {
        let listener = socket(family(at), SockType::Stream, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp)?;
        setsockopt(&listener, ReuseAddr, &true)?;
        bind(listener.as_raw_fd(), &SockaddrStorage::from(at))?;
        listen(&listener, Backlog::MAXCONN)?;
        Ok::<_, Errno>(TcpListener::from(listener))
    };
    open().with_context(|| format!("could not listen on {at}"))
}

fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

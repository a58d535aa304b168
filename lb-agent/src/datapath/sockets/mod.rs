//! UDP sockets as the kernel lists them by `sock_diag`, one network namespace at a time; and what each of them remembers.

mod memory;
mod message;

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
};
use nix::sys::time::TimeVal;

use crate::model::{Family, UdpEnd};

pub use memory::Memories;
use message::{Message, messages, request};

/// More than the kernel puts into one read.
const ROOM: usize = 1 << 16;
/// Seconds that one read may take.
const PATIENCE: i64 = 2;

/// Why the sockets of a namespace cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("the kernel does not let this process enter it (CAP_SYS_ADMIN)")]
    MayNotEnter,
    #[error("could not enter it")]
    Enter(#[source] io::Error),
    #[error("there is no netlink socket to ask the kernel by")]
    Open(#[source] io::Error),
    #[error(
        "the kernel lists no UDP sockets: it was built without CONFIG_INET_UDP_DIAG, or its module udp_diag is missing"
    )]
    NoDiag,
    #[error("could not ask the kernel for its UDP sockets")]
    Ask(#[source] io::Error),
}

/// The UDP sockets of the network namespace that `namespace` opens to; without one, of the calling thread's own.
///
/// # Errors
/// When the namespace cannot be entered, or the kernel does not say.
pub fn list(namespace: Option<&File>) -> Result<Vec<UdpEnd>, ListError> {
    let door = match namespace {
        None => door().map_err(|errno| ListError::Open(errno.into()))?,
        Some(namespace) => door_into(namespace)?,
    };
    let mut found = Vec::new();
    for family in Family::ALL {
        list_family(&door, family, &mut found)?;
    }
    Ok(found)
}

fn list_family(door: &OwnedFd, family: Family, found: &mut Vec<UdpEnd>) -> Result<(), ListError> {
    let kernel = NetlinkAddr::new(0, 0);
    sendto(door.as_raw_fd(), &request(family), &kernel, MsgFlags::empty()).map_err(failed)?;
    let mut buffer = vec![0; ROOM];
    loop {
        let length = match recv(door.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Err(Errno::EINTR) => continue,
            length => length.map_err(failed)?,
        };
        let came = buffer.get(..length).unwrap_or_default();
        for message in messages(came).map_err(|short| ListError::Ask(io::Error::other(short)))? {
            match message {
                Message::Socket(socket) => found.push(socket),
                Message::Other => {}
                Message::End(end) => return end.map_err(|errno| failed(Errno::from_raw(errno))),
            }
        }
    }
}

fn failed(errno: Errno) -> ListError {
    if matches!(errno, Errno::ENOENT | Errno::EOPNOTSUPP) {
        return ListError::NoDiag;
    }
    ListError::Ask(errno.into())
}

/// A socket of `sock_diag`. It shows the sockets of the namespace that it was made in, whichever thread asks.
fn door() -> Result<OwnedFd, Errno> {
    let door = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    setsockopt(&door, ReceiveTimeout, &TimeVal::new(PATIENCE, 0))?;
    Ok(door)
}

/// The same in another namespace. That is a thread's own affair: the thread that enters it ends with this call.
fn door_into(namespace: &File) -> Result<OwnedFd, ListError> {
    let enter = || {
        setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|errno| {
            if errno == Errno::EPERM { ListError::MayNotEnter } else { ListError::Enter(errno.into()) }
        })?;
        door().map_err(|errno| ListError::Open(errno.into()))
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("namespace".to_owned()).spawn_scoped(scope, enter);
        let ended = thread.map_err(ListError::Enter)?.join();
        ended.unwrap_or_else(|_panic| Err(ListError::Enter(io::ErrorKind::Other.into())))
    })
}

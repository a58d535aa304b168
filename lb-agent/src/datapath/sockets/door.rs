//! A socket of `sock_diag`: by it the kernel lists the UDP sockets of one network namespace, and ends them.

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

use super::message::{Message, Which, destroy, messages, request};
use crate::model::{Family, Pods, UdpEnd};

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

/// What became of a socket that was to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Ended,
    /// No such socket is connected so any more.
    Gone,
}

/// The calling thread enters a network namespace, for good: nothing brings it back.
///
/// # Errors
/// When it may not, or `namespace` opens to something else.
pub fn enter(namespace: &File) -> Result<(), ListError> {
    setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|errno| {
        if errno == Errno::EPERM { ListError::MayNotEnter } else { ListError::Enter(errno.into()) }
    })
}

/// Whether this process may enter network namespaces: it enters the one that it is in.
#[must_use]
pub fn may_enter() -> Pods {
    let enter_own = || -> Result<(), ListError> {
        let own = File::open("/proc/thread-self/ns/net").map_err(ListError::Enter)?;
        enter(&own)
    };
    match std::thread::scope(|scope| scope.spawn(enter_own).join()) {
        Ok(Ok(())) => Pods::Entered,
        Ok(Err(ListError::MayNotEnter)) => Pods::NotAllowed,
        _ => Pods::Unknown,
    }
}

/// It shows and ends the sockets of the namespace that it was made in, whichever thread asks.
#[derive(Debug)]
pub struct Door(OwnedFd);

impl Door {
    /// In the calling thread's network namespace.
    ///
    /// # Errors
    /// When the kernel gives no such socket.
    pub fn open() -> Result<Self, ListError> {
        let open = || {
            let door = socket(
                AddressFamily::Netlink,
                SockType::Datagram,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::NetlinkSockDiag,
            )?;
            setsockopt(&door, ReceiveTimeout, &TimeVal::new(PATIENCE, 0))?;
            Ok(Self(door))
        };
        open().map_err(|errno: Errno| ListError::Open(errno.into()))
    }

    /// The UDP sockets, of both families.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn list(&self, which: Which) -> Result<Vec<UdpEnd>, ListError> {
        let mut found = Vec::new();
        for family in Family::ALL {
            self.send(&request(family, which)).map_err(failed)?;
            self.until_the_end(&mut found)?.map_err(failed)?;
        }
        Ok(found)
    }

    /// Ends a socket, if it is still connected as it was shown: its next call fails with ECONNABORTED. It takes CAP_NET_ADMIN
    /// there, and a kernel with CONFIG_INET_DIAG_DESTROY.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn end(&self, socket: &UdpEnd) -> io::Result<Fate> {
        let Some(request) = destroy(socket) else { return Ok(Fate::Gone) };
        self.send(&request)?;
        let ended = self.until_the_end(&mut Vec::new()).map_err(io::Error::other)?;
        match ended {
            Ok(()) => Ok(Fate::Ended),
            // None at these addresses, or another one.
            Err(Errno::ENOENT | Errno::ESTALE) => Ok(Fate::Gone),
            Err(errno) => Err(errno.into()),
        }
    }

    fn send(&self, request: &[u8]) -> Result<(), Errno> {
        let kernel = NetlinkAddr::new(0, 0);
        sendto(self.0.as_raw_fd(), request, &kernel, MsgFlags::empty()).map(drop)
    }

    /// Reads a reply to its end, and returns what that says.
    fn until_the_end(&self, found: &mut Vec<UdpEnd>) -> Result<Result<(), Errno>, ListError> {
        let mut buffer = vec![0; ROOM];
        loop {
            let length = match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                length => length.map_err(failed)?,
            };
            let came = buffer.get(..length).unwrap_or_default();
            for message in messages(came).map_err(|short| ListError::Ask(io::Error::other(short)))? {
                match message {
                    Message::Socket(socket) => found.push(socket),
                    Message::Other => {}
                    Message::End(end) => return Ok(end.map_err(Errno::from_raw)),
                }
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

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn of(door: &Door, socket: &UdpSocket) -> Option<UdpEnd> {
        let local = socket.local_addr().unwrap();
        door.list(Which::Connected).unwrap().into_iter().find(|end| end.local == local)
    }

    #[test]
    fn a_socket_that_was_shown_is_ended_unless_it_is_another_by_now() {
        let Ok(door) = Door::open() else { return };
        let [one, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        assert_eq!(of(&door, &one), None, "it is not connected");
        one.connect("127.0.0.1:9").unwrap();
        other.connect("127.0.0.1:9").unwrap();
        let (shown, others) = (of(&door, &one).unwrap(), of(&door, &other).unwrap());

        let strange = UdpEnd { cookie: others.cookie, ..shown };
        match door.end(&strange) {
            Ok(ended) => assert_eq!(ended, Fate::Gone, "the cookie of another"),
            // Without the right to.
            Err(error) => return assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
        }
        one.connect("127.0.0.1:10").unwrap();
        assert_eq!(door.end(&shown).unwrap(), Fate::Gone, "connected elsewhere since");
        one.send(b"x").unwrap();

        let shown = of(&door, &one).unwrap();
        assert_eq!(door.end(&shown).unwrap(), Fate::Ended);
        let error = one.send(b"x").unwrap_err();
        assert!(matches!(error.raw_os_error(), Some(libc::ECONNABORTED | libc::EDESTADDRREQ)), "{error}");
        assert_eq!(door.end(&shown).unwrap(), Fate::Gone, "a second time");
        other.send(b"x").unwrap();
    }
}

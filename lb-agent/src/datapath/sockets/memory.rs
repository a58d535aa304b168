//! What single sockets remember. A socket storage is read by a descriptor of the socket, so that of another process is borrowed.
//!
//! `sock_diag` can show socket storages (Linux 5.7), but not those of UDP sockets: it leaves them out with all else that it shows of
//! TCP alone.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use lb_common::layout::{self, CONNECTED, RECENT, Recent};
use socket2::SockRef;

use crate::datapath::maps::map::Map;
use crate::datapath::maps::pinned::{OpenError, open};
use crate::datapath::sys;
use crate::model::{Memory, Process, Translation, UdpEnd};

/// What sockets remember translations in.
#[derive(Debug)]
pub struct Memories {
    connected: Map<u32, layout::Translation>,
    recent: Map<u32, Recent>,
}

impl Memories {
    /// Those of the generation in `folder`.
    ///
    /// # Errors
    /// When one is missing, is not the catalogue's, or cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Ok(Self { connected: open(folder, &CONNECTED)?, recent: open(folder, &RECENT)? })
    }

    /// The number of the map that holds by which translation each socket is connected: another map has another.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn id(&self) -> io::Result<u32> {
        Ok(sys::map_info(self.connected.as_fd())?.id)
    }

    /// The map that holds by which translation each socket is connected.
    pub(super) fn connected_fd(&self) -> BorrowedFd<'_> {
        self.connected.as_fd()
    }

    /// What `socket` remembers, which `owner` has open. The descriptor is borrowed for a moment: it takes Linux 5.6 and the right to
    /// trace the process (CAP_SYS_PTRACE).
    ///
    /// # Errors
    /// When it cannot be borrowed, is another socket by now, or the kernel does not say.
    pub fn of(&self, socket: &UdpEnd, owner: &Process) -> io::Result<Memory> {
        let borrowed = borrow(owner.pid, owner.descriptor)?;
        if SockRef::from(&borrowed).cookie()? != socket.cookie {
            return Err(io::ErrorKind::NotFound.into());
        }
        // The kernel takes the descriptor as the key.
        let key = borrowed.as_raw_fd().cast_unsigned();
        let connected = self.connected.get(&key)?.as_ref().and_then(translation);
        let recent = self.recent.get(&key)?.unwrap_or_default();
        Ok(Memory { connected, recent: recent.translations.iter().filter_map(translation).collect() })
    }
}

/// No backend has port 0: that is the absence of a translation.
pub(super) fn translation(held: &layout::Translation) -> Option<Translation> {
    let end = |address: [u8; 16], port| {
        SocketAddr::new(Ipv6Addr::from(address).to_canonical(), u16::from_be_bytes(port))
    };
    let layout::Translation { service, backend, service_port, backend_port, .. } = *held;
    let found = Translation { dialled: end(service, service_port), backend: end(backend, backend_port) };
    (found.backend.port() != 0).then_some(found)
}

/// A descriptor of the same socket as descriptor `number` of process `pid`.
fn borrow(pid: i32, number: i32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two numbers.
    let process = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let process = made(process)?;
    // SAFETY: the call takes three numbers, of which the first is an open descriptor.
    let borrowed = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) };
    made(borrowed)
}

/// The descriptor that a call returned, or its error.
fn made(result: libc::c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel made this descriptor for this call, and nothing else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(result as RawFd) })
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn translations_are_read_and_an_empty_one_is_not() {
        let mapped = |last: u8| {
            let mut address = [0; 16];
            address[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, last]);
            address
        };
        let held = layout::Translation {
            service: mapped(1),
            backend: mapped(2),
            service_port: [0, 53],
            backend_port: [0x14, 0xe9],
            slot: 1,
            zero: 0,
        };
        let found = translation(&held).unwrap();
        assert_eq!(found.dialled.to_string(), "10.0.0.1:53");
        assert_eq!(found.backend.to_string(), "10.0.0.2:5353");
        assert_eq!(translation(&layout::Translation { backend_port: [0, 0], ..held }), None);
        let address = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let found = translation(&layout::Translation { service: address, backend: address, ..held }).unwrap();
        assert_eq!(found.dialled.to_string(), "[fd00::1]:53");
    }

    #[test]
    fn a_borrowed_descriptor_is_of_the_same_socket() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let borrowed = borrow(std::process::id().cast_signed(), socket.as_raw_fd()).unwrap();
        let cookies = [SockRef::from(&borrowed).cookie().unwrap(), SockRef::from(&socket).cookie().unwrap()];
        assert_eq!(cookies[0], cookies[1]);
        assert_ne!(borrowed.as_raw_fd(), socket.as_raw_fd());
    }
}

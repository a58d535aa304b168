//! `connect(2)` by io_uring.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::{IoUring, opcode, types};
use nix::errno::Errno;
use nix::sys::socket::{SockaddrLike, SockaddrStorage};

use crate::socket;

/// What a kernel says that refuses to make a ring.
pub(crate) const NO_RING: Errno = Errno::ENOSYS;

/// Waits for the connection, as a blocking socket does.
pub(crate) fn connect(socket: &OwnedFd, target: &SockaddrStorage) -> Result<(), Errno> {
    let mut ring = IoUring::new(1).map_err(|_refused| NO_RING)?;
    let asked = opcode::Connect::new(types::Fd(socket.as_raw_fd()), target.as_ptr(), target.len()).build();
    let failed = |error: io::Error| socket::errno(&error);
    // SAFETY: socket and address live until the answer has come, which is waited for below.
    unsafe { ring.submission().push(&asked) }.map_err(|_full| Errno::EBUSY)?;
    ring.submit_and_wait(1).map_err(failed)?;
    let answer = ring.completion().next().ok_or(Errno::EIO)?;
    match answer.result() {
        0.. => Ok(()),
        errno => Err(Errno::from_raw(-errno)),
    }
}

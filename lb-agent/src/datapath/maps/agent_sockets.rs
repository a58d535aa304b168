//! The agent's own sockets, which the programs let pass.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use lb_common::layout::{AGENT_SOCKETS, AgentSocket};
use lb_common::outcome::OWN_MARK;
use socket2::SockRef;

use super::map::Map;
use super::pinned;

/// Enters sockets of this process as the agent's.
#[derive(Clone, Debug)]
pub struct AgentSockets {
    pin_root: PathBuf,
}

impl AgentSockets {
    #[must_use]
    pub fn new(pin_root: &Path) -> Self {
        Self { pin_root: pin_root.to_owned() }
    }

    /// Makes `socket` one that the programs let pass, whatever it dials. To be called before it
    /// connects. It is entered in every generation's map: mostly they have the same one, but
    /// programs of another layout version ask theirs, while this version waits to take their
    /// place. Where there is no map no program asks for it: programs of layout version 1 let the
    /// mark alone pass.
    ///
    /// # Errors
    /// When the mark cannot be set (it takes CAP_NET_ADMIN), or a map cannot be opened or written
    /// (CAP_BPF).
    pub fn claim(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        SockRef::from(&socket).set_mark(OWN_MARK)?;
        // The kernel takes the descriptor as the key, and files the value with the socket itself.
        let key = socket.as_raw_fd().cast_unsigned();
        let entry = AgentSocket { pid: std::process::id(), zero: 0 };
        for name in pinned::generations(&self.pin_root)? {
            match Map::<u32, AgentSocket>::open(&pinned::folder_of(&self.pin_root, name), &AGENT_SOCKETS) {
                Ok(Some(map)) => map.put(&key, &entry).map_err(io::Error::other)?,
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

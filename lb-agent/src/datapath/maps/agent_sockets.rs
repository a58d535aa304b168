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
    /// connects. While no maps of this layout are pinned, no program asks for them: programs of
    /// layout version 1 let the mark alone pass.
    ///
    /// # Errors
    /// When the mark cannot be set (it takes CAP_NET_ADMIN), or the map cannot be opened or
    /// written (CAP_BPF).
    pub fn claim(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        SockRef::from(&socket).set_mark(OWN_MARK)?;
        let Some(map) = self.open()? else { return Ok(()) };
        // The kernel takes the descriptor as the key, and files the value with the socket itself.
        let entry = AgentSocket { pid: std::process::id(), zero: 0 };
        map.put(&socket.as_raw_fd().cast_unsigned(), &entry).map_err(io::Error::other)
    }

    /// The map is carried from generation to generation: whichever has it pinned will do.
    fn open(&self) -> io::Result<Option<Map<u32, AgentSocket>>> {
        for folder in pinned::folders(&self.pin_root) {
            match Map::open(&folder, &AGENT_SOCKETS) {
                Ok(Some(map)) => return Ok(Some(map)),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

//! The kernel's side: maps, programs, pins. The only room that names aya and `bpf(2)`.

pub mod attach;
pub mod bpf;
pub mod cgroup;
pub mod cleanup;
pub mod fake;
pub mod load;
pub mod lock;
mod map;
mod marks;
pub mod pinned;
mod sys;
pub mod takeover;

use std::io;

use crate::plan::{MapOp, Observed};

pub use sys::{Grace, grace_period};

/// Something that holds the maps: the kernel, or memory with planted faults.
pub trait Maps {
    /// Carries out one write. An element that is to go and is not there is no error.
    ///
    /// # Errors
    /// When the write did not happen; the maps hold what they held.
    fn write(&mut self, op: &MapOp) -> Result<(), WriteError>;

    /// Reads everything back.
    ///
    /// # Errors
    /// When a map cannot be read.
    fn dump(&mut self) -> Result<Observed, ReadError>;
}

/// What is done to a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Write,
    Delete,
    Read,
}

impl Op {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Write => "write to",
            Self::Delete => "delete from",
            Self::Read => "read",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The map has no room left. More writes will not help; a bigger map will.
    #[error("map {map} is full")]
    Full { map: &'static str },

    #[error("could not {} map {map}", op.label())]
    Syscall {
        op: Op,
        map: &'static str,
        #[source]
        source: io::Error,
    },
}

#[derive(Debug, thiserror::Error)]
#[error("could not read map {map}")]
pub struct ReadError {
    pub map: &'static str,
    #[source]
    pub source: io::Error,
}

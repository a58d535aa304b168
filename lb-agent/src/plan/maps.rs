//! The seam to the maps: one write, and who carries it out.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use crate::model::{Frontend, ServicePortKey};

use super::adopt::Observed;
use super::cells::Cell;
use super::element::{Backend, Element, Owner};

/// One write. Every prefix of a list of them leaves the maps in a state that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapOp {
    /// Promises that no service id from here on was used within this boot.
    NextId(u32),
    /// Says what a service id means, for people.
    Name { id: u32, key: ServicePortKey },
    /// Writes a region that no front-end element points at, from entry `at` of their family's map on.
    Fill { at: u32, owner: Owner, backends: Vec<Backend> },
    /// Lets the Bloom filter pass a key: before its element is written, and for as long as it is there.
    Admit { frontend: Frontend },
    /// Publishes: the one write that readers act on.
    Put { frontend: Frontend, element: Element },
    /// Takes an address back; one that is not there is no error.
    Remove { frontend: Frontend },
    /// Says what a cell's number means, and makes the place where all its connections are counted.
    Cell { number: u16, cell: Cell },
    /// Forgets a name; one that is not there is no error.
    Unname { id: u32 },
}

impl MapOp {
    /// Names are for people only: the Service is served without.
    #[must_use]
    pub const fn is_only_a_name(&self) -> bool {
        matches!(self, Self::Name { .. } | Self::Unname { .. } | Self::Cell { .. })
    }
}

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

    /// What a dump would read and a repair would look at, in short.
    ///
    /// # Errors
    /// When a map cannot be read.
    fn digest(&mut self) -> Result<Digest, ReadError>;

    /// Brings what only speeds lookups up (the Bloom filter) to what was `observed`. Returns whether it was otherwise.
    ///
    /// # Errors
    /// When a map cannot be read or written.
    fn repair(&mut self, observed: &Observed) -> Result<bool, RepairError>;

    /// The addresses of the host may not be what was written: the next [`Self::serve_node_ports_at`] reads them back.
    fn distrust_hosts(&mut self);

    /// Serves node ports at exactly these addresses of the host.
    ///
    /// # Errors
    /// When a map cannot be read or written; what is not as it should be is brought there by the next call.
    fn serve_node_ports_at(&mut self, addresses: &BTreeSet<IpAddr>) -> Result<(), RepairError>;
}

/// A number that is the same for the same contents of the maps, within this process. Other contents have another one, but
/// for one case in 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub u64);

/// What is done to a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Write,
    Delete,
}

impl Op {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Write => "write to",
            Self::Delete => "delete from",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The map has no room left. More writes will not help; a bigger map will.
    #[error("map {map} is full")]
    Full { map: &'static str },

    /// The kernel has no memory for another element: a larger map will not help.
    #[error("no memory for another element of map {map}: raise the agent's memory limit")]
    NoMemory { map: &'static str },

    /// The maps have no key for such an address or protocol.
    #[error("map {map} has no room for addresses of this kind")]
    NoKey { map: &'static str },

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

/// A repair that could not be done; the next audit tries again.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

//! The loop as it is counted: how many connections went from which pool to which.

use bytemuck::{Pod, Zeroable};

use super::{Life, MapKind, MapSpec, NAME_BYTES, NO_PREALLOC, Size};

/// How many cells can be numbered. A place takes 16 bytes, and 200 more while it is used.
pub const MOST_CELLS: u32 = 4096;

/// The cell's number to [`Cell`]. No program reads it.
pub const CELLS: MapSpec = MapSpec {
    pin: "cells",
    symbol: "CELLS",
    kind: MapKind::Hash,
    key_size: 4,
    value_size: size_of::<Cell>() as u32,
    flags: NO_PREALLOC,
    size: Size::Fixed(MOST_CELLS),
    life: Life::Carried,
};

/// A pool of clients, a pool of backends, and how far the connections were allowed to go. Value of [`CELLS`].
///
/// What it says never changes while the boot lasts: what was counted in it stays right when nodes move.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Cell {
    /// The pool of the node that dials; empty for a node without one. Text, as in [`ServiceName`](super::ServiceName).
    pub client_pool: [i8; NAME_BYTES],
    /// The pool of the backend's node; empty for a node without one, and for a backend on no known node.
    pub backend_pool: [i8; NAME_BYTES],
    /// [`WITHIN_ANY`], [`WITHIN_NODE`], [`WITHIN_POOL`] or [`WITHIN_LABEL`].
    pub within: u8,
    pub zero: [u8; 3],
}
wire!(Cell, 132);

/// No topology, or one that reached every node.
pub const WITHIN_ANY: u8 = 0;
/// The topology kept to the client's node.
pub const WITHIN_NODE: u8 = 1;
/// The topology kept to the client's pool.
pub const WITHIN_POOL: u8 = 2;
/// The topology kept to the nodes with the same value of another label.
pub const WITHIN_LABEL: u8 = 3;

/// Not a number of [`CELLS`]: the connection was refused, since there was no backend.
pub const CELL_REFUSED: u16 = u16::MAX;
/// Not a number of [`CELLS`]: the agent's own test of itself, which is no client's connection.
pub const CELL_SELF_TEST: u16 = u16::MAX - 1;
/// Not a number of [`CELLS`]: more cells than can be numbered.
pub const CELL_UNNUMBERED: u16 = 0;

/// So many pairs of a service port and a cell are counted each by itself; what is past that is counted under service id 0
/// alone. A place takes 16 bytes, and while it is used 64 more and 8 for each CPU that the machine can have.
pub const MOST_COUNTED: u32 = 16_384;

/// [`Counted`] to [`Connections`], a copy of it on each CPU.
pub const LOOP: MapSpec = MapSpec {
    pin: "loop",
    symbol: "LOOP",
    kind: MapKind::PerCpuHash,
    key_size: size_of::<Counted>() as u32,
    value_size: size_of::<Connections>() as u32,
    flags: NO_PREALLOC,
    size: Size::Fixed(MOST_COUNTED),
    life: Life::Carried,
};

/// What is counted. Key of [`LOOP`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
pub struct Counted {
    /// The service port's id, which is never used again within a boot. Zero: of service ports that are gone, and of those
    /// that found no place.
    pub service: u32,
    /// A number of [`CELLS`], [`CELL_REFUSED`], [`CELL_SELF_TEST`] or [`CELL_UNNUMBERED`].
    pub cell: u16,
    /// Always zero: part of the hashed key.
    pub zero: u16,
}
wire!(Counted, 8);

/// How many connections: a TCP connect, a UDP connect, or the first datagram of a socket to a backend. Value of [`LOOP`], a
/// copy of it on each CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Connections {
    pub connections: u64,
}
wire!(Connections, 8);

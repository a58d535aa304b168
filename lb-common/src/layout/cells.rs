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

/// Not a number that a cell of [`CELLS`] has: more cells than can be numbered.
pub const CELL_UNNUMBERED: u16 = 0;
/// Not a number that a cell of [`CELLS`] has: the connection was refused, since there was no backend.
pub const CELL_REFUSED: u16 = MOST_CELLS as u16 - 1;
/// Not a number that a cell of [`CELLS`] has: the agent's own test of itself, which is no client's connection.
pub const CELL_SELF_TEST: u16 = MOST_CELLS as u16 - 2;

/// How many counters there are. The first [`MOST_CELLS`] count what goes to the cell of that number and has no place of its
/// own; each of the others counts what one service port sends to one cell.
pub const MOST_PLACES: u32 = 16_384;
/// How many of them lie in one element of [`LOOP`].
pub const PLACES_A_PAGE: u32 = 512;

/// The place's number to [`Place`]. No program reads it. A place takes 16 bytes, and 64 more while it is used.
pub const PLACES: MapSpec = MapSpec {
    pin: "places",
    symbol: "PLACES",
    kind: MapKind::Hash,
    key_size: 4,
    value_size: size_of::<Place>() as u32,
    flags: NO_PREALLOC,
    size: Size::Fixed(MOST_PLACES),
    life: Life::Carried,
};

/// What a place counts. Value of [`PLACES`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Place {
    /// The service port's id, which is never used again within a boot. Zero: of service ports that are gone, and of those
    /// that found no place.
    pub service: u32,
    /// A number of [`CELLS`], [`CELL_REFUSED`], [`CELL_SELF_TEST`] or [`CELL_UNNUMBERED`].
    pub cell: u16,
    pub zero: u16,
    /// What the counter showed when this place was given out: what it shows more has been counted since. Where it is more
    /// than the counter, the difference wraps: so connections are added that were counted elsewhere.
    pub base: u64,
}
wire!(Place, 16);

/// The counters, in pages: place number `n` is number `n % 512` of element `n / 512`. A copy of each on each CPU.
pub const LOOP: MapSpec = MapSpec {
    pin: "loop",
    symbol: "LOOP",
    kind: MapKind::PerCpuArray,
    key_size: 4,
    value_size: size_of::<Connections>() as u32,
    flags: 0,
    size: Size::Fixed(MOST_PLACES / PLACES_A_PAGE),
    life: Life::Carried,
};

/// How many connections each place of a page counted: TCP connects, UDP connects, and first datagrams of a socket to a backend.
/// Value of [`LOOP`], a copy of it on each CPU. No one sets a counter back, for programs add to it at any time.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Connections {
    pub connections: [u64; PLACES_A_PAGE as usize],
}
wire!(Connections, 4096);

//! The front end and the backends behind it.

use bytemuck::{Pod, Zeroable};

use super::{Life, MapKind, MapSpec, NO_PREALLOC, Size, Width};

/// How many backends lie in the front-end element itself; the others lie in its region.
pub const INLINE_BACKENDS: usize = 6;

/// [`Frontend4`] to [`Service4`].
pub const SERVICES4: MapSpec = MapSpec {
    pin: "services4",
    symbol: "SERVICES4",
    kind: MapKind::Hash,
    key_size: size_of::<Frontend4>() as u32,
    value_size: size_of::<Service4>() as u32,
    flags: NO_PREALLOC,
    size: Size::ByFrontends,
    life: Life::Rebuilt,
};

/// The regions: [`RegionEntry4`] by index.
pub const BACKENDS4: MapSpec = MapSpec {
    pin: "backends4",
    symbol: "BACKENDS4",
    kind: MapKind::Array,
    key_size: 4,
    value_size: size_of::<RegionEntry4>() as u32,
    flags: 0,
    size: Size::ByBackends(Width::V4),
    life: Life::Rebuilt,
};

/// [`Frontend6`] to [`Service6`].
pub const SERVICES6: MapSpec = MapSpec {
    pin: "services6",
    symbol: "SERVICES6",
    kind: MapKind::Hash,
    key_size: size_of::<Frontend6>() as u32,
    value_size: size_of::<Service6>() as u32,
    flags: NO_PREALLOC,
    size: Size::ByFrontends,
    life: Life::Rebuilt,
};

/// The regions: [`RegionEntry6`] by index.
pub const BACKENDS6: MapSpec = MapSpec {
    pin: "backends6",
    symbol: "BACKENDS6",
    kind: MapKind::Array,
    key_size: 4,
    value_size: size_of::<RegionEntry6>() as u32,
    flags: 0,
    size: Size::ByBackends(Width::V6),
    life: Life::Rebuilt,
};

/// The address a client dials. Key of [`SERVICES4`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
pub struct Frontend4 {
    pub address: [u8; 4],
    pub port: [u8; 2],
    /// `IPPROTO_TCP` (6) or `IPPROTO_UDP` (17).
    pub protocol: u8,
    /// Always zero: part of the hashed key.
    pub zero: u8,
}
wire!(Frontend4, 8);

/// Where a connection is sent.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
pub struct Backend4 {
    pub address: [u8; 4],
    pub port: [u8; 2],
    /// At which place of [`LOOP`](super::LOOP) a connection to it counts.
    pub place: u16,
}
wire!(Backend4, 8);

/// The Service has a topology: it gets room first, and the agent knows it by this after a restart.
pub const FLAG_TOPOLOGY: u16 = 1;
/// The Service asks for session affinity.
pub const FLAG_AFFINITY: u16 = 1 << 1;

/// One service port as the programs see it. Value of [`SERVICES4`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Service4 {
    /// Never zero, and never used for another service port within a boot.
    pub id: u32,
    /// Counts the publications of this id.
    pub revision: u32,
    /// How many backends there are in all. Zero refuses.
    pub count: u16,
    /// [`FLAG_TOPOLOGY`], [`FLAG_AFFINITY`].
    pub flags: u16,
    /// Session affinity timeout in seconds; zero without affinity.
    pub affinity: u32,
    /// The first backends; those past `count` are zero. Without a backend, the first one has the place at which
    /// refusals count, and is zero besides.
    pub inline: [Backend4; INLINE_BACKENDS],
    /// Index in [`BACKENDS4`] of the backend after the inline ones. Meaningless without one.
    pub region: u32,
    /// [`check`](crate::element::check) over key and value: proves that one write wrote all of it.
    pub check: u32,
}
wire!(Service4, 72);

/// A backend that did not fit the front-end element. Value of [`BACKENDS4`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct RegionEntry4 {
    /// Whose it is: [`Service4::id`] and [`Service4::revision`] of the element that points here.
    pub id: u32,
    pub revision: u32,
    pub backend: Backend4,
}
wire!(RegionEntry4, 16);

/// The IPv6 address a client dials. Key of [`SERVICES6`]. An IPv4-mapped address is looked up as the IPv4 one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
pub struct Frontend6 {
    pub address: [u8; 16],
    pub port: [u8; 2],
    /// `IPPROTO_TCP` (6) or `IPPROTO_UDP` (17).
    pub protocol: u8,
    /// Always zero: part of the hashed key.
    pub zero: [u8; 5],
}
wire!(Frontend6, 24);

/// Where a connection is sent over IPv6.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
pub struct Backend6 {
    pub address: [u8; 16],
    pub port: [u8; 2],
    /// As in [`Backend4`].
    pub place: u16,
    pub zero: u32,
}
wire!(Backend6, 24);

/// One IPv6 service port as the programs see it, as [`Service4`]. Value of [`SERVICES6`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Service6 {
    pub id: u32,
    pub revision: u32,
    pub count: u16,
    pub flags: u16,
    pub affinity: u32,
    pub inline: [Backend6; INLINE_BACKENDS],
    /// Index in [`BACKENDS6`] of the backend after the inline ones. Meaningless without one.
    pub region: u32,
    pub check: u32,
}
wire!(Service6, 168);

/// A backend that did not fit the front-end element, as [`RegionEntry4`]. Value of [`BACKENDS6`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct RegionEntry6 {
    pub id: u32,
    pub revision: u32,
    pub backend: Backend6,
}
wire!(RegionEntry6, 32);

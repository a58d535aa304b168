//! Which backend a client of a Service with session affinity was given.

use bytemuck::{Pod, Zeroable};

use super::{Life, MapKind, MapSpec, NO_PREALLOC, Size};

/// So many clients of Services with session affinity are remembered. A place takes 16 bytes, and 128 more while it is used.
pub const AFFINITIES: u32 = 131_072;

/// [`Client`] to [`Affinity`].
pub const AFFINITY: MapSpec = MapSpec {
    pin: "affinity",
    symbol: "AFFINITY",
    kind: MapKind::Hash,
    key_size: size_of::<Client>() as u32,
    value_size: size_of::<Affinity>() as u32,
    flags: NO_PREALLOC,
    size: Size::Fixed(AFFINITIES),
    life: Life::Carried,
};

/// A client of one service port. Key of [`AFFINITY`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
pub struct Client {
    /// The cookie of its network namespace (`SO_NETNS_COOKIE`), which no other has within a boot.
    pub netns: u64,
    /// The service port's id, which is never used again within a boot.
    pub service: u32,
    /// Always zero: part of the hashed key.
    pub zero: u32,
}
wire!(Client, 16);

/// What a client was given last. Value of [`AFFINITY`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Affinity {
    /// An IPv4 address is `::ffff:a.b.c.d`.
    pub backend: [u8; 16],
    pub port: [u8; 2],
    /// Where the backend was in its set: looked at first.
    pub slot: u16,
    pub zero: u32,
    /// Nanoseconds since the boot (`CLOCK_BOOTTIME`) at the last connection.
    pub used: u64,
}
wire!(Affinity, 32);

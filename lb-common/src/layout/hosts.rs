//! The addresses of the host.

use bytemuck::{Pod, Zeroable};

use super::{Life, MapKind, MapSpec, NO_PREALLOC, Size};

/// The addresses of this machine at which node ports are served: [`HostAddress`] by [`HostKey`].
pub const HOST_ADDRESSES: MapSpec = MapSpec {
    pin: "host_addresses",
    symbol: "HOST_ADDRESSES",
    kind: MapKind::Hash,
    key_size: size_of::<HostKey>() as u32,
    value_size: size_of::<HostAddress>() as u32,
    flags: NO_PREALLOC,
    size: Size::Fixed(4096),
    life: Life::Carried,
};

/// An address of either family, IPv4 as `::ffff:a.b.c.d`. Key of [`HOST_ADDRESSES`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
pub struct HostKey {
    pub address: [u8; 16],
}
wire!(HostKey, 16);

/// Says by being there that an address is the host's. Value of [`HOST_ADDRESSES`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct HostAddress {
    /// The cookie of the network namespace in which alone it leads to the host, as a loopback address does; zero: in each.
    /// [`INITIAL_NAMESPACE`] where the cookie is not known.
    pub namespace: u64,
}
wire!(HostAddress, 8);

/// The network namespace that the machine started with, whatever its cookie: for kernels that do not say what the agent's is
/// (before 5.14).
pub const INITIAL_NAMESPACE: u64 = u64::MAX;

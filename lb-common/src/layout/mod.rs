//! What lies in the maps: the catalogue, and the keys and values byte by byte.
//!
//! Addresses and ports are byte arrays in network order. Every other number is in the order of
//! the processor, which is little-endian wherever the kernel object loads (`bpfel`).

mod affinity;
mod bloom;
mod cells;
mod control;
mod hosts;
mod names;
mod outcomes;
mod services;
mod skipped;
mod sockets;

pub use affinity::{AFFINITIES, AFFINITY, Affinity, Client};
pub use bloom::{BLOOM_WORDS, BLOOM4, BLOOM6, BloomWord};
pub use cells::{
    CELL_REFUSED, CELL_SELF_TEST, CELL_UNNUMBERED, CELLS, Cell, Connections, LOOP, MOST_CELLS, MOST_PLACES,
    PLACES, PLACES_A_PAGE, Place, WITHIN_ANY, WITHIN_LABEL, WITHIN_NODE, WITHIN_POOL,
};
pub use control::{CONTROL, Control, EPOCH, Epoch, SKIP_LEVELS};
pub use hosts::{HOST_ADDRESSES, HostAddress, HostKey, INITIAL_NAMESPACE};
pub use names::{NAME_BYTES, NAMES, ServiceName};
pub use outcomes::{Events, HookOutcomes, OUTCOMES, Outcomes};
pub use services::{
    BACKENDS4, BACKENDS6, Backend4, Backend6, FLAG_AFFINITY, FLAG_TOPOLOGY, Frontend4, Frontend6,
    INLINE_BACKENDS, RegionEntry4, RegionEntry6, SERVICES4, SERVICES6, Service4, Service6,
};
pub use skipped::{MOST_SKIPPED, SKIPPED, SkippedPod};
pub use sockets::{AGENT_SOCKETS, AgentSocket, CONNECTED, RECENT, RECENT_TRANSLATIONS, Recent, Translation};

/// Names the folder of the pinned maps, `<pin root>/v<LAYOUT_VERSION>`: maps of one version are
/// never read as another's.
pub const LAYOUT_VERSION: u32 = RECORDED + cfg!(feature = "next-layout") as u32;

/// The version whose bytes `lb-common/layouts` records. Any change here is a new one.
const RECORDED: u32 = 7;

/// The kind of a map, as in `enum bpf_map_type` of the kernel's `linux/bpf.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MapKind {
    Hash = 1,
    Array = 2,
    PerCpuArray = 6,
    /// A value for each socket that has one; freed with the socket.
    SocketStorage = 24,
}

/// `BPF_F_NO_PREALLOC`: memory grows with the elements, not with the limit.
pub const NO_PREALLOC: u32 = 1;
/// `BPF_F_MMAPABLE`: the agent writes the words in place.
pub const MMAPABLE: u32 = 1 << 10;

/// The IP family of a map's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    V4,
    V6,
}

/// How many elements a map has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Always so many.
    Fixed(u32),
    /// One for each service port, of either family; the agent chooses when it makes the map.
    ByFrontends,
    /// One for each backend of this family that does not fit its front-end element; the agent chooses likewise.
    ByBackends(Width),
    /// One for each socket, without a limit: the kernel wants to read 0.
    PerSocket,
}

impl Size {
    /// The `max_entries` of the kernel; `None` where the agent chooses.
    #[must_use]
    pub const fn fixed(self) -> Option<u32> {
        match self {
            Self::Fixed(elements) => Some(elements),
            Self::PerSocket => Some(0),
            Self::ByFrontends | Self::ByBackends(_) => None,
        }
    }
}

/// What becomes of a map when another generation of maps takes the place of the one in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// A new map is made and filled from what the source says.
    Rebuilt,
    /// The same kernel map goes on in the next generation, while its [`MapSpec`] is unchanged.
    Carried,
}

/// One map as the catalogue knows it. A pinned map that differs is never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSpec {
    /// The name it is pinned under.
    pub pin: &'static str,
    /// Its symbol in the kernel object.
    pub symbol: &'static str,
    pub kind: MapKind,
    /// Bytes.
    pub key_size: u32,
    /// Bytes.
    pub value_size: u32,
    pub flags: u32,
    pub size: Size,
    pub life: Life,
}

/// Every map there is, in the order in which they are created.
pub const CATALOGUE: [MapSpec; 19] = [
    SERVICES4,
    BACKENDS4,
    BLOOM4,
    SERVICES6,
    BACKENDS6,
    BLOOM6,
    OUTCOMES,
    EPOCH,
    CONTROL,
    NAMES,
    HOST_ADDRESSES,
    AGENT_SOCKETS,
    CONNECTED,
    RECENT,
    SKIPPED,
    AFFINITY,
    CELLS,
    PLACES,
    LOOP,
];

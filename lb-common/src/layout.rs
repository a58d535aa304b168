//! What lies in the maps: the catalogue, and the keys and values byte by byte.
//!
//! Addresses and ports are byte arrays in network order. Every other number is in the order of
//! the processor, which is little-endian wherever the kernel object loads (`bpfel`).

use bytemuck::{Pod, Zeroable};

/// Names the folder of the pinned maps, `<pin root>/v<LAYOUT_VERSION>`: maps of one version are
/// never read as another's.
pub const LAYOUT_VERSION: u32 = RECORDED + cfg!(feature = "next-layout") as u32;

/// The version whose bytes `lb-common/layouts` records. Any change here is a new one.
const RECORDED: u32 = 1;

/// How many backends lie in the front-end element itself; the others lie in its region.
pub const INLINE_BACKENDS: usize = 6;

/// The kind of a map, as in `enum bpf_map_type` of the kernel's `linux/bpf.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MapKind {
    Hash = 1,
    Array = 2,
    PerCpuArray = 6,
}

/// `BPF_F_NO_PREALLOC`: memory grows with the elements, not with the limit.
pub const NO_PREALLOC: u32 = 1;
/// `BPF_F_MMAPABLE`: the agent writes the words in place.
pub const MMAPABLE: u32 = 1 << 10;

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
    /// Elements; `None` where the agent chooses at start, by what the cluster needs.
    pub max_entries: Option<u32>,
}

/// [`Frontend4`] to [`Service4`].
pub const SERVICES4: MapSpec = MapSpec {
    pin: "services4",
    symbol: "SERVICES4",
    kind: MapKind::Hash,
    key_size: size_of::<Frontend4>() as u32,
    value_size: size_of::<Service4>() as u32,
    flags: NO_PREALLOC,
    max_entries: None,
};

/// The regions: [`RegionEntry4`] by index.
pub const BACKENDS4: MapSpec = MapSpec {
    pin: "backends4",
    symbol: "BACKENDS4",
    kind: MapKind::Array,
    key_size: 4,
    value_size: size_of::<RegionEntry4>() as u32,
    flags: 0,
    max_entries: None,
};

/// [`Count`] by [`Outcome`](crate::outcome::Outcome) or counter, one copy per CPU.
pub const OUTCOMES: MapSpec = MapSpec {
    pin: "outcomes",
    symbol: "OUTCOMES",
    kind: MapKind::PerCpuArray,
    key_size: 4,
    value_size: size_of::<Count>() as u32,
    flags: 0,
    max_entries: Some(crate::outcome::COUNTERS as u32),
};

/// [`Marks`]: which keys may be in [`SERVICES4`], see [`marks`](crate::marks).
pub const MARKS4: MapSpec = MapSpec {
    pin: "marks4",
    symbol: "MARKS4",
    kind: MapKind::Array,
    key_size: 4,
    value_size: size_of::<Marks>() as u32,
    flags: 0,
    max_entries: Some(MARK_WORDS),
};

/// One element, [`Epoch`].
pub const EPOCH: MapSpec = MapSpec {
    pin: "epoch",
    symbol: "EPOCH",
    kind: MapKind::Array,
    key_size: 4,
    value_size: size_of::<Epoch>() as u32,
    flags: MMAPABLE,
    max_entries: Some(1),
};

/// Service id to [`ServiceName`]. No program reads it: it is for people and for `lb-agent status`.
pub const NAMES: MapSpec = MapSpec {
    pin: "names",
    symbol: "NAMES",
    kind: MapKind::Hash,
    key_size: 4,
    value_size: size_of::<ServiceName>() as u32,
    flags: NO_PREALLOC,
    max_entries: None,
};

/// Every map there is, in the order in which they are created.
pub const CATALOGUE: [MapSpec; 6] = [SERVICES4, BACKENDS4, MARKS4, OUTCOMES, EPOCH, NAMES];

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
    /// The backend's pool as the agent numbered it, from 1; 0 is no pool or not numbered.
    pub pool: u16,
}
wire!(Backend4, 8);

/// The Service has a topology: it gets room first, and the agent knows it by this after a restart.
pub const FLAG_TOPOLOGY: u16 = 1;
/// The Service asks for session affinity. No program reads it in this layout version.
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
    /// The first backends; those past `count` are zero.
    pub inline: [Backend4; INLINE_BACKENDS],
    /// Index in [`BACKENDS4`] of the backend after the inline ones. Meaningless without one.
    pub region: u32,
    /// [`check4`](crate::pick::check4) over key and value: proves that one write wrote all of it.
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

/// How many words of marks there are: 16 KB, which stay in the cache.
pub const MARK_WORDS: u32 = 2048;

/// Which keys may be in [`SERVICES4`]. Value of [`MARKS4`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Marks {
    pub bits: u64,
}
wire!(Marks, 8);

/// How often a way out was taken. Value of [`OUTCOMES`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Count {
    pub times: u64,
}
wire!(Count, 8);

/// The writer's words. Value of [`EPOCH`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Epoch {
    /// Odd while the agent writes. Moves with every write.
    pub writes: u32,
    /// The lowest service id that was never used within this boot.
    pub next_id: u32,
}
wire!(Epoch, 8);

/// Bytes of a name: a DNS label has at most 63, and a zero byte ends it, without which `bpftool`
/// would not print it as a word.
pub const NAME_BYTES: usize = 64;

/// What a service id means to people. Value of [`NAMES`].
///
/// `i8` stands for text and for nothing else: the build marks it as characters in the BTF, so
/// that `bpftool` prints words.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct ServiceName {
    pub namespace: [i8; NAME_BYTES],
    pub service: [i8; NAME_BYTES],
    pub port: [i8; NAME_BYTES],
    /// `IPPROTO_TCP` (6) or `IPPROTO_UDP` (17).
    pub protocol: u8,
    /// 4 or 6.
    pub family: u8,
    pub zero: [u8; 2],
}
wire!(ServiceName, 196);

//! What service ids mean to people.

use bytemuck::{Pod, Zeroable};

use super::{Life, MapKind, MapSpec, NO_PREALLOC, Size};

/// Service id to [`ServiceName`]. No program reads it: it is for people and for `lb-agent status`.
pub const NAMES: MapSpec = MapSpec {
    pin: "names",
    symbol: "NAMES",
    kind: MapKind::Hash,
    key_size: 4,
    value_size: size_of::<ServiceName>() as u32,
    flags: NO_PREALLOC,
    size: Size::ByFrontends,
    life: Life::Rebuilt,
};

/// Bytes of a name: a DNS label has at most 63, and a zero byte ends it, without which `bpftool`
/// would not print it as a word.
pub const NAME_BYTES: usize = 64;

/// What a service id means. Value of [`NAMES`].
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

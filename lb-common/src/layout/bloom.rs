//! The Bloom filter's words.

use bytemuck::{Pod, Zeroable};

use super::{Life, MapKind, MapSpec, Size};

/// How many words the filter has: 31 KB, which stay in the processor's cache. With what the kernel
/// adds to a map it fits into 32 KB, beyond which the kernel would scatter it over small pages.
pub const BLOOM_WORDS: u32 = 3968;

/// Which keys may be in [`SERVICES4`](super::SERVICES4): [`BloomWord`] by index, see [`bloom`](crate::bloom).
pub const BLOOM4: MapSpec = MapSpec {
    pin: "bloom4",
    symbol: "BLOOM4",
    kind: MapKind::Array,
    key_size: 4,
    value_size: size_of::<BloomWord>() as u32,
    flags: 0,
    size: Size::Fixed(BLOOM_WORDS),
    life: Life::Rebuilt,
};

/// Which keys may be in [`SERVICES6`](super::SERVICES6), as [`BLOOM4`].
pub const BLOOM6: MapSpec = MapSpec { pin: "bloom6", symbol: "BLOOM6", ..BLOOM4 };

/// 64 bits of a filter. Value of [`BLOOM4`] and [`BLOOM6`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct BloomWord {
    pub bits: u64,
}
wire!(BloomWord, 8);

//! The words that the agent shares with the programs and with the agents after it.

use bytemuck::{Pod, Zeroable};

use super::{Life, MMAPABLE, MapKind, MapSpec, Size};

/// One element, [`Epoch`].
pub const EPOCH: MapSpec = MapSpec {
    pin: "epoch",
    symbol: "EPOCH",
    kind: MapKind::Array,
    key_size: 4,
    value_size: size_of::<Epoch>() as u32,
    flags: MMAPABLE,
    size: Size::Fixed(1),
    life: Life::Rebuilt,
};

/// One element, [`Control`].
pub const CONTROL: MapSpec = MapSpec {
    pin: "control",
    symbol: "CONTROL",
    kind: MapKind::Array,
    key_size: 4,
    value_size: size_of::<Control>() as u32,
    flags: MMAPABLE,
    size: Size::Fixed(1),
    life: Life::Carried,
};

/// The writer's sequence counter, as of a seqlock. Value of [`EPOCH`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Epoch {
    /// Odd while the agent writes an element. Moves with every such write.
    pub writes: u32,
    /// Always zero. In layout version 1 it was what [`Control::next_service_id`] is now.
    pub zero: u32,
}
wire!(Epoch, 8);

/// What holds for every generation of maps. Value of [`CONTROL`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Control {
    /// The lowest service id that was never used within this boot.
    pub next_service_id: u32,
    pub zero: u32,
    /// Always zero, until a later version gives them a meaning.
    pub reserved: [u64; 7],
}
wire!(Control, 64);

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

/// At so many depths skipped pods can lie: a kubelet uses two, and a host with nodes in containers has a few more.
pub const SKIP_LEVELS: usize = 8;

/// What holds for every generation of maps. Value of [`CONTROL`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Control {
    /// The lowest service id that was never used within this boot.
    pub next_service_id: u32,
    /// The lowest node port in use, and the highest in the upper half: a [`Range`](crate::node_port::Range). Zero without any.
    pub node_ports: u32,
    /// How deep the cgroups of [`SKIPPED`](super::SKIPPED) lie, each level once, then zeros: where the programs look for
    /// the caller's. The root, level 0, is no pod's.
    pub skip_levels: [u8; SKIP_LEVELS],
    /// `--max-stale`, in nanoseconds: how old what the maps hold may be. Zero: of any age.
    pub max_stale: u64,
    /// When a live source was in sync last, in nanoseconds since the boot.
    pub in_sync_at: u64,
    /// Always zero, until a later version gives them a meaning.
    pub reserved: [u64; 4],
}
wire!(Control, 64);

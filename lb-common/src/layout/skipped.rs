//! The pods that are left out.

use bytemuck::{Pod, Zeroable};

use super::{Life, MapKind, MapSpec, NO_PREALLOC, Size};

/// So many pods of a node can be skipped: a kubelet runs 110 unless it is set to more.
pub const MOST_SKIPPED: u32 = 4096;

/// The cgroups of pods whose calls are left alone: [`SkippedPod`] by the cgroup's id, which is never another's within a
/// boot.
pub const SKIPPED: MapSpec = MapSpec {
    pin: "skipped",
    symbol: "SKIPPED",
    kind: MapKind::Hash,
    key_size: 8,
    value_size: size_of::<SkippedPod>() as u32,
    flags: NO_PREALLOC,
    size: Size::Fixed(MOST_SKIPPED),
    life: Life::Carried,
};

/// Says by being there that a pod is skipped. Value of [`SKIPPED`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct SkippedPod {
    /// How deep its cgroup lies: one of [`Control::skip_levels`](super::Control::skip_levels).
    pub level: u32,
    pub zero: u32,
}
wire!(SkippedPod, 8);

//! The programs' counters.

use bytemuck::{Pod, Zeroable};

use super::{Life, MapKind, MapSpec, Size};

/// One element, [`Outcomes`], a copy of it on each CPU.
pub const OUTCOMES: MapSpec = MapSpec {
    pin: "outcomes",
    symbol: "OUTCOMES",
    kind: MapKind::PerCpuArray,
    key_size: 4,
    value_size: size_of::<Outcomes>() as u32,
    flags: 0,
    size: Size::Fixed(1),
    life: Life::Carried,
};

/// How often each outcome was reached at one hook: one word for each
/// [`Outcome`](crate::outcome::Outcome), in that order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct HookOutcomes {
    pub forwarded: u64,
    pub not_a_service: u64,
    pub not_our_protocol: u64,
    pub no_backends: u64,
    pub unproven: u64,
    pub agent_socket: u64,
    pub shown_as_dialled: u64,
    pub shown_as_it_is: u64,
    pub skipped: u64,
    pub unknown_port: u64,
    pub stale: u64,
    /// For outcomes to come: the map goes on while its size is the same.
    pub reserved: [u64; 5],
}
wire!(HookOutcomes, 128);

/// How often each [`Event`](crate::outcome::Event) happened, in that order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Events {
    pub lookup_retries: u64,
    pub stale_region_reads: u64,
    pub forgotten_translations: u64,
    pub unstored_translations: u64,
    pub unstored_affinities: u64,
    pub uncounted_connections: u64,
    /// For events to come.
    pub reserved: [u64; 26],
}
wire!(Events, 256);

/// Everything that the programs count. Value of [`OUTCOMES`]. The hooks are those of
/// [`Hook`](crate::hook::Hook), in that order, also those without a program yet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Outcomes {
    pub recvmsg6: HookOutcomes,
    pub recvmsg4: HookOutcomes,
    pub getpeername6: HookOutcomes,
    pub getpeername4: HookOutcomes,
    pub sendmsg6: HookOutcomes,
    pub sendmsg4: HookOutcomes,
    pub connect6: HookOutcomes,
    pub connect4: HookOutcomes,
    pub events: Events,
}
wire!(Outcomes, 1280);

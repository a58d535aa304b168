//! The maps in the kernel: opened by their pins, checked against the catalogue, read and written.

mod affinities;
pub mod agent_sockets;
mod bloom;
pub mod bpf;
mod budget;
mod control;
pub mod counters;
mod hosts;
mod loops;
pub(super) mod map;
pub mod pinned;
mod places;
pub mod skipped;
pub(super) mod staleness;

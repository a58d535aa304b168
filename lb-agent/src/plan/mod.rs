//! From decisions to map writes: what the kernel should hold, what it holds, the difference. Pure.

pub mod admissions;
mod adopt;
mod capacity;
pub mod cells;
mod desired;
mod diff;
mod element;
pub mod fake;
mod maps;
mod mirror;
mod planted;
mod region;
pub mod skips;
mod slots;
mod starved;
pub mod takeover;

pub use adopt::{Held, NAME_LENGTH, Observed, Proof, cut};
pub use capacity::{Capacity, Sizes};
pub use desired::{Desired, need, topology_first, wanted};
pub use diff::Step;
pub use element::{Backend, Backends, Element, Owner};
pub use maps::{Digest, MapOp, Maps, Op, ReadError, RepairError, WriteError};
pub use mirror::{Entry, Mirror};
pub use starved::{Shortages, Starved};

#[cfg(test)]
mod tests;

//! From decisions to map writes: what the kernel should hold, what it holds, the difference. Pure.

mod adopt;
mod capacity;
mod desired;
mod diff;
pub mod fake;
mod maps;
mod mirror;
mod region;
mod slots;

pub use adopt::Observed;
pub use capacity::{Capacity, Sizes};
pub use desired::{Desired, NotYet, need, not_yet, topology_first, wanted};
pub use diff::Step;
pub use maps::{MapOp, Maps, Op, ReadError, WriteError};
pub use mirror::{Entry, Mirror, Starved};

#[cfg(test)]
mod tests;

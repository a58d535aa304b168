//! From decisions to map writes: what the kernel should hold, what it holds, the difference.

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
pub use capacity::{Limits, Sizes};
pub use desired::{NotYet, Want, need, not_yet, topology_first, wanted};
pub use diff::Step;
pub use maps::{MapOp, Maps, Op, ReadError, WriteError};
pub use mirror::{Entry, Plan, Short};

#[cfg(test)]
mod tests;

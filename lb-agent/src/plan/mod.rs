//! From decisions to map writes: what the kernel should hold, what it holds, the difference.

mod adopt;
mod mirror;
mod op;
mod region;
mod slots;
mod step;
mod want;

pub use adopt::Observed;
pub use mirror::{Entry, Limits, Plan, Short};
pub use op::MapOp;
pub use step::Step;
pub use want::{NotYet, Want, need, not_yet, topology_first, wanted};

#[cfg(test)]
mod tests;

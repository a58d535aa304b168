//! What drives our own programs and agent in a simulated node.

pub mod agent;
pub mod builds;
pub mod kernel;
pub(crate) mod pair;
pub mod pins;
pub mod simulation;
pub mod strace;
pub mod verifier;

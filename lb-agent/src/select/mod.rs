//! Which endpoints of a service port this node uses, and why each is in or out. Pure.

pub mod admitted;
pub mod candidate;
pub mod decide;
mod dialect;
mod invalid;
pub mod nodes;
mod policy;
mod pool;
pub mod topology;
mod why;

#[cfg(test)]
pub(crate) mod notation;
#[cfg(test)]
mod properties;

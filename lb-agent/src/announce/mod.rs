//! What the agent makes known at the API server: Events on Services, and on its own Node whether it is covered.

pub(crate) mod event;
pub mod node;
mod publisher;
mod queue;
#[cfg(test)]
mod tests;
pub mod warning;

pub use publisher::{RateLimit, publish};
pub use queue::EventQueue;

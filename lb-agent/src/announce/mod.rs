//! What the agent makes known at the API server: Events on Services.

pub(crate) mod event;
mod publisher;
mod queue;
#[cfg(test)]
mod tests;
pub mod warning;

pub use publisher::{RateLimit, publish};
pub use queue::EventQueue;

//! What the agent tells the API server: Events on Services.

pub(crate) mod event;
mod publisher;
mod queue;
pub mod warning;

pub use publisher::{RateLimit, publish};
pub use queue::EventQueue;

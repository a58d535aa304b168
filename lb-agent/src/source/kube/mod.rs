//! A Kubernetes API server as a source: listed once, or followed live.
//!
//! The lists and watches are our own, on top of `kube`'s client: an object is in our words as
//! soon as its last byte is here, one that cannot be read hurts itself alone, and neither a list
//! nor a store of API objects is ever held.

mod ended;
mod event;
mod follow;
mod frames;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod gone;
mod head;
mod history;
mod list;
mod load;
mod object;
mod pace;
mod progress;
mod read;
mod repeats;
mod report;
mod sink;
mod split;
mod state;
#[cfg(test)]
mod tests;
mod tracker;
mod watch;

pub use follow::{Follower, follow};
pub use load::{ApiLoadError, Loaded, load};
pub use sink::Timing;
